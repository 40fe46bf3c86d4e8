"""Binary glTF 2.0 (.glb): a clip as animated joints under a skinned body.

Joints are nodes 0 to J-1 in the skeleton's order; their rest rotation is the identity, so that the
animation holds the clip's rotations as they are. The mesh is `motion.skin.body_skin`. glTF shares
our conventions: metres, right-handed, Y up, +Z forward, quaternions (x, y, z, w).

T frames, J joints. Float32, as the format demands: 1e-7 of a value, times to 2e-4 s after an hour;
the exact frame rate and frame count stand in `extras`.

References:
    Khronos Group, glTF 2.0 Specification, 2021, sections 3.6 (data), 3.7.3 (skins), 3.11
    (animations), appendix C (interpolation).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.disk import write_parts
from muybridge.files.gltf_reader import read_glb
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import unroll
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton
from muybridge.motion.skin import Skin, body_skin

__all__ = ["Interpolation", "read_glb", "write_glb"]

Interpolation = Literal["LINEAR", "STEP", "CUBICSPLINE"]
FLOAT, UINT8, UINT16, UINT32 = 5126, 5121, 5123, 5125
COMPONENT = {"f4": FLOAT, "u1": UINT8, "u2": UINT16, "u4": UINT32}
SHAPE = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
STILL = 1e-9  # metres; a joint that moves less in its parent's frame needs no translation track
LOOKS = (
    ("body", [0.78, 0.70, 0.60, 1.0], 0.65),
    ("joints", [0.78, 0.25, 0.06, 1.0], 0.45),
)  # name, linear RGBA, roughness


class _Buffer:
    """The binary chunk and the accessors into it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(
        self, values: NDArray[Any], kind: str, target: int | None = None, bounds: bool = False
    ) -> int:
        """Append an array of items; returns its accessor's index. Every view starts at 4 bytes."""
        with np.errstate(over="ignore"):
            data = np.ascontiguousarray(values, dtype=f"<{kind}")
        if not np.isfinite(data).all():
            raise InputError(
                "expected numbers below 3e38, the most that glTF can hold, got greater ones; "
                "correct the positions of the clip"
            )
        content = data.tobytes()
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(content)}
        self.views.append(view | ({} if target is None else {"target": target}))
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": COMPONENT[kind],
            "count": len(data),
            "type": SHAPE[data.shape[1:]],
        }
        if bounds:
            low, high = data.min(axis=0), data.max(axis=0)
            accessor |= {"min": np.ravel(low).tolist(), "max": np.ravel(high).tolist()}
        self.accessors.append(accessor)
        self.parts.append(content + b"\0" * (-len(content) % 4))
        self.length += len(self.parts[-1])
        return len(self.accessors) - 1


