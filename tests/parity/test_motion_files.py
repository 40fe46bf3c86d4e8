"""Our files as other programs show them: three.js, the glTF validator, Blender, Python readers."""

import importlib.util
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.fbx import write_fbx
from muybridge.files.gltf import Interpolation, read_glb, write_glb
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.motions import BVH_FILES, random_clip

NODE = Path(__file__).parents[1] / "node"
MODES = get_args(Interpolation)
BLENDER = os.environ.get("MUYBRIDGE_BPY", "")  # the python of a virtual environment with bpy
needs_node = pytest.mark.skipif(
    not shutil.which("node") or not (NODE / "node_modules" / "three").is_dir(),
    reason="node or the npm packages of tests/node are absent: run `make node`",
)
needs_blender = pytest.mark.skipif(
    not BLENDER,
    reason="MUYBRIDGE_BPY does not name the python of a virtual environment with bpy==4.5.15",
)
needs_data = pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
by_file = pytest.mark.parametrize("path", BVH_FILES, ids=lambda path: path.stem)
FRAMES = (0, 1, 17, -1)


def run(*command: str | Path) -> list[Any]:
    """JSON lines that a command prints."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def three(kind: str, path: Path, clip: Clip) -> np.ndarray:
    """Joint positions that three.js shows at some frames, in the file's unit."""
    second = 1.0 / clip.fps
    if kind == "bvh":
        second = float(path.read_text().partition("Frame Time:")[2].split()[0])
        assert second == pytest.approx(1.0 / clip.fps, rel=5e-7)
    keys = [k % len(clip) * second for k in FRAMES]
    if kind == "glb":
        keys = [float(np.float32(key)) for key in keys]  # as they stand in the file
    times = ",".join(map(repr, keys))
    (shown,) = run("node", NODE / "three_positions.mjs", kind, path, times)
    assert shown["duration"] == pytest.approx((len(clip) - 1) * second, rel=1e-6)
    return np.array(shown["positions"])


def ours(clip: Clip) -> np.ndarray:
    """Joint positions at the same frames, metres."""
    return forward_clip(clip).positions[list(FRAMES)].numpy()


@pytest.mark.node
@needs_node
@needs_data
@by_file
def test_three_shows_our_bvh(path: Path, tmp_path: Path) -> None:
    clip = read_bvh(path, unit="m").clip
    write_bvh(tmp_path / "a.bvh", clip, unit="m")
    np.testing.assert_allclose(three("bvh", tmp_path / "a.bvh", clip), ours(clip), atol=1e-3)


@pytest.mark.node
@needs_node
@needs_data
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", BVH_FILES[1:12:5], ids=lambda path: path.stem)
def test_three_shows_our_glb(path: Path, tmp_path: Path, mode: Interpolation) -> None:
    clip = read_bvh(path).clip
    write_glb(tmp_path / "a.glb", clip, mode)
    np.testing.assert_allclose(three("glb", tmp_path / "a.glb", clip), ours(clip), atol=1e-5)


@pytest.mark.node
@needs_node
def test_three_shows_sliding_joints(tmp_path: Path) -> None:
    """Six channels on every joint; three.js adds them to the offset, so a zero offset is ours."""
    clip = random_clip(0, joints=7, frames=20, moving=True)
    zero = replace(clip.skeleton, offsets=0.0 * clip.skeleton.offsets)
    clip = replace(clip, skeleton=zero)
    write_glb(tmp_path / "a.glb", clip)
    np.testing.assert_allclose(three("glb", tmp_path / "a.glb", clip), ours(clip), atol=2e-5)
    write_bvh(tmp_path / "a.bvh", clip, "m")
    depth_first = read_bvh(tmp_path / "a.bvh", "m").clip
    shown = three("bvh", tmp_path / "a.bvh", depth_first)
    np.testing.assert_allclose(shown, ours(depth_first), atol=1e-3)


