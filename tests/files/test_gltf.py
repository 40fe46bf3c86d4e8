"""glTF: round trips, what the format demands, foreign files, damaged files."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.gltf import Interpolation, read_glb, write_glb
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.motions import BVH_FILES, clip_makers, damaged, random_clip

MODES = get_args(Interpolation)


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """JSON and binary chunk of a file."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    binary = content[20 + size + 8 :]
    assert struct.unpack_from("<I4s", content, 20 + size) == (len(binary), b"BIN\0")
    return json.loads(content[20 : 20 + size]), binary


def pack(document: Any, binary: bytes) -> bytes:
    """A .glb of any JSON and bytes."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary))
    return (
        head + struct.pack("<I4s", len(text), b"JSON") + text
        + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(clip_makers(), st.sampled_from(MODES))
def test_any_clip_survives(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[], Clip], mode: Interpolation
) -> None:
    path, clip = tmp_path_factory.getbasetemp() / "any.glb", make()
    if mode == "CUBICSPLINE" and len(clip) == 1:
        with pytest.raises(InputError, match="two frames"):
            write_glb(path, clip, mode)
        return
    write_glb(path, clip, mode)
    again = read_glb(path)
    assert again.skeleton.names == clip.skeleton.names
    assert again.skeleton.parents == clip.skeleton.parents
    assert again.skeleton.end_sites == clip.skeleton.end_sites
    assert (again.fps, len(again), again.name) == (clip.fps, len(clip), clip.name)
    assert again.captions == clip.captions
    moved = forward_clip(again).positions - forward_clip(clip).positions
    assert float(moved.abs().max()) < 2e-5
    assert (again.translations is None) or (clip.translations is not None)


@pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
@pytest.mark.parametrize("mode", MODES)
def test_recorded_motion_survives(tmp_path: Path, mode: Interpolation) -> None:
    clip = read_bvh(BVH_FILES[1]).clip
    write_glb(tmp_path / "a.glb", clip, mode)
    again = read_glb(tmp_path / "a.glb")
    assert (again.fps, len(again), again.translations) == (clip.fps, len(clip), None)
    moved = forward_clip(again).positions - forward_clip(clip).positions
    assert float(moved.abs().max()) < 1e-5
    torch.testing.assert_close(again.skeleton.offsets, clip.skeleton.offsets, atol=1e-6, rtol=0)


def test_data_are_aligned_bounded_and_unrolled(tmp_path: Path) -> None:
    clip = random_clip(1, frames=30)
    flipped = clip.rotations * torch.where(torch.arange(30) % 2 == 0, 1.0, -1.0)[:, None, None]
    write_glb(tmp_path / "a.glb", replace(clip, rotations=flipped))
    document, binary = parts(tmp_path / "a.glb")
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(binary)
    times = document["accessors"][document["animations"][0]["samplers"][0]["input"]]
    assert times["min"] == [0.0]
    assert times["max"] == [float(np.float32(29 / 60))]
    for channel in document["animations"][0]["channels"]:
        if channel["target"]["path"] == "rotation":
            sampler = document["animations"][0]["samplers"][channel["sampler"]]
            accessor = document["accessors"][sampler["output"]]
            start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
            q = np.frombuffer(binary, "<f4", 4 * accessor["count"], start).reshape(-1, 4)
            assert (np.sum(q[1:] * q[:-1], axis=1) > 0.0).all()
            np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1.0, atol=1e-6)
    assert document["extras"]["muybridge"]["fps"] == 60.0
    assert document["extras"]["muybridge"]["joints"] == list(clip.skeleton.names)


class Foreign:
    """A small exporter of another school: centimetres, Z up, rest rotations, sparse keys."""

    def __init__(self) -> None:
        self.binary = b""
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0"}, "accessors": [], "bufferViews": [],
            "buffers": [{}], "animations": [{"samplers": [], "channels": []}],
        }  # fmt: skip

    def accessor(self, values: np.ndarray, kind: str = "<f4", **more: Any) -> int:
        """Append an accessor."""
        data = values.astype(kind).tobytes()
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        self.binary += data + b"\0" * (-len(data) % 4)
        self.document["bufferViews"].append(view)
        shape = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[values[0].size]
        component = {"<f4": 5126, "<i2": 5122}[kind]
        self.document["accessors"].append(
            {"bufferView": len(self.document["bufferViews"]) - 1, "componentType": component,
             "count": len(values), "type": shape, **more}
        )  # fmt: skip
        return len(self.document["accessors"]) - 1

    def track(
        self, node: int, path: str, times: np.ndarray, values: np.ndarray, **more: Any
    ) -> None:
        """Append a LINEAR track."""
        sampler = {"input": self.accessor(times), "output": self.accessor(values, **more)}
        animation = self.document["animations"][0]
        animation["samplers"].append(sampler)
        target = {"node": node, "path": path}
        animation["channels"].append({"sampler": len(animation["samplers"]) - 1, "target": target})

    def write(self, path: Path) -> None:
        """Write the file."""
        self.document["buffers"][0]["byteLength"] = len(self.binary)
        path.write_bytes(pack(self.document, self.binary))


@pytest.mark.parametrize("with_skin", [True, False])
def test_foreign_conventions_are_resolved(tmp_path: Path, with_skin: bool) -> None:
    """An armature that scales and turns, joints with rest rotations, keys of their own."""
    rng = np.random.default_rng(0)
    armature = Rotation.from_euler("x", -90, degrees=True)
    rest = Rotation.random(3, random_state=1)
    offsets = rng.normal(size=(3, 3)) * 50.0
    times = np.array([0.0, 0.5, 1.0])
    keys = [Rotation.random(3, random_state=k) for k in range(3)]
    foreign = Foreign()
    foreign.document["nodes"] = [
        {"name": "Armature", "rotation": armature.as_quat().tolist(), "scale": [0.01] * 3,
         "children": [1, 4]},
        *({"name": name, "rotation": rest[k].as_quat().tolist(), "translation": offsets[k].tolist(),
           "children": [k + 2]} for k, name in enumerate(("hips", "knee"))),
        {"name": "foot", "rotation": rest[2].as_quat().tolist(),
         "translation": offsets[2].tolist()},
        {"name": "a mesh", "mesh": 0},
    ]  # fmt: skip
    if with_skin:
        foreign.document["skins"] = [{"joints": [1, 2, 3]}]
    for k in range(3):
        short = {"kind": "<i2", "normalized": True} if k == 2 else {}
        values = keys[k].as_quat()
        foreign.track(
            k + 1, "rotation", times, np.rint(values * 32767) if short else values, **short
        )
    root = rng.normal(size=(3, 3)) * 100.0
    foreign.track(1, "translation", times, root)
    foreign.write(tmp_path / "foreign.glb")
    clip = read_glb(tmp_path / "foreign.glb")

    assert clip.skeleton.names == ("hips", "knee", "foot")
    assert clip.fps == 24.0  # keys every half second are poses, not frames
    assert len(clip) == 25
    grid = np.arange(25) / 24
    place = np.stack([np.interp(grid, times, root[:, a]) for a in range(3)], 1)
    turn, expected = armature, [0.01 * armature.apply(place)]
    for k in range(2):
        turn = turn * Slerp(times, keys[k])(grid)
        expected.append(expected[-1] + 0.01 * turn.apply(offsets[k + 1]))
    found = forward_clip(clip).positions.numpy()
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-5)
    at_rest = 0.01 * (armature * rest[0]).apply(offsets[1])
    np.testing.assert_allclose(clip.skeleton.offsets[1].numpy(), at_rest, atol=1e-6)
    assert clip.translations is None


def test_cubic_tracks_follow_their_tangents(tmp_path: Path) -> None:
    """Between keys our own CUBICSPLINE track is the cubic through them: a parabola is exact."""
    clip = random_clip(2, joints=2, frames=9, fps=8.0, tips=False)
    t = torch.arange(9, dtype=torch.float64) / 8.0
    clip = replace(clip, root=torch.stack((t * t, t, torch.ones_like(t)), dim=1))
    write_glb(tmp_path / "a.glb", clip, "CUBICSPLINE")
    document, binary = parts(tmp_path / "a.glb")
    document["extras"]["muybridge"].update(fps=32.0, frames=33)
    (tmp_path / "b.glb").write_bytes(pack(document, binary))
    finer = read_glb(tmp_path / "b.glb")
    inner = torch.arange(4, 29, dtype=torch.float64) / 32.0
    torch.testing.assert_close(finer.root[4:29, 0], inner**2, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two joints and three frames."""
    path = tmp_path_factory.mktemp("glb") / "small.glb"
    write_glb(path, random_clip(0, joints=2, frames=3))
    return path