def write_glb(path: Path, clip: Clip, interpolation: Interpolation = "LINEAR") -> None:
    """Write a clip as one .glb file with a body to look at, whole or not at all.

    Args:
        path: Where to.
        clip: Complete: no NaN.
        interpolation: Between frames: "LINEAR" (slerp), "STEP" (hold), or "CUBICSPLINE" (tangents
            by central differences; triple the size).
    Raises:
        InputError: If the clip has missing values, or CUBICSPLINE is asked of a single frame.
    """
    refuse_missing(clip)
    if interpolation == "CUBICSPLINE" and len(clip) < 2:
        raise InputError("expected two frames or more for CUBICSPLINE, got one; write LINEAR")
    buffer = _Buffer()
    skin = body_skin(clip.skeleton)
    mesh, materials = _mesh(buffer, skin)
    document = {
        "asset": {"version": "2.0", "generator": "muybridge"},
        "scene": 0,
        "scenes": [{"name": clip.name, "nodes": [0, len(clip.skeleton)]}],
        "nodes": _nodes(clip.skeleton),
        "meshes": [mesh],
        "materials": materials,
        "skins": [_skin(buffer, clip.skeleton)],
        "animations": [_animation(buffer, clip, interpolation)],
        "extras": _extras(clip),
    }
    document |= {
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": buffer.length}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + buffer.length
    header = struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON")
    body = struct.pack("<I4s", buffer.length, b"BIN\0")
    write_parts(path, (header, text, body, *buffer.parts))


def _nodes(skeleton: Skeleton) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for joint, name in enumerate(skeleton.names):
        node = {"name": name, "translation": _floats(skeleton.offsets[joint])}
        children = list(skeleton.children(joint))
        nodes.append(node | ({"children": children} if children else {}))
    return [*nodes, {"name": "body", "mesh": 0, "skin": 0}]


def _floats(values: Tensor) -> list[float]:
    """Numbers that are exact in float32, so that nodes, bounds and data agree."""
    return values.float().tolist()


def _material(name: str, color: list[float], roughness: float) -> dict[str, Any]:
    surface = {"baseColorFactor": color, "metallicFactor": 0.0, "roughnessFactor": roughness}
    return {"name": name, "pbrMetallicRoughness": surface}


def _mesh(buffer: _Buffer, skin: Skin) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The mesh and its materials: two primitives, limbs and balls, over the same vertices."""
    weights = skin.weights.numpy().astype(np.float32)
    weights[:, 0] += 1.0 - weights.sum(axis=1)
    small = int(skin.joints.max()) < 256
    attributes = {
        "POSITION": buffer.add(skin.vertices.numpy(), "f4", VERTICES, bounds=True),
        "NORMAL": buffer.add(skin.normals.numpy(), "f4", VERTICES),
        "JOINTS_0": buffer.add(skin.joints.numpy(), "u1" if small else "u2", VERTICES),
        "WEIGHTS_0": buffer.add(weights, "f4", VERTICES),
    }
    kind = "u2" if len(skin.vertices) < 65535 else "u4"
    primitives: list[dict[str, Any]] = []
    materials: list[dict[str, Any]] = []
    for look, part in zip(
        LOOKS, (skin.triangles[: skin.balls], skin.triangles[skin.balls :]), strict=True
    ):
        if len(part):
            indices = buffer.add(part.flatten().numpy(), kind, INDICES)
            primitives.append(
                {"attributes": attributes, "indices": indices, "material": len(materials)}
            )
            materials.append(_material(*look))
    return {"name": "body", "primitives": primitives}, materials


def _skin(buffer: _Buffer, skeleton: Skeleton) -> dict[str, Any]:
    """Inverse bind matrices take the mesh into each joint's frame at rest: a translation."""
    inverse = np.tile(np.eye(4), (len(skeleton), 1, 1))
    inverse[:, 3, :3] = -skeleton.rest_positions().numpy()  # glTF stores columns one by one
    joints = list(range(len(skeleton)))
    return {"joints": joints, "skeleton": 0, "inverseBindMatrices": buffer.add(inverse, "f4")}


def _animation(buffer: _Buffer, clip: Clip, interpolation: Interpolation) -> dict[str, Any]:
    """One sampler a moving joint, all over the same times."""
    times = buffer.add(np.arange(len(clip)) / clip.fps, "f4", bounds=True)
    rotations = unroll(torch.nn.functional.normalize(clip.rotations.double(), dim=-1))
    local = clip.local_translations().double()
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def track(joint: int, path: str, values: Tensor) -> None:
        keys = _keys(values, clip.fps) if interpolation == "CUBICSPLINE" else values
        output = buffer.add(keys.numpy(), "f4")
        samplers.append({"input": times, "output": output, "interpolation": interpolation})
        target = {"node": joint, "path": path}
        channels.append({"sampler": len(samplers) - 1, "target": target})

    for joint, end_site in enumerate(clip.skeleton.end_sites):
        moving = bool(((local[:, joint] - clip.skeleton.offsets[joint]).abs() > STILL).any())
        if joint == 0 or moving:
            track(joint, "translation", local[:, joint])
        if not end_site or bool((rotations[:, joint, :3].abs() > 0.0).any()):
            track(joint, "rotation", rotations[:, joint])
    return {"name": clip.name, "samplers": samplers, "channels": channels}


def _keys(values: Float[Tensor, "t n"], fps: float) -> Float[Tensor, "k n"]:
    """In-tangent, value, out-tangent of each frame; tangents a second, by central differences."""
    tangents = torch.empty_like(values)
    tangents[1:-1] = 0.5 * fps * (values[2:] - values[:-2])
    tangents[0], tangents[-1] = fps * (values[1] - values[0]), fps * (values[-1] - values[-2])
    return torch.stack((tangents, values, tangents), dim=1).flatten(0, 1)


def _extras(clip: Clip) -> dict[str, Any]:
    """What glTF has no place for; other programs keep or ignore it."""
    return {
        "muybridge": {
            "name": clip.name,
            "fps": clip.fps,
            "frames": len(clip),
            "joints": clip.skeleton.names,
            "end_sites": clip.skeleton.end_sites,
            "captions": [[c.text, c.start, c.end] for c in clip.captions],
        }
    }
