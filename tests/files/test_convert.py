"""From any motion file to any other that can hold it."""

from pathlib import Path

import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.clip import save_clip
from muybridge.files.convert import SUFFIXES, convert, markers_from_clip, read_motion
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from tests.motions import random_clip

CLIPS, POINTS = SUFFIXES[:3], SUFFIXES[3:]


def positions(motion: Clip | Markers) -> dict[str, torch.Tensor]:
    """World positions by name."""
    markers = markers_from_clip(motion) if isinstance(motion, Clip) else motion
    return dict(zip(markers.names, markers.points_world.unbind(1), strict=True))


@pytest.mark.parametrize("source", CLIPS)
@pytest.mark.parametrize("target", SUFFIXES)
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


@pytest.mark.parametrize(("source", "target"), [("a.fbx", "b.bvh"), ("a.bvh", "b.txt"), ("a", "b")])
def test_unknown_suffixes_are_refused(tmp_path: Path, source: str, target: str) -> None:
    (tmp_path / source).write_text("x")
    with pytest.raises(InputError, match=r"\.bvh, \.glb, \.npz, \.c3d, \.trc"):
        convert(tmp_path / source, tmp_path / target)


def test_joint_positions_are_those_of_the_pose() -> None:
    clip = random_clip(2)
    assert torch.equal(markers_from_clip(clip).points_world, forward_clip(clip).positions)