def _set(*keys: Any, to: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = to

    return change


DAMAGE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "cycle": (_set("nodes", 1, "children", to=[0]), "cycle"),
    "two parents": (_set("nodes", 2, "children", to=[1]), "one parent"),
    "no nodes": (_set("nodes", to=[]), "nodes"),
    "no animation": (_set("animations", to=[]), "animation 0"),
    "no tracks": (_set("animations", 0, "channels", to=[]), "tracks"),
    "accessor outside": (_set("accessors", -1, "count", to=10**6), "damaged"),
    "accessor negative": (_set("accessors", -1, "count", to=-1), "damaged"),
    "accessor huge": (_set("accessors", -1, "count", to=10**18), "damaged"),
    "view outside": (_set("bufferViews", -1, "byteOffset", to=10**9), "damaged"),
    "node outside": (_set("animations", 0, "channels", 0, "target", "node", to=99), "99"),
    "text for a number": (_set("nodes", 0, "translation", to=["a", 0, 0]), "damaged"),
    "two numbers for three": (_set("nodes", 0, "translation", to=[0, 0]), "3 finite numbers"),
    "zero quaternion": (_set("nodes", 0, "rotation", to=[0, 0, 0, 0]), "length zero"),
    "zero scale": (_set("nodes", 0, "scale", to=[0, 0, 0]), "zero"),
    "compressed": (_set("extensionsRequired", to=["EXT_meshopt_compression"]), "compression"),
    "external buffer": (_set("buffers", 0, "uri", to="a.bin"), "within the file"),
    "unknown interpolation": (_set("animations", 0, "samplers", 0, "interpolation", to="X"), "X"),
    "bad captions": (_set("extras", "muybridge", "captions", to=[1]), "damaged"),
    "joints missing": (_set("skins", 0, "joints", to=[]), "damaged"),
}


