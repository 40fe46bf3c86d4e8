"""FBX through Blender's own module: its format is closed, and Blender reads and writes it well.

Blender is no dependency. It is found as the module bpy of this Python, or in the Python that the
environment variable MUYBRIDGE_BPY names, and runs in a process of its own either way. `fbx_script`
is what it does there. A clip goes in as BVH in metres, with its tips as bones; every frame is kept.
Blender calculates in float32: positions come back to about 1e-6 of their size.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from muybridge.errors import InputError
from muybridge.files.bone_matrices import clip_from_matrices, named_tips
from muybridge.files.bvh import bvh_from_clip, write_bvh_file
from muybridge.files.disk import read_bytes, writing
from muybridge.files.missing import refuse_missing
from muybridge.files.names import safe_names, unique_names
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["BLENDER", "find_blender", "read_fbx", "write_fbx"]

BLENDER = "MUYBRIDGE_BPY"  # names the Python of a virtual environment with bpy
SCRIPT = Path(__file__).with_name("fbx_script.py")
STRETCH = 1e-4  # metres; a bone moves less by float32 alone, metres from the origin
LONGEST_NAME = 63  # bytes of a bone's name in Blender


def find_blender() -> str:
    """The Python that has Blender's module.

    Raises:
        InputError: If there is none.
    """
    named = os.environ.get(BLENDER, "")
    if named and not os.access(named, os.X_OK):
        raise InputError(
            f"expected {BLENDER} to name the python of an environment with bpy, got {named!r}; "
            "correct the path"
        )
    if named or importlib.util.find_spec("bpy"):
        return named or sys.executable
    raise InputError(
        "expected Blender's Python module for FBX, found none; run `python -m venv blender && "
        f"blender/bin/pip install bpy==4.5.15` and set {BLENDER}=blender/bin/python"
    )


def write_fbx(path: Path, clip: Clip) -> None:
    """Write a clip as FBX, whole or not at all.

    Args:
        path: Where to.
        clip: Complete: no NaN. Names become safe ones, see `names`.
    Raises:
        InputError: If the clip has missing values or there is no Blender.
    """
    refuse_missing(clip)
    blender = find_blender()
    file = bvh_from_clip(clip, "m")
    names = safe_names(file.skeleton.names)
    longest = max(names, key=lambda name: len(name.encode()))
    if len(longest.encode()) > LONGEST_NAME:
        raise InputError(
            f"expected joint names of at most {LONGEST_NAME} bytes for FBX, got {longest!r}; "
            "shorten it"
        )
    with tempfile.TemporaryDirectory() as folder, writing(path) as temporary:
        write_bvh_file(Path(folder) / "clip.bvh", file, decimals=7)
        plan = {
            "bvh": str(Path(folder) / "clip.bvh"),
            "fbx": str(temporary),
            "name": clip.name,
            "fps": clip.fps,
            "frames": len(clip),
            "tips": _tips(file.skeleton, names),
        }
        _run(blender, "write", plan, Path(folder))
        if temporary.stat().st_size == 0:
            raise InputError(f"expected Blender to write {path}, got nothing; look at its setup")


def read_fbx(path: Path) -> Clip:
    """Read the largest skeleton of an FBX file and its animation, a pose a frame.

    Raises:
        InputError: If the file cannot be read, holds no moving skeleton, or there is no Blender.
    """
    read_bytes(path, "FBX")
    blender = find_blender()
    with tempfile.TemporaryDirectory() as folder:
        plan = {"fbx": str(Path(path).resolve()), "npz": str(Path(folder) / "bones.npz")}
        try:
            _run(blender, "read", plan, Path(folder))
            with np.load(Path(folder) / "bones.npz") as bones:
                names = unique_names(str(name) for name in bones["names"])
                parents = tuple(int(parent) for parent in bones["parents"])
                tree = Skeleton(
                    names, parents, torch.zeros(len(names), 3), named_tips(names, parents)
                )
                fps, rest, world = float(bones["fps"]), bones["rest"], bones["world"]
                return clip_from_matrices(rest, world, tree, fps, path.stem, stretch=STRETCH)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: expected bones from Blender, got none ({error}); open it in Blender"
            ) from error


def _tips(skeleton: Skeleton, names: tuple[str, ...]) -> list[dict[str, object]]:
    """End sites as Blender wants them: Y up, in the figure's own frame, where it stands."""
    rest = skeleton.rest_positions()
    places = (rest - rest[0]).tolist()
    return [
        {"name": names[joint], "parent": names[skeleton.parents[joint]], "place": places[joint]}
        for joint, tip in enumerate(skeleton.end_sites)
        if tip
    ]


def _run(blender: str, task: str, plan: Mapping[str, object], folder: Path) -> None:
    """Let Blender do a task; what it says matters only if it fails."""
    plan_file = folder / "plan.json"
    plan_file.write_text(json.dumps(plan))
    command = [blender, str(SCRIPT), task, str(plan_file)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1][:200] if lines else f"exit code {done.returncode}"
        raise InputError(
            f"expected Blender to {task} FBX, got {said!r}; check the file, and that "
            f"`{blender} -c 'import bpy'` works"
        )
