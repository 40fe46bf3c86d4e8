"""Known offsets, drifts and dropped frames are found again, in synthetic takes and in the demo."""

from functools import partial

import pytest
import torch
from torch import Tensor

from muybridge.capture.associate import AssociateOptions, associate
from muybridge.capture.clock import Clocks, onto_one_clock
from muybridge.capture.offsets import search_offsets, shift_costs, smooth_tracks
from muybridge.capture.spans import plan_spans
from muybridge.capture.sync import (
    Sync,
    SyncOptions,
    _offset_findings,
    resample,
    synchronise,
)
from muybridge.errors import InputError
from muybridge.geometry.epipolar import epipolar_pair, world_rays
from muybridge.motion.keypoints import Keypoints
from tests.demo import demo_cameras, demo_people
from tests.passersby import FPS, Faults, circle, film, rig, straight, walk


def shoot(
    instants: Tensor, seed: int = 0, paths: list | None = None, faults: Faults | None = None
) -> Keypoints:
    """People filmed at the given instants (C, T), in frames of camera 0."""
    people = [partial(walk, path) for path in paths or [circle(1.2, 8.0)]]
    acts = [lambda s, person=person: person(seconds=s) for person in people]
    faults = faults or Faults(2.0, 0.05, shuffle=True)
    return film(acts, rig(len(instants)), instants / FPS, faults, seed)[0]


def delayed(keypoints: Keypoints, offsets: list[float]) -> Keypoints:
    """The take as cameras would have filmed it that started late by so many frames."""
    moved = -torch.tensor(offsets, dtype=torch.float64)
    return onto_one_clock(keypoints, Clocks(keypoints.cameras, moved, torch.zeros_like(moved)))


def cut(keypoints: Keypoints, camera: int, frame: int, count: int) -> Keypoints:
    """The take without `count` frames of one camera before its frame `frame`."""
    kept = [t for t in range(keypoints.frame_count) if not frame <= t < frame + count]
    points = torch.full_like(keypoints.points_px, torch.nan)
    confidence = torch.zeros_like(keypoints.confidence)
    others = [c for c in range(len(keypoints.cameras)) if c != camera]
    points[others], confidence[others] = keypoints.points_px[others], keypoints.confidence[others]
    points[camera, : len(kept)] = keypoints.points_px[camera, kept]
    confidence[camera, : len(kept)] = keypoints.confidence[camera, kept]
    return Keypoints(keypoints.cameras, keypoints.joints, points, confidence, keypoints.fps)


def errors(found: Sync, truth: list[float]) -> float:
    return float((found.offsets_frames - torch.tensor(truth)).abs().max())


@pytest.mark.parametrize(
    "truth", [(0.0, 0.4, -0.5, 0.6), (0.0, -7.37, 21.3, 2.75), (0.0, 30.0, 29.5, -30.0)]
)
def test_subframe_offsets_without_vertical_motion(truth: tuple[float, ...]) -> None:
    t = torch.arange(160, dtype=torch.float64)
    found = synchronise(shoot(t + torch.tensor(truth)[:, None], seed=1), rig())
    assert errors(found, list(truth)) < 0.2
    assert found.dropped == ()
    assert not bool(found.drift.any())
    within = (found.offsets_frames - torch.tensor(truth)).abs() <= 3.0 * found.std_frames
    assert bool(within[1:].all()), "the stated uncertainty holds"


def test_several_people_do_not_confuse_the_search() -> None:
    truth = [0.0, 0.4, -7.6, 15.3]
    t = torch.arange(160, dtype=torch.float64)
    ways = [straight((-2.0, 1.0), (2.0, -1.0), 3.0), straight((2.0, 1.2), (-2.0, -1.0), 3.0)]
    found = synchronise(
        shoot(t + torch.tensor(truth)[:, None], 2, [*ways, circle(1.5, 7.0)]), rig()
    )
    assert errors(found, truth) < 0.2


