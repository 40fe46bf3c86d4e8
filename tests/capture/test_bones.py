"""The tape measure: lengths and noise from moving markers, uneven sides, places of marks."""

from dataclasses import replace

import pytest
import torch

from muybridge.capture.bones import measure, place_landmarks
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate
from muybridge.motion.keypoints import COCO_17, HALPE_26
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from tests.model_person import LENGTHS, model_body, model_person


def _noisy(markers: Markers, sigma_m: float) -> Markers:
    noise = torch.randn(markers.points_world.shape, dtype=torch.float64)
    return replace(markers, points_world=markers.points_world + sigma_m * noise)


@pytest.mark.parametrize("names", [COCO_17, HALPE_26], ids=["COCO_17", "HALPE_26"])
def test_clean_markers_give_the_bones_exactly(names: tuple[str, ...]) -> None:
    _, markers = model_person(names)
    found = measure(markers)
    for name, length in found.spans.items():
        if name not in ("torso", "shoulders"):  # the spine bends, the collar bones turn
            assert length == pytest.approx(LENGTHS[name], abs=1e-9), name
    assert found.uneven == ()


def test_noise_is_measured_and_does_not_lengthen_the_bones() -> None:
    """The mean distance of two noisy ends is longer than the bone: here by 2 mm if uncorrected."""
    _, markers = model_person(COCO_17, frames=400)
    found, clean = measure(_noisy(markers, 0.02)), measure(markers)
    assert 0.016 < found.noise < 0.024
    arms = ("LeftForeArm", "LeftHand")
    for name in arms:
        assert found.spans[name] == pytest.approx(clean.spans[name], abs=0.0035)
    mean_error = sum(found.spans[name] - clean.spans[name] for name in arms) / 2.0
    assert abs(mean_error) < 0.0015


def test_gaps_change_nothing_but_the_count() -> None:
    _, markers = model_person(COCO_17)
    points = markers.points_world.clone()
    points[torch.rand(points.shape[:2]) < 0.3] = torch.nan
    found, clean = measure(replace(markers, points_world=points)), measure(markers)
    for name in ("LeftLeg", "RightFoot", "LeftForeArm"):
        assert found.spans[name] == pytest.approx(clean.spans[name], abs=1e-9)


def test_uneven_sides_are_told_and_not_averaged() -> None:
    _, markers = model_person(COCO_17)
    points = markers.points_world.clone()
    knee, ankle = markers.names.index("left_knee"), markers.names.index("left_ankle")
    points[:, ankle] += 0.3 * (points[:, ankle] - points[:, knee])
    points[:, markers.names.index("left_wrist")] += 0.002
    found = measure(replace(markers, points_world=points))
    assert found.uneven == ("LeftFoot", "RightFoot")
    assert found.spans["LeftFoot"] == pytest.approx(1.3 * found.spans["RightFoot"])
    assert found.spans["LeftHand"] == found.spans["RightHand"]
    apart = measure(replace(markers, points_world=points), symmetric=False).spans
    assert apart["LeftHand"] != apart["RightHand"]


def test_hips_and_shoulders_are_needed_together() -> None:
    _, markers = model_person(COCO_17, frames=4)
    points = markers.points_world.clone()
    points[:2, markers.names.index("left_hip")] = torch.nan
    points[2:, markers.names.index("left_shoulder")] = torch.nan
    with pytest.raises(InputError, match="both hips and both shoulders"):
        measure(replace(markers, points_world=points))


def test_a_mark_that_sits_elsewhere_is_found() -> None:
    """A detector's nose lies 2 cm before the template's."""
    body = model_body(HALPE_26)
    clip, markers = model_person(HALPE_26, frames=60)
    nose = body.markers.index("nose")
    offsets = body.marker_offsets.clone()
    offsets[nose, 2] += 0.02
    head = body.marker_joints[nose]
    pose = forward_clip(clip)
    points = markers.points_world.clone()
    moved = rotate(pose.orientations[:, head], offsets[nose].expand(60, 3))
    points[:, nose] = pose.positions[:, head] + moved
    std = torch.tensor(0.01, dtype=torch.float64)
    found = place_landmarks(body, replace(markers, points_world=points), std)
    before = float((body.marker_offsets[nose] - offsets[nose]).norm())
    after = float((found.marker_offsets[nose] - offsets[nose]).norm())
    assert after < 0.5 * before