@pytest.mark.parametrize("case", DAMAGE.values(), ids=DAMAGE.keys())
def test_broken_documents_get_one_sentence(
    small: Path, tmp_path: Path, case: tuple[Callable[[Any], Any], str]
) -> None:
    document, binary = parts(small)
    case[0](document)
    path = tmp_path / "broken.glb"
    path.write_bytes(pack(document, binary))
    with pytest.raises(InputError, match=case[1]) as raised:
        read_glb(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("keep", [0, 3, 11, 19, 200, -4])
def test_truncated_files_get_one_sentence(small: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.glb"
    path.write_bytes(small.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.glb"):
        read_glb(path)


def test_nan_in_a_track_is_refused(small: Path, tmp_path: Path) -> None:
    document, binary = parts(small)
    path = tmp_path / "nan.glb"
    path.write_bytes(pack(document, binary[:-4] + struct.pack("<f", np.nan)))
    with pytest.raises(InputError, match="finite"):
        read_glb(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_read_or_are_refused(small: Path, data: st.DataObject) -> None:
    content = small.read_bytes()
    document, binary = parts(small)
    document = {k: v for k, v in document.items() if k not in ("meshes", "materials")}
    content = pack(document, binary)
    path = small.with_name("damaged.glb")
    changed = data.draw(damaged(content, b'0123456789{}[],:"-.e x\0\xff'))
    length = struct.pack("<I", len(changed))
    path.write_bytes(changed[:8] + length + changed[12:])
    try:
        clip = read_glb(path)
    except InputError:
        return
    assert bool(clip.rotations.isfinite().all())


def test_gaps_are_refused(tmp_path: Path) -> None:
    clip = random_clip(0)
    clip.root[4] = torch.nan
    with pytest.raises(InputError, match="1 of 5 frames"):
        write_glb(tmp_path / "a.glb", clip)
    assert list(tmp_path.iterdir()) == []


def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    clip = random_clip(3, frames=5)
    far = replace(clip, root=clip.root + 1e200)
    with pytest.raises(InputError, match="below 3e38"):
        write_glb(tmp_path / "far.glb", far)
    assert not list(tmp_path.iterdir())