def test_synchronous_cameras_are_reported_as_such() -> None:
    t = torch.arange(120, dtype=torch.float64).expand(4, -1)
    found = synchronise(shoot(t, 3), rig())
    assert found.offsets_frames.tolist() == [0.0] * 4
    assert all("taken as 0" in finding.sentence for finding in found.findings)
    keypoints = shoot(t, 3)
    assert resample(keypoints, found) is keypoints


def test_drift_of_half_a_percent_is_found() -> None:
    t = torch.arange(420, dtype=torch.float64)
    rate = torch.tensor([0.0, 0.005, 0.0, 0.0], dtype=torch.float64)[:, None]
    found = synchronise(shoot(t * (1.0 + rate) + 2.0 * (rate > 0.0), 4), rig())
    assert float(found.drift[1]) == pytest.approx(0.005, abs=0.0008)
    assert found.drift[[0, 2, 3]].tolist() == [0.0] * 3
    worst = (found.clocks.instants(1, 420) - (t * 1.005 + 2.0)).abs().max()
    assert float(worst) < 0.3
    assert any("drifts" in f.sentence and f.camera == "cam2" for f in found.findings)


def test_dropped_frames_are_found() -> None:
    keypoints = cut(shoot(torch.arange(240, dtype=torch.float64).expand(4, -1), 5), 2, 130, 3)
    found = synchronise(keypoints, rig())
    (jump,) = found.dropped
    assert (jump.camera, jump.count) == ("cam3", 3)
    assert abs(jump.frame - 130) <= 2
    assert errors(found, [0.0] * 4) < 0.2
    back = resample(keypoints, found)
    assert back.frame_count == 240
    whole = shoot(torch.arange(240, dtype=torch.float64).expand(4, -1), 5)
    same = torch.isclose(back.points_px[2, 136:230], whole.points_px[2, 136:230], atol=1e-6)
    assert float(same[whole.seen[2, 136:230]].double().mean()) > 0.99


def test_demo_is_synchronous() -> None:
    found = synchronise(demo_people(), demo_cameras())
    assert found.offsets_frames.tolist() == [0.0] * 4
    assert found.dropped == ()
    assert float(found.std_frames.max()) < 0.3


@pytest.mark.parametrize(
    "truth",
    [
        (0.0, 0.5, 0.0, 0.0), (0.0, 0.0, -0.5, 0.5),
        (0.0, 30.0, 0.0, 0.0), (0.0, 0.0, -30.0, 0.0), (0.0, 0.0, 0.0, 30.0),
        (0.0, 19.7, -5.4, 3.0), (0.0, -28.3, 15.2, 2.3), (0.0, -13.2, -0.9, 28.8),
    ],
)  # fmt: skip
def test_offsets_injected_into_the_demo_are_recovered(truth: tuple[float, ...]) -> None:
    """The calibration is biased by up to 15 px, and only 70 frames overlap."""
    found = synchronise(delayed(demo_people(), list(truth)), demo_cameras())
    assert errors(found, list(truth)) < 0.25
    assert found.dropped == ()


def test_frames_dropped_in_the_demo_are_found() -> None:
    found = synchronise(cut(demo_people(), 1, 40, 3), demo_cameras())
    (jump,) = found.dropped
    assert jump.camera == "cam02"
    assert abs(jump.frame - 40) <= 3
    assert 3 <= jump.count <= 4  # half a frame of its offset may be booked as a frame


def test_synchronised_and_associated_demo_verifies_itself() -> None:
    keypoints = delayed(demo_people(), [0.0, 12.0, 0.0, -9.0])
    found = synchronise(keypoints, demo_cameras())
    main = associate(
        resample(keypoints, found), demo_cameras(), AssociateOptions(repair=False)
    ).main
    again = synchronise(main, demo_cameras())
    assert again.offsets_frames.tolist() == [0.0] * 4


def test_half_an_hour_is_searched_in_spans() -> None:
    spans = plan_spans(108_000, 4, 65)
    assert sum(span.length for span in spans) < 108_000 / 10
    assert min(s.starts[0] for s in spans) == 0
    assert max(s.starts[0] + s.length for s in spans) == 108_000


