"""The skeleton animation of a .glb file, ours or another program's, as a clip.

Foreign files differ from our clips in three ways, all resolved here: joints have a rest rotation
(ours are parallel to the world at rest), nodes above the skeleton turn and scale it (Blender's
armature, centimetres), and tracks have keys of their own (resampled on one frame grid).

T frames, N nodes, J joints.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from muybridge.errors import InputError
from muybridge.files.bone_matrices import clip_from_matrices, named_tips
from muybridge.files.disk import read_bytes
from muybridge.files.gltf_tracks import Track, frame_grid, sample, trs_matrices
from muybridge.files.names import unique_names
from muybridge.geometry.rotation import quaternion_from_matrix
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["read_glb"]

TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
MOST_NODES = 20_000
BROKEN = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError,
    struct.error, ZeroDivisionError, MemoryError, RuntimeError,
)  # fmt: skip  # what a document that breaks the rules of glTF makes of the code below


class _Document(NamedTuple):
    json: Any
    binary: bytes


def read_glb(path: Path, animation: int = 0) -> Clip:
    """Read the skeleton and one animation of a .glb file.

    Joints are those of the first skin, or where there is none the animated nodes and what hangs
    below them. The rest pose is that of the nodes. Frame rate: from our own extras, else the
    spacing of the keys. Between the keys of foreign files their interpolation is evaluated.

    Args:
        path: The file.
        animation: Which one, from 0.
    Raises:
        InputError: If the file is damaged, compressed, or holds no such animation.
    """
    content = read_bytes(path, "glTF binary")
    try:
        return _clip(_document(content), animation, Path(path).stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except BROKEN as error:
        what = f"{type(error).__name__} {error}"[:120].replace("\n", " ")
        raise InputError(
            f"{path}: expected a well-formed glTF document, got a damaged one ({what}); export it "
            "again"
        ) from None


def _document(content: bytes) -> _Document:
    if content[:4] != b"glTF" or len(content) < 20:
        raise InputError("expected a binary glTF file (.glb), got another file; export as .glb")
    version, length = struct.unpack_from("<II", content, 4)
    if version != 2 or length > len(content):
        raise InputError(
            f"expected glTF version 2 and {length} bytes, got version {version} and {len(content)} "
            "bytes; the file is cut short or too old"
        )
    chunks: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<I4s", content, position)
        if position + 8 + size > length:
            raise InputError(
                "expected whole chunks, got one that ends outside the file; it is cut short"
            )
        chunks.setdefault(kind, content[position + 8 : position + 8 + size])
        position += 8 + size
    document = json.loads(chunks[b"JSON"])
    required = document.get("extensionsRequired", [])
    packed = [name for name in required if "compression" in name]
    if packed:
        raise InputError(f"expected plain buffers, got {packed[0]}; export without compression")
    return _Document(document, chunks.get(b"BIN\0", b""))


def _accessor(document: _Document, index: int) -> NDArray[np.float64]:
    """Items of an accessor, (count, width); normalised integers become [-1, 1]."""
    accessor = document.json["accessors"][_index(index)]
    view = document.json["bufferViews"][_index(accessor["bufferView"])]
    if view.get("buffer", 0) != 0 or "uri" in document.json["buffers"][0] or "sparse" in accessor:
        raise InputError("expected all data dense and within the file, got others; export as .glb")
    kind, width = np.dtype(TYPES[accessor["componentType"]]), WIDTH[accessor["type"]]
    count, stride = _index(accessor["count"]), view.get("byteStride", kind.itemsize * width)
    start = _index(view.get("byteOffset", 0)) + _index(accessor.get("byteOffset", 0))
    data = np.ndarray((count, width), kind, document.binary, start, (_index(stride), kind.itemsize))
    values = data.astype(np.float64)
    if accessor.get("normalized", False):
        values = np.maximum(values / np.iinfo(kind).max, -1.0)
    if count == 0 or not np.isfinite(values).all():
        raise InputError("expected finite numbers in every track, got NaN or nothing; export again")
    return values


def _index(value: Any) -> int:
    """A count or index of the document: negative ones would silently mean "from the end"."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"expected an index, got {value!r}")
    return value


def _parents(nodes: Any) -> list[int]:
    """Parent of each node, -1 for none; every node has one at most, and none is its ancestor."""
    if not isinstance(nodes, list) or not 0 < len(nodes) <= MOST_NODES:
        raise InputError(f"expected 1 to {MOST_NODES} nodes, got none or more; is there a figure?")
    parents = [-1] * len(nodes)
    for number, node in enumerate(nodes):
        for child in node.get("children", []):
            if parents[_index(child)] != -1:
                raise InputError(
                    f"expected one parent for each node, got two for node {child}; export again"
                )
            parents[child] = number
    for start in range(len(nodes)):
        node, steps = start, 0
        while node >= 0:
            node, steps = parents[node], steps + 1
            if steps > len(nodes):
                raise InputError(
                    f"expected a tree of nodes, got a cycle at node {start}; export again"
                )
    return parents


