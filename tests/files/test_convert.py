"""From any motion file to any other that can hold it."""

from pathlib import Path

import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.clip import save_clip
from muybridge.files.convert import SUFFIXES, convert, markers_from_clip, read_clip, read_motion
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from tests.motions import random_clip

POINTS = (".c3d", ".trc")
CLIPS = (".bvh", ".glb", ".npz")  # and .fbx, which needs Blender: see test_fbx


def positions(motion: Clip | Markers) -> dict[str, torch.Tensor]:
    """World positions by name."""
    markers = markers_from_clip(motion) if isinstance(motion, Clip) else motion
    return dict(zip(markers.names, markers.points_world.unbind(1), strict=True))


@pytest.mark.parametrize("source", CLIPS)
@pytest.mark.parametrize("target", CLIPS + POINTS)
def test_clips_go_everywhere(tmp_path: Path, source: str, target: str) -> None:
    clip = random_clip(0)
    save_clip(tmp_path / "start.npz", clip)
    convert(tmp_path / "start.npz", tmp_path / f"a{source}")
    convert(tmp_path / f"a{source}", tmp_path / f"b{target}")
    motion = read_motion(tmp_path / f"b{target}")
    assert (motion.fps, len(motion)) == (clip.fps, len(clip))
    found, expected = positions(motion), positions(clip)
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert float((found[name] - points).abs().max()) < 1e-4  # metres


@pytest.mark.parametrize("source", POINTS)
def test_markers_go_between_point_files_only(tmp_path: Path, source: str) -> None:
    save_clip(tmp_path / "start.npz", random_clip(1))
    convert(tmp_path / "start.npz", tmp_path / f"a{source}")
    for target in POINTS:
        convert(tmp_path / f"a{source}", tmp_path / f"b{target}")
        expected, found = (
            positions(read_motion(tmp_path / n)) for n in (f"a{source}", f"b{target}")
        )
        for name, points in expected.items():
            torch.testing.assert_close(found[name], points, atol=1e-6, rtol=0)
    for target in CLIPS:
        with pytest.raises(InputError, match="muybridge solve"):
            convert(tmp_path / f"a{source}", tmp_path / f"c{target}")


@pytest.mark.parametrize(("source", "target"), [("a.obj", "b.bvh"), ("a.bvh", "b.txt"), ("a", "b")])
def test_unknown_suffixes_are_refused(tmp_path: Path, source: str, target: str) -> None:
    (tmp_path / source).write_text("x")
    with pytest.raises(InputError, match=", ".join(SUFFIXES)):
        convert(tmp_path / source, tmp_path / target)


def test_joint_positions_are_those_of_the_pose() -> None:
    clip = random_clip(2)
    assert torch.equal(markers_from_clip(clip).points_world, forward_clip(clip).positions)


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    save_clip(tmp_path / "a.npz", random_clip(3))
    with pytest.raises(InputError, match=r"--unit with a BVH file, got a\.npz and a\.glb"):
        convert(tmp_path / "a.npz", tmp_path / "a.glb", unit="m")
    with pytest.raises(InputError, match=r"--interpolation with a \.glb file"):
        convert(tmp_path / "a.npz", tmp_path / "a.bvh", interpolation="STEP")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_unit_is_written_and_read(tmp_path: Path) -> None:
    clip = random_clip(4)
    save_clip(tmp_path / "a.npz", clip)
    convert(tmp_path / "a.npz", tmp_path / "m.bvh", unit="m")
    convert(tmp_path / "a.npz", tmp_path / "cm.bvh")
    metres, centimetres = (
        read_bvh(tmp_path / name, unit="m").clip.root for name in ("m.bvh", "cm.bvh")
    )
    torch.testing.assert_close(metres, clip.root, atol=1e-6, rtol=0)
    torch.testing.assert_close(centimetres, 100.0 * clip.root, atol=1e-6, rtol=0)


def test_points_are_no_clip(tmp_path: Path) -> None:
    save_clip(tmp_path / "a.npz", random_clip(5))
    convert(tmp_path / "a.npz", tmp_path / "a.trc")
    with pytest.raises(InputError, match="got points alone"):
        read_clip(tmp_path / "a.trc")
