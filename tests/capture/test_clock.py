"""Time maps and their use: whole shifts lose nothing, fractions interpolate, gaps stay gaps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.capture.clock import Clocks, Dropped, onto_one_clock
from muybridge.motion.keypoints import COCO_17, Keypoints

NAMES = ("a", "b")


def straight_lines(frames: int, slots: int = 1) -> Keypoints:
    """Joints on lines at constant speed, so that interpolation is exact; b = a."""
    t = torch.arange(frames, dtype=torch.float64)[:, None, None]
    j = torch.arange(len(COCO_17), dtype=torch.float64)
    p = torch.arange(slots, dtype=torch.float64)[None, :, None]
    x = 100.0 + 20.0 * j + 0.5 * t + 900.0 * p
    y = 50.0 + 10.0 * j * (1.0 + 0.3 * p) - 0.25 * t
    points = torch.stack((x, y), dim=-1).expand(2, -1, -1, -1, -1).clone()
    return Keypoints(NAMES, COCO_17, points, torch.ones(points.shape[:-1]).double(), 60.0)


def clocks(offset: float, drift: float = 0.0, dropped: tuple[Dropped, ...] = ()) -> Clocks:
    tensor = torch.tensor([[0.0, offset], [0.0, drift]], dtype=torch.float64)
    return Clocks(NAMES, tensor[0], tensor[1], dropped)


@given(
    st.floats(-40, 40),
    st.floats(-0.01, 0.01),
    st.lists(st.tuples(st.integers(5, 90), st.integers(1, 6)), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_frames_at_inverts_instants(offset: float, drift: float, jumps: list) -> None:
    clock = clocks(offset, drift, tuple(Dropped("b", f, n) for f, n in jumps))
    shown = clock.instants(1, 100)
    assert bool((shown.diff() > 0.0).all())
    frame, _ = clock.frames_at(1, shown, 100)
    torch.testing.assert_close(frame, torch.arange(100.0).double(), atol=1e-6, rtol=0.0)
    outside, _ = clock.frames_at(1, torch.stack((shown[0] - 1.0, shown[-1] + 1.0)), 100)
    assert bool(outside.isnan().all())


def test_whole_offsets_move_frames_unchanged() -> None:
    keypoints = straight_lines(50)
    keypoints.points_px[1, 20, 0, 3] = torch.nan
    keypoints.confidence[1, 20, 0, 3] = 0.0
    moved = onto_one_clock(keypoints, clocks(7.0))
    torch.testing.assert_close(
        moved.points_px[1, 7:], keypoints.points_px[1, :-7], equal_nan=True, atol=0.0, rtol=0.0
    )
    torch.testing.assert_close(moved.confidence[1, 7:], keypoints.confidence[1, :-7])
    assert not bool(moved.seen[1, :7].any())
    assert torch.equal(moved.points_px[0], keypoints.points_px[0])


def test_fractions_interpolate_and_come_back() -> None:
    keypoints = straight_lines(50)
    there = onto_one_clock(keypoints, clocks(2.3))
    expected = keypoints.points_px[1] - 2.3 * torch.tensor([0.5, -0.25])
    torch.testing.assert_close(there.points_px[1, 3:], expected[3:])
    back = onto_one_clock(there, clocks(-2.3))
    seen = back.seen[1]
    torch.testing.assert_close(back.points_px[1][seen], keypoints.points_px[1][seen])
    assert int(seen[:, 0, 0].sum()) >= 45


def test_missing_joints_stay_missing() -> None:
    keypoints = straight_lines(30)
    keypoints.points_px[1, 10:15, 0, 2] = torch.nan
    keypoints.confidence[1, 10:15, 0, 2] = 0.0
    moved = onto_one_clock(keypoints, clocks(0.5))
    lost = (~moved.seen[1, 1:, 0, 2]).nonzero()[:, 0] + 1
    assert lost.tolist() == list(range(10, 16))
    assert float(moved.confidence[1, 12, 0, 2]) == 0.0


@pytest.mark.parametrize(("count", "bridged"), [(2, True), (9, False)])
def test_only_short_gaps_are_bridged(count: int, bridged: bool) -> None:
    keypoints = straight_lines(60)
    jump = Dropped("b", 20, count)
    moved = onto_one_clock(keypoints, clocks(0.0, dropped=(jump,)))
    inside = moved.seen[1, 20 : 20 + count, 0, 0]
    assert bool(inside.all()) == bridged
    assert bool(inside.any()) == bridged
    torch.testing.assert_close(moved.points_px[1, 20 + count :], keypoints.points_px[1, 20:-count])


def test_a_reference_that_dropped_frames_lengthens_the_take() -> None:
    moved = onto_one_clock(straight_lines(60), clocks(0.0, dropped=(Dropped("a", 20, 2),)))
    assert moved.frame_count == 62
    assert bool(moved.seen[1, :60].all())
    assert not bool(moved.seen[1, 60:].any())


def test_people_in_changing_slots_are_not_mixed() -> None:
    keypoints = straight_lines(40, slots=2)
    shuffled = keypoints.points_px.clone()
    shuffled[:, 1::2] = shuffled[:, 1::2].flip(2)
    mixed = Keypoints(NAMES, COCO_17, shuffled, keypoints.confidence, 60.0)
    tidy = onto_one_clock(keypoints, clocks(0.5))
    moved = onto_one_clock(mixed, clocks(0.5))

    def people(k: Keypoints) -> Tensor:
        order = k.points_px[1, :, :, 0, 0].argsort(1)
        return k.points_px[1].gather(1, order[..., None, None].expand_as(k.points_px[1]))

    torch.testing.assert_close(people(moved)[1:], people(tidy)[1:])


def test_corrections_survive() -> None:
    keypoints = straight_lines(20)
    corrected = torch.zeros_like(keypoints.seen)
    corrected[1, 5] = True
    with_edits = Keypoints(
        NAMES, COCO_17, keypoints.points_px, keypoints.confidence, 60.0, corrected
    )
    moved = onto_one_clock(with_edits, clocks(3.0))
    assert moved.corrected is not None
    assert moved.corrected[1, :, 0, 0].nonzero()[:, 0].tolist() == [8]
