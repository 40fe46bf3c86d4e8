"""Labels without a swap, through occlusions and ghosts; poses found again."""

import pytest
import torch
from torch import Tensor

from muybridge.capture.markers.label import Labelled, label, match_pose
from muybridge.capture.markers.virtual import dressed
from muybridge.errors import InputError
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.motion.clip import Clip
from muybridge.motion.markers import Markers
from tests.capture.markers.marked_walker import synthetic, walker


def shuffled(
    markers: Markers, seed: int, ghosts: int = 3, dropped: float = 0.02, occlusions: int = 14
) -> tuple[Tensor, Tensor]:
    """Nameless points with 1 mm noise and whose they are: -1 ghosts, -2 nobody's place.

    Ghosts lie near markers (15 cm, one sigma); an occlusion lasts 0.3 s; the first frame is whole.
    """
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(markers.points_world.shape, generator=g, dtype=torch.float64)
    points = markers.points_world + 0.001 * noise
    frames, count = points.shape[:2]
    gone = torch.rand(frames, count, generator=g) < dropped
    length = round(0.3 * markers.fps)
    for _ in range(occlusions):
        marker = int(torch.randint(count, (1,), generator=g))
        start = int(torch.randint(3, frames - length, (1,), generator=g))
        gone[start : start + length, marker] = True
    gone[0] = False
    near = torch.randint(count, (frames, ghosts), generator=g)
    scatter = 0.15 * torch.randn(frames, ghosts, 3, generator=g, dtype=torch.float64)
    false = points[torch.arange(frames).unsqueeze(1), near] + scatter
    points = torch.where(gone.unsqueeze(-1), torch.nan, points)
    who = torch.where(gone, -2, torch.arange(count).expand(frames, count))
    points = torch.cat((points, false), dim=1)
    who = torch.cat((who, torch.full((frames, ghosts), -1)), dim=1)
    order = torch.rand(who.shape, generator=g).argsort(1)
    return points.gather(1, order.unsqueeze(-1).expand_as(points)), who.gather(1, order)


def judged(found: Labelled, who: Tensor) -> tuple[int, int, float]:
    """Swaps, ghosts taken for markers, and share of the visible markers that got their name."""
    owner = torch.where(found.slots >= 0, who.gather(1, found.slots.clamp_min(0)), -3)
    own = torch.arange(owner.shape[1])
    visible = torch.stack([(who == m).any(1) for m in range(owner.shape[1])], dim=1)
    swaps = int(((owner >= 0) & (owner != own)).sum())
    return swaps, int((owner == -1).sum()), float((owner == own).sum() / visible.sum())


@pytest.mark.parametrize("seed", [0, 3])
def test_no_swap_at_100_hz_through_occlusions_and_ghosts(seed: int) -> None:
    markers = walker(100.0, 1.0)
    points, who = shuffled(markers, seed)
    found = label(points, 100.0, markers.names, markers.points_world[0])
    swaps, ghosts, share = judged(found, who)
    assert swaps == 0
    assert ghosts <= 5
    assert share > 0.99


def test_slots_may_come_in_any_order() -> None:
    markers = walker(100.0, 0.4)
    points, _ = shuffled(markers, 1, occlusions=3)
    order = torch.rand(points.shape[:2], generator=torch.Generator().manual_seed(9)).argsort(1)
    mixed = points.gather(1, order.unsqueeze(-1).expand_as(points))
    first = label(points, 100.0, markers.names, markers.points_world[0])
    second = label(mixed, 100.0, markers.names, markers.points_world[0])
    torch.testing.assert_close(
        first.markers.points_world, second.markers.points_world, equal_nan=True
    )


def test_labels_go_backwards_too() -> None:
    markers = walker(100.0, 0.5)
    points, who = shuffled(markers, 2, occlusions=4)
    found = label(points, 100.0, markers.names, markers.points_world[25], frame=25)
    swaps, _, share = judged(found, who)
    assert swaps == 0
    assert share > 0.97


def t_pose(scale: float = 1.0) -> tuple[Tensor, tuple[str, ...]]:
    """The set on a person of our own proportions who stands in T-pose."""
    clip = synthetic(1)
    rest = torch.zeros_like(clip.rotations)
    rest[..., 3] = 1.0
    markers = dressed(Clip(clip.skeleton, rest, clip.skeleton.offsets[:1], 60.0))
    return scale * markers.points_world[0], markers.names


@pytest.mark.parametrize(("heading", "scale"), [(0.0, 1.0), (2.1, 1.08), (-1.3, 0.93)])
def test_a_t_pose_is_found_anywhere_in_the_room(heading: float, scale: float) -> None:
    reference, _ = t_pose()
    turn = matrix_from_rotvec(torch.tensor([0.0, heading, 0.0], dtype=torch.float64))
    truth = scale * reference @ turn.mT + torch.tensor([1.5, 0.0, -0.7], dtype=torch.float64)
    g = torch.Generator().manual_seed(0)
    real = truth + 0.008 * torch.randn(truth.shape, generator=g, dtype=torch.float64)
    ghosts = truth[:4] + 0.3
    cloud = torch.cat((real[3:], ghosts))[torch.randperm(42, generator=g)]
    found = match_pose(reference, cloud)
    close = (found - real).norm(dim=-1)[3:]
    assert bool((close[close.isfinite()] < 1e-9).all())
    assert int(close.isfinite().sum()) >= 37


def test_a_pose_that_is_not_there_is_refused() -> None:
    reference, _ = t_pose()
    with pytest.raises(InputError, match="in the reference pose"):
        match_pose(reference, torch.rand(5, 3, dtype=torch.float64))


def test_bad_arguments_are_refused() -> None:
    markers = walker(100.0, 0.1)
    points, pose = markers.points_world, markers.points_world[0]
    with pytest.raises(InputError, match="positive frame rate"):
        label(points, 0.0, markers.names, pose)
    with pytest.raises(InputError, match="frame below"):
        label(points, 100.0, markers.names, pose, frame=99)
    with pytest.raises(InputError, match="at least 3"):
        label(points, 100.0, markers.names, pose * torch.nan)


def test_empty_frames_do_no_harm() -> None:
    markers = walker(100.0, 0.2)
    points = markers.points_world.clone()
    points[8:10] = torch.nan
    found = label(points, 100.0, markers.names, points[0])
    assert bool((found.slots[8:10] == -1).all())
    assert bool((found.slots[10:] == torch.arange(41)).all())