def test_long_takes_with_drift_and_a_jump() -> None:
    frames = 2400
    t = torch.arange(frames, dtype=torch.float64)
    instants = t.expand(3, -1) + torch.tensor([[0.0], [12.3], [-40.0]])
    instants = instants * torch.tensor([[1.0], [1.001], [1.0]])
    instants = torch.where((t >= 1500) & (torch.arange(3) == 2)[:, None], instants + 4.0, instants)
    found = synchronise(shoot(instants, 6), rig(3))
    (jump,) = found.dropped
    assert (jump.camera, jump.count) == ("cam3", 4)
    assert abs(jump.frame - 1500) <= 2
    assert float(found.drift[1]) == pytest.approx(0.001, abs=1e-4)
    for c in range(3):
        gap = (found.clocks.instants(c, frames) - instants[c]).abs()
        assert float(gap.quantile(0.99)) < 0.25


def test_search_prefers_what_all_pairs_agree_on() -> None:
    """Curves with known minima: the third camera follows from the sum of both pairs."""
    d = torch.arange(-10, 11, dtype=torch.float64)
    curve = {
        (0, 1): ((d + 4.0) ** 2)[None, None],
        (0, 2): ((d - 1.0) ** 2)[None, None],
        (1, 2): ((d - 5.0) ** 2)[None, None],
    }  # entry d means offset_a - offset_b = d
    offsets, tracks = search_offsets(curve, 3)
    assert offsets.tolist() == [0, 4, -1]
    assert tracks == [0, 0, 0]


def test_shift_costs_are_least_at_the_true_shift() -> None:
    t = torch.arange(120, dtype=torch.float64)
    keypoints = shoot(torch.stack((t, t + 9.0)), 7, faults=Faults(1.0, 0.0))
    cameras = rig(2)
    rays = world_rays(cameras, keypoints.points_px[:, :, 0])
    cost = shift_costs(rays[0], rays[1], epipolar_pair(cameras, 0, 1), 20)
    assert int(cost.argmin()) - 20 == -9  # frame t of camera 0 is frame t - 9 of camera 1


def test_smoothing_neither_delays_nor_fills() -> None:
    t = torch.arange(60, dtype=torch.float64)
    line = torch.stack((2.0 * t, 5.0 - t), dim=-1).unsqueeze(1)
    line[30] = torch.nan
    smooth = smooth_tracks(line, 2.0)
    torch.testing.assert_close(smooth[10:20], line[10:20])
    assert bool(smooth[30].isnan().all())
    assert int(smooth.isnan().sum()) == 2


def test_bad_input_is_named() -> None:
    t = torch.arange(40, dtype=torch.float64).expand(4, -1)
    keypoints = shoot(t)
    with pytest.raises(InputError, match="match the calibration"):
        synchronise(keypoints, rig(3))
    one = synchronise(keypoints.select_cameras(["cam1"]), rig().select([0]))
    assert one.offsets_frames.tolist() == [0.0]
    blind = Keypoints(
        keypoints.cameras,
        keypoints.joints,
        torch.full_like(keypoints.points_px, torch.nan),
        torch.zeros_like(keypoints.confidence),
        FPS,
    )
    found = synchronise(blind, rig(), SyncOptions())
    assert [f.severity for f in found.findings] == ["warning"]
    assert bool(found.std_frames[1:].isnan().all())


def test_a_clock_that_nothing_tells_is_said_to_be_unknown() -> None:
    clocks = Clocks(("a", "b"), torch.tensor([0.0, -6.1]).double(), torch.zeros(2).double())
    (unsure,) = _offset_findings(clocks, 1, 0.0, 148260.0, 100)
    assert unsure.severity == "warning"
    assert "cannot be told" in unsure.sentence
    (sure,) = _offset_findings(clocks, 1, 0.0, 0.2, 100)
    assert "within the noise" in sure.sentence
