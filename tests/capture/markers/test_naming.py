"""Recordings without labels get those of the pose they begin with."""

from dataclasses import replace

import pytest
import torch

from muybridge.capture.markers.naming import is_nameless, named, t_pose
from muybridge.capture.markers.take import solve_markers
from muybridge.capture.markers.virtual import dressed
from muybridge.errors import InputError
from muybridge.geometry.rotation import slerp
from muybridge.motion.clip import Clip
from muybridge.motion.markers import Markers
from tests.capture.markers.marked_walker import synthetic


@pytest.mark.parametrize(
    ("names", "nameless"),
    [(("*1", "*2"), True), (("point1", "point2"), True), (("Unlabeled 12",), True),
     (("LKNE", "C7"), False), (("Foot_Marker1",), False), (("ArmL1", "ArmL2"), False)],
)  # fmt: skip
def test_numbers_are_no_names(names: tuple[str, ...], nameless: bool) -> None:
    assert is_nameless(names) == nameless


def from_t_pose(frames: int = 90) -> Markers:
    """The synthetic walk that begins in a T-pose, which it leaves in half a second."""
    clip = synthetic(frames)
    rest = torch.zeros_like(clip.rotations)
    rest[..., 3] = 1.0
    share = (torch.arange(frames, dtype=torch.float64) / 30.0 - 0.2).clamp(0.0, 1.0)
    share = share.unsqueeze(-1).expand(frames, len(clip.skeleton))
    return dressed(Clip(clip.skeleton, slerp(rest, clip.rotations, share), clip.root, clip.fps))


def nameless(markers: Markers, seed: int = 0) -> Markers:
    """The same points as tracks in a random order, some broken in two."""
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(41, generator=g)
    tracks = markers.points_world[:, order]
    late = tracks[:, :5].clone()
    tracks, late = tracks.clone(), late
    tracks[60:, :5], late[:63] = torch.nan, torch.nan  # goes on under another number
    points = torch.cat((tracks, late), dim=1)
    return Markers(tuple(f"*{k}" for k in range(46)), points, markers.fps)


def test_a_t_pose_names_the_whole_take() -> None:
    truth = from_t_pose()
    found = named(nameless(truth))
    assert set(found.names) == set(truth.names)
    gap = (found.select(truth.names).points_world - truth.points_world).norm(dim=-1)
    assert float(gap.nan_to_num(0.0).max()) < 1e-9
    assert float(gap.isfinite().double().mean()) > 0.97


def test_the_whole_way_says_so() -> None:
    take = solve_markers(nameless(from_t_pose()))
    assert take.body == "person"
    assert "41 markers were found and followed" in take.findings[0].sentence


def test_an_earlier_recording_may_lend_its_names() -> None:
    truth = dressed(synthetic(60))
    lender = replace(truth, points_world=truth.points_world[:1] + 0.4)
    found = named(nameless(truth), lender)
    gap = (found.points_world - truth.points_world).norm(dim=-1)
    assert float(gap.nan_to_num(0.0).max()) < 1e-9


def test_another_pose_is_refused() -> None:
    few = replace(t_pose(), names=("*1", "*2", "*3"), points_world=t_pose().points_world[:, :3])
    with pytest.raises(InputError, match="start in a T-pose"):
        named(few)