@pytest.mark.node
@needs_node
def test_the_validator_has_nothing_to_say(tmp_path: Path) -> None:
    """0 errors, 0 warnings, 0 infos, 0 hints, for recorded and odd clips in every mode."""
    clips = {path.stem: read_bvh(path).clip for path in BVH_FILES[1:12:5]}
    clips["wild"] = random_clip(0, joints=9, frames=40)
    clips["sliding"] = random_clip(1, joints=9, frames=40, moving=True)
    clips["many joints"] = random_clip(2, joints=300, frames=2)
    clips["one joint"] = random_clip(3, joints=1, frames=2)
    clips["an hour"] = replace(random_clip(4, joints=2, frames=2), fps=1 / 3600)
    paths = []
    for name, clip in clips.items():
        for mode in MODES:
            paths.append(tmp_path / f"{name}_{mode}.glb")
            write_glb(paths[-1], clip, mode)
    write_glb(tmp_path / "still.glb", random_clip(5, frames=1))
    for report in run("node", NODE / "validate.mjs", *paths, tmp_path / "still.glb"):
        counts = [report[key] for key in ("numErrors", "numWarnings", "numInfos", "numHints")]
        assert counts == [0, 0, 0, 0], report


BLENDER_SCRIPT = """
import bpy, json, sys
kind, path, frames = sys.argv[-3:]
bpy.ops.wm.read_factory_settings(use_empty=True)
if kind == "bvh":
    bpy.ops.import_anim.bvh(filepath=path, update_scene_fps=True, update_scene_duration=True)
elif kind == "fbx":
    bpy.ops.import_scene.fbx(filepath=path)
else:
    bpy.ops.import_scene.gltf(filepath=path)
figure = next(o for o in bpy.data.objects if o.type == "ARMATURE")
scene, shown = bpy.context.scene, {}
first = figure.animation_data.action.frame_range[0]
for frame in map(int, frames.split(",")):
    scene.frame_set(int(first) + frame)
    for bone in figure.pose.bones:
        x, y, z = figure.matrix_world @ bone.head
        shown.setdefault(bone.name, []).append([x, z, -y])  # Blender is Z up
rate = scene.render.fps / scene.render.fps_base
print(json.dumps({"positions": shown, "fps": rate}))
"""


def blender(kind: str, path: Path, clip: Clip) -> tuple[dict[str, Any], float]:
    """Heads of all bones that Blender shows at some frames, Y up, by name; the frame rate."""
    frames = ",".join(str(k % len(clip)) for k in FRAMES)
    (shown,) = run(BLENDER, "-c", BLENDER_SCRIPT, kind, path, frames)
    return shown["positions"], shown["fps"]


@pytest.mark.blender
@needs_blender
@needs_data
@by_file
def test_blender_shows_our_bvh(path: Path, tmp_path: Path) -> None:
    clip = read_bvh(path, unit="m").clip
    write_bvh(tmp_path / "a.bvh", clip, unit="m")
    shown, fps = blender("bvh", tmp_path / "a.bvh", clip)
    expected = ours(clip)
    size = np.abs(expected).max()
    assert fps == pytest.approx(clip.fps, rel=1e-4)
    for joint, name in enumerate(clip.skeleton.names):
        if not clip.skeleton.end_sites[joint]:
            np.testing.assert_allclose(shown[name], expected[:, joint], atol=max(1e-3, 1e-5 * size))


@pytest.mark.blender
@needs_blender
@needs_data
@pytest.mark.parametrize("mode", MODES)
def test_blender_shows_our_glb(tmp_path: Path, mode: Interpolation) -> None:
    clip = replace(read_bvh(BVH_FILES[1]).clip, fps=24.0)  # Blender's own rate: keys on frames
    write_glb(tmp_path / "a.glb", clip, mode)
    shown, _ = blender("glb", tmp_path / "a.glb", clip)
    for joint, name in enumerate(clip.skeleton.names):
        if name in shown:
            np.testing.assert_allclose(shown[name], ours(clip)[:, joint], atol=1e-5)