def _clip(document: _Document, animation: int, name: str) -> Clip:
    nodes = document.json["nodes"]
    parents = _parents(nodes)
    tracks, title = _tracks(document, animation, len(nodes))
    extras = _own_extras(document.json)
    times, fps = frame_grid(tracks, extras.get("fps"), extras.get("frames"))
    joints = _joint_nodes(document.json, parents, tracks)
    local = [trs_matrices(*_rest(node), 1)[0] for node in nodes]
    rest = _world_matrices(parents, dict(enumerate(local)), joints)
    moving = {n: _moving_matrix(n, nodes[n], tracks, times) for n in {t.node for t in tracks}}
    world = _world_matrices(parents, dict(enumerate(local)) | moving, joints)
    own_parents = tuple(joints.index(parents[n]) if parents[n] in joints else -1 for n in joints)
    names = unique_names(str(nodes[n].get("name", "")) or f"node{n}" for n in joints)
    tips = _end_sites(extras, names, own_parents)
    clip = clip_from_matrices(
        np.stack([rest[n] for n in joints]),
        np.stack([np.broadcast_to(world[n], (len(times), 4, 4)) for n in joints], axis=1),
        Skeleton(names, own_parents, torch.zeros(len(joints), 3), tips),
        fps,
        str(extras.get("name") or title or name),
    )
    captions = [Caption(str(t), float(a), float(b)) for t, a, b in extras.get("captions", [])]
    return replace(clip, captions=tuple(captions))


def _end_sites(
    extras: dict[str, Any], names: tuple[str, ...], parents: tuple[int, ...]
) -> tuple[bool, ...]:
    """As our own writer has noted them, else by their names."""
    tips = extras.get("end_sites")
    if isinstance(tips, list) and len(tips) == len(names):
        return tuple(bool(tip) for tip in tips)
    return named_tips(names, parents)


def _own_extras(document: Any) -> dict[str, Any]:
    extras = document.get("extras")
    own = extras.get("muybridge") if isinstance(extras, dict) else None
    return own if isinstance(own, dict) else {}


def _tracks(document: _Document, animation: int, nodes: int) -> tuple[list[Track], str]:
    animations = document.json.get("animations", [])
    if not 0 <= animation < len(animations):
        raise InputError(
            f"expected animation {animation}, got {len(animations)} in the file; export the "
            "animation too"
        )
    chosen, tracks = animations[animation], []
    for channel in chosen["channels"]:
        target, sampler = channel["target"], chosen["samplers"][_index(channel["sampler"])]
        if target["path"] not in ("translation", "rotation", "scale") or "node" not in target:
            continue  # morph targets do not move the skeleton
        if _index(target["node"]) >= nodes:
            raise InputError(
                f"expected a track of one of {nodes} nodes, got {target['node']}; export again"
            )
        tracks.append(
            Track(
                target["node"],
                target["path"],
                sampler.get("interpolation", "LINEAR"),
                _accessor(document, sampler["input"])[:, 0],
                _accessor(document, sampler["output"]),
            )
        )
    if not tracks:
        raise InputError("expected tracks that move nodes, got none; export the animation too")
    return tracks, str(chosen.get("name", ""))


def _joint_nodes(document: Any, parents: list[int], tracks: list[Track]) -> list[int]:
    """Nodes of the skeleton, root first, parents before children."""
    skins = document.get("skins", [])
    wanted = [_index(n) for n in skins[0]["joints"]] if skins else [t.node for t in tracks]
    chains = [_chain(parents, node) for node in dict.fromkeys(wanted)]
    shared = [n for n in chains[0] if all(n in chain for chain in chains)]
    if not shared:
        raise InputError("expected one skeleton, got several without a common root; join them")
    root = shared[0]
    found = {n for chain in chains for n in chain[: chain.index(root) + 1]}
    if not skins:
        found |= {n for n in range(len(parents)) if root in _chain(parents, n)}
    return _ordered(parents, found, wanted)


def _ordered(parents: list[int], found: set[int], wanted: list[int]) -> list[int]:
    """As the skin lists them where that puts parents first, else depth by depth."""
    listed = list(dict.fromkeys(wanted))
    first = {node: k for k, node in enumerate(listed)}
    in_order = set(listed) == found and all(
        first.get(parents[n], -1) < first[n] for n in listed if parents[n] in found
    )
    return listed if in_order else sorted(found, key=lambda n: (len(_chain(parents, n)), n))


def _chain(parents: list[int], node: int) -> list[int]:
    """A node and its ancestors."""
    chain = [node]
    while parents[chain[-1]] >= 0:
        chain.append(parents[chain[-1]])
    return chain


def _rest(node: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Translation, rotation and scale of a node, each (1, n)."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        turn = torch.from_numpy(matrix[:3, :3] / scale)
        return matrix[None, :3, 3], quaternion_from_matrix(turn).numpy()[None], scale[None]
    values = []
    for key, default in (
        ("translation", [0, 0, 0]),
        ("rotation", [0, 0, 0, 1]),
        ("scale", [1] * 3),
    ):
        value = np.array([node.get(key, default)], np.float64)
        if value.shape != (1, len(default)) or not np.isfinite(value).all():
            raise InputError(
                f"expected {len(default)} finite numbers as {key}, got {value.tolist()}; "
                "export again"
            )
        values.append(value)
    return values[0], values[1], values[2]


def _moving_matrix(
    number: int, node: Any, tracks: list[Track], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Local matrices of a node over time, (T, 4, 4)."""
    parts = dict(zip(("translation", "rotation", "scale"), _rest(node), strict=True))
    for track in tracks:
        if track.node == number:
            parts[track.path] = sample(track, times)
    return trs_matrices(parts["translation"], parts["rotation"], parts["scale"], len(times))


def _world_matrices(
    parents: list[int], local: dict[int, NDArray[np.float64]], joints: list[int]
) -> dict[int, NDArray[np.float64]]:
    """World matrices of the joints and of all above them, (4, 4) or (T, 4, 4)."""
    world: dict[int, NDArray[np.float64]] = {}
    for joint in joints:
        for node in reversed(_chain(parents, joint)):
            if node not in world:
                above = parents[node]
                world[node] = local[node] if above < 0 else world[above] @ local[node]
    return world
