"""The right sentence appears when a fault is injected, and does not on clean data."""

import math
from dataclasses import replace

import pytest
import torch

from muybridge.studio.diagnosis import Diagnosis, diagnose, direction
from muybridge.studio.measures import measure
from tests.studio.synthetic_take import Faults, synthetic_take


def _diagnose(faults: Faults | None = None, **options: int) -> Diagnosis:
    take = synthetic_take(faults=faults, **options)
    return diagnose(take, measure(take))


def _said(diagnosis: Diagnosis, *words: str) -> bool:
    return any(all(word in finding.sentence for word in words) for finding in diagnosis.findings)


def test_clean_take_is_good_and_silent() -> None:
    diagnosis = _diagnose()
    assert diagnosis.grade == "good"
    assert diagnosis.findings == ()
    assert diagnosis.sentence.startswith("Good: joints agree within 0.9 px (about 6 mm)")


FAULTS = {
    "bias": (Faults(bias_px={2: (10.0, 11.0)}), ("cam03", "biased by 14 px", "lower right")),
    "lag": (Faults(shift_frames={1: 2.0}), ("cam02", "2.0 frames ahead")),
    "behind": (Faults(shift_frames={3: -1.0}), ("cam04", "frames behind")),
    "swap": (Faults(swapped={1: ("knee", 0.2)}), ("cam02", "left and right knee")),
    "hidden": (Faults(hidden={"left_wrist": 0.32}), ("left wrist", "two cameras only", "31 %")),
    "filled": (
        Faults(filled=(("left_wrist", 3, 15), ("nose", 5, 9), ("left_wrist", 30, 33))[::2]),
        ("2 filled spans", "0.40 s", "left wrist"),
    ),
    "slide": (Faults(slide_m=0.008), ("feet slide 8 mm a frame",)),
    "noise": (Faults(noise_px=6.0), ("changed in length",)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_with_its_figure(name: str) -> None:
    faults, words = FAULTS[name]
    diagnosis = _diagnose(faults)
    assert _said(diagnosis, *words), [f.sentence for f in diagnosis.findings]
    advised = [f for f in diagnosis.findings if all(w in f.sentence for w in words)]
    assert all(f.advice for f in advised)


@pytest.mark.parametrize("name", ["bias", "lag", "behind", "swap"])
def test_only_the_faulty_camera_is_blamed(name: str) -> None:
    faults, words = FAULTS[name]
    blamed = {f.camera for f in _diagnose(faults).findings if f.severity == "warning"}
    assert blamed == {words[0]}


def test_bias_and_lag_together_are_told_apart() -> None:
    take = synthetic_take(faults=Faults(bias_px={2: (6.0, 4.0)}, shift_frames={1: 2.0}))
    cameras = measure(take).cameras
    assert cameras[2].bias_px == pytest.approx((6.0, 4.0), abs=1.0)
    assert cameras[1].lag_frames == pytest.approx(2.0, abs=0.25)
    assert abs(cameras[0].lag_frames) < 0.1
    assert math.hypot(*cameras[0].bias_px) < 1.0


def test_known_detector_offsets_are_taken_off_and_raw_figures_leave_them_in() -> None:
    clean = synthetic_take()
    person = clean.people[0]
    shape = (4, len(person.keypoints.joints), 2)
    generator = torch.Generator().manual_seed(5)
    offset = 9.0 * torch.randn(shape, generator=generator, dtype=torch.float64)
    shifted = person.keypoints.points_px + offset[:, None, None]
    by_hand = torch.zeros(shifted.shape[:-1], dtype=torch.bool)
    by_hand[0, :, :, 5] = True
    shifted = torch.where(by_hand.unsqueeze(-1), person.keypoints.points_px, shifted)
    keypoints = replace(person.keypoints, points_px=shifted, corrected=by_hand)
    people = (replace(person, keypoints=keypoints),)
    known = measure(replace(clean, people=people, detector_offset_px=offset))
    unknown = measure(replace(clean, people=people))
    assert known.median_px == pytest.approx(measure(clean).median_px, abs=1e-6)
    assert known.median_raw_px == pytest.approx(unknown.median_px, abs=1e-6)
    assert known.median_raw_px > 5.0 * known.median_px
    assert known.cameras[0].median_raw_px > known.cameras[0].median_px


@pytest.mark.parametrize("frames", [-2.0, -0.5, 0.75, 3.0])
def test_lag_is_measured(frames: float) -> None:
    take = synthetic_take(faults=Faults(shift_frames={3: frames}))
    lags = [camera.lag_frames for camera in measure(take).cameras]
    assert lags[3] == pytest.approx(frames, rel=0.15)
    assert all(abs(lag) < 0.1 for lag in lags[:3])


def test_swaps_are_counted() -> None:
    swaps = measure(synthetic_take(faults=Faults(swapped={1: ("knee", 0.2)}))).people[0].swaps
    assert [(s.camera, s.pair) for s in swaps] == [("cam02", "knee")]
    assert swaps[0].share == pytest.approx(0.2, abs=0.05)


def test_findings_come_worst_first() -> None:
    diagnosis = _diagnose(Faults(bias_px={2: (10.0, 11.0)}, hidden={"left_wrist": 0.4}))
    order = [f.severity for f in diagnosis.findings]
    assert order == sorted(order, key=["error", "warning", "info"].index)
    assert diagnosis.grade == "poor"


def test_nobody_is_an_error_not_a_crash() -> None:
    diagnosis = _diagnose(people=0)
    assert diagnosis.grade == "none"
    assert [f.severity for f in diagnosis.findings] == ["error"]


def test_single_frame_and_two_cameras_are_told() -> None:
    assert _said(_diagnose(frame_count=1), "single frame")
    assert _said(_diagnose(camera_count=2), "Two cameras")


def test_people_are_named_when_there_are_several() -> None:
    diagnosis = _diagnose(Faults(slide_m=0.008), people=2)
    assert _said(diagnosis, "person2", "feet slide")


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (10.0, 10.0, "to the lower right"),
        (-10.0, 1.0, "to the left"),
        (0.0, -5.0, "upwards"),
        (1.0, 9.0, "downwards"),
        (9.0, -8.0, "to the upper right"),
    ],
)
def test_directions(x: float, y: float, words: str) -> None:
    assert direction(x, y) == words