@needs_data
@by_file
@pytest.mark.filterwarnings("ignore:Rest pose suggests")
@pytest.mark.skipif(not importlib.util.find_spec("pybvh"), reason="pybvh is not installed")
def test_pybvh_reads_the_same_numbers(path: Path, tmp_path: Path) -> None:
    import pybvh

    clip = read_bvh(path, unit="m").clip
    for source in (path, tmp_path / "ours.bvh"):
        write_bvh(tmp_path / "ours.bvh", clip, unit="m")
        theirs = pybvh.read_bvh_file(source)
        positions = pybvh.frames_to_node_positions(theirs, theirs.root_pos, theirs.joint_angles)
        found = forward_clip(read_bvh(source, unit="m").clip).positions.numpy()
        np.testing.assert_allclose(np.sort(positions, 1), np.sort(found, 1), rtol=0, atol=1e-11)


def cut(path: Path, out: Path, frames: int = 60) -> Clip:
    """The first frames as we write them, in metres, and as we read them again."""
    write_bvh(out, read_bvh(path, unit="auto").clip.frames(0, frames), unit="m")
    return read_bvh(out, unit="m").clip


@needs_data
@by_file
def test_pymotion_shows_our_bvh(path: Path, tmp_path: Path) -> None:
    """PyMotion has no end sites as joints and normalises to about 1e-8."""
    bvh = pytest.importorskip("pymotion.io.bvh")
    skeleton_np = pytest.importorskip("pymotion.ops.skeleton_np")
    clip = cut(path, tmp_path / "a.bvh")
    theirs = bvh.BVH()
    theirs.load(str(tmp_path / "a.bvh"))
    rotations, places, parents, offsets = theirs.get_data()[:4]
    shown, _ = skeleton_np.fk(rotations, places[:, 0], offsets, parents)
    kept = [joint for joint, tip in enumerate(clip.skeleton.end_sites) if not tip]
    np.testing.assert_allclose(shown, forward_clip(clip).positions[:, kept], rtol=0, atol=1e-6)


@needs_data
@by_file
def test_bvhio_shows_our_bvh(path: Path, tmp_path: Path) -> None:
    """bvhio calculates in float32."""
    bvhio = pytest.importorskip("bvhio")
    clip = cut(path, tmp_path / "a.bvh")
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    expected = forward_clip(clip).positions
    for frame in (0, 1, 17, len(clip) - 1):
        root.loadPose(frame)
        for joint, _, _ in root.layout():
            if joint.Name in clip.skeleton.names:
                place = expected[frame, clip.skeleton.index(joint.Name)]
                np.testing.assert_allclose(np.array(joint.PositionWorld), place, rtol=0, atol=5e-6)


@needs_data
@by_file
@pytest.mark.filterwarnings("ignore")
def test_fairmotion_shows_our_bvh(path: Path, tmp_path: Path) -> None:
    """It adds the root channels to the root offset, which is zero in our files."""
    bvh = pytest.importorskip("fairmotion.data.bvh")
    clip = cut(path, tmp_path / "a.bvh", 20)
    theirs = bvh.load(str(tmp_path / "a.bvh"))
    index = [clip.skeleton.index(joint.name) for joint in theirs.skel.joints]
    shown = theirs.positions(local=False)
    np.testing.assert_allclose(shown, forward_clip(clip).positions[:, index], rtol=0, atol=1e-9)


@pytest.mark.blender
@needs_blender
@needs_data
def test_blender_shows_our_fbx(tmp_path: Path) -> None:
    """A program that only knows FBX sees the pose, the length and the frame rate."""
    clip = read_bvh(BVH_FILES[2], unit="auto").clip
    write_fbx(tmp_path / "a.fbx", clip)
    shown, fps = blender("fbx", tmp_path / "a.fbx", clip)
    assert fps == pytest.approx(clip.fps)
    for joint, name in enumerate(clip.skeleton.names):
        np.testing.assert_allclose(shown[name], ours(clip)[:, joint], atol=3e-4)


@needs_data
def test_our_own_glb_reads_as_the_bvh_it_came_from(tmp_path: Path) -> None:
    clip = read_bvh(BVH_FILES[-1]).clip
    write_glb(tmp_path / "a.glb", clip)
    write_bvh(tmp_path / "a.bvh", read_glb(tmp_path / "a.glb"))
    again = read_bvh(tmp_path / "a.bvh").clip
    np.testing.assert_allclose(ours(again), ours(clip), atol=1e-4)
