"""Self-calibration from a person: truth recovered, a good rig left alone, the demo's figures."""

import time
from dataclasses import replace

import pytest
import torch

from muybridge.capture.reconstruct import ReconstructOptions, reconstruct, unbias
from muybridge.capture.refine import RefineOptions, _thinned, heldout_px, refine_cameras
from muybridge.capture.threads import one_thread
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import rotvec_from_matrix
from muybridge.motion.keypoints import Keypoints
from tests.capture.walk_views import JOINTS, path_world, walk_views
from tests.demo import demo_cameras, demo_person
from tests.rigs import perturbed, ring


def _apart(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Largest distance (metres) and angle (degrees) of a camera, rigidly aligned: scale counts."""
    fit = align(found.centres_world, truth.centres_world)
    distance = (fit.apply(found.centres_world) - truth.centres_world).norm(dim=-1)
    turn = rotvec_from_matrix(found.rotation @ fit.rotation.mT @ truth.rotation.mT)
    return float(distance.max()), float(turn.norm(dim=-1).rad2deg().max())


def _frames(keypoints: Keypoints, cut: slice) -> Keypoints:
    return replace(
        keypoints, points_px=keypoints.points_px[:, cut], confidence=keypoints.confidence[:, cut]
    )


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_shaken_rig_comes_back_with_a_baseline(count: int) -> None:
    truth = ring(count, radius=4.5)
    views = walk_views(truth, sigma_px=2.0, dropped=0.05, gross=0.03, seed=count)
    given = perturbed(truth, 2.0, 0.1, seed=count)
    baseline = float((truth.centres_world[0] - truth.centres_world[1]).norm())
    options = RefineOptions(baseline=("cam01", "cam02", baseline))
    started = time.process_time()
    with one_thread():
        found = refine_cameras(views.keypoints, given, options)
    assert time.process_time() - started < 5.0
    distance, angle = _apart(found.cameras, truth)
    assert found.accepted
    assert distance < 0.010
    assert angle < 0.2
    assert float(found.heldout_after_px.max()) < 5.0 < float(found.heldout_before_px.min())


def test_body_height_sets_the_scale() -> None:
    truth = ring(4, radius=4.5)
    points = path_world()
    legs = 0.0
    for side in ("left", "right"):
        for a, b in (("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle")):
            ends = [points[:, JOINTS.index(f"{side}_{j}")] for j in (a, b)]
            legs += float((ends[0] - ends[1]).norm(dim=-1).median()) / 2.0
    views = walk_views(truth, sigma_px=2.0, dropped=0.0, gross=0.0)
    grown = replace(truth, translation=1.05 * truth.translation)  # a world 5 % too large
    given = perturbed(grown, 1.0, 0.05, seed=2)
    found = refine_cameras(views.keypoints, given, RefineOptions(body_height_m=legs / 0.779))
    assert _apart(given, truth)[0] > 0.1
    assert _apart(found.cameras, truth)[0] < 0.015


def test_a_good_rig_is_left_alone() -> None:
    views = walk_views(sigma_px=2.0, dropped=0.0, gross=0.0)
    found = refine_cameras(views.keypoints, views.cameras)
    assert not found.accepted
    assert found.cameras is views.cameras
    assert float(found.moved_m.abs().max()) == 0.0
    assert "kept" in found.findings[0].sentence


def test_a_biased_camera_is_named() -> None:
    views = walk_views(sigma_px=2.0, dropped=0.0, gross=0.0)
    shifted = views.keypoints.points_px.clone()
    shifted[2] += torch.tensor([16.0, -12.0], dtype=torch.float64)
    found = refine_cameras(replace(views.keypoints, points_px=shifted), views.cameras)
    assert found.accepted
    said = [f for f in found.findings if f.severity == "warning"]
    assert {f.camera for f in said} == {"cam03"}
    assert "biased" in said[0].sentence
    assert float(found.after_px[2]) < 0.3 * float(found.before_px[2])


def _detector_bias(keypoints: Keypoints, sigma_px: float, seed: int) -> Keypoints:
    """Every joint is seen aside in every camera, all through the take."""
    cameras, joints = len(keypoints.cameras), len(keypoints.joints)
    generator = torch.Generator().manual_seed(seed)
    bias = torch.randn(cameras, 1, 1, joints, 2, generator=generator, dtype=torch.float64)
    return replace(keypoints, points_px=keypoints.points_px + sigma_px * bias)


@pytest.mark.parametrize("seed", [0, 2])
def test_a_biased_detector_does_not_push_true_cameras_about(seed: int) -> None:
    truth = ring(4, radius=4.5)
    views = walk_views(truth, sigma_px=3.0, dropped=0.05, gross=0.03, seed=seed)
    found = refine_cameras(_detector_bias(views.keypoints, 8.0, seed), truth)
    assert {f.severity for f in found.findings} == {"info"}
    assert float(found.moved_m.max()) < 0.005
    assert bool((found.turned_deg < 2.0 * found.turned_std_deg).all())
    assert float(found.offset_px.norm(dim=-1).median()) > 3.0, "the detector's faults stay its own"


def test_a_knocked_camera_is_told_from_a_biased_detector() -> None:
    truth = ring(4, radius=4.5)
    views = walk_views(truth, sigma_px=3.0, dropped=0.05, gross=0.03, seed=1)
    knocked = perturbed(truth, 0.6, 0.0, seed=1)
    rotation = torch.cat((truth.rotation[:2], knocked.rotation[2:3], truth.rotation[3:]))
    translation = -(rotation @ truth.centres_world.unsqueeze(-1)).squeeze(-1)
    given = replace(truth, rotation=rotation, translation=translation)
    found = refine_cameras(_detector_bias(views.keypoints, 8.0, 1), given)
    assert int(found.turned_deg.argmax()) == 2
    assert abs(float(found.turned_deg[2]) - 0.6) < 2.0 * float(found.turned_std_deg[2])
    assert [f.camera for f in found.findings if f.severity == "warning"] == ["cam03"]
    assert "\u00b1" in found.findings[1].sentence, "moves are told with their uncertainty"


def test_too_little_keeps_the_calibration_and_wrong_input_is_named() -> None:
    views = walk_views()
    short = refine_cameras(_frames(views.keypoints, slice(0, 4)), views.cameras)
    assert not short.accepted
    assert "too little" in short.findings[0].sentence
    rig = perturbed(views.cameras, 2.0, 0.1, seed=0)
    unknown = RefineOptions(baseline=("cam01", "cam9", 1.0))
    with pytest.raises(InputError, match="baseline between two of"):
        refine_cameras(views.keypoints, rig, unknown)
    with pytest.raises(InputError, match="match the cameras by name"):
        refine_cameras(views.keypoints, views.cameras.select([0, 1]))


def test_heldout_error_is_of_cameras_that_took_no_part() -> None:
    views = walk_views(sigma_px=0.0, dropped=0.0, gross=0.0)
    seen, weight = views.keypoints.points_px[:, :, 0].clone(), views.keypoints.confidence[:, :, 0]
    shift = torch.tensor([9.0, -4.0], dtype=torch.float64)
    seen[1] += shift
    error = heldout_px(seen, weight, views.cameras)
    torch.testing.assert_close(error[1], shift.expand_as(error[1]), rtol=0.0, atol=1e-6)


def test_the_demo_predicts_a_held_out_camera() -> None:
    """Refined on frames 0 to 49; frames 50 to 99: three cameras predict the fourth."""
    keypoints, given = demo_person(), demo_cameras()
    refined = refine_cameras(_frames(keypoints, slice(0, 50)), given)
    assert refined.accepted
    test = _frames(keypoints, slice(50, 100))
    for camera, name in enumerate(given.names):
        others = [c for c in range(4) if c != camera]
        three = test.select_cameras([given.names[c] for c in others])
        options = ReconstructOptions(
            offset_px=refined.offset_px[others], bone_lengths=refined.bone_lengths
        )
        points = reconstruct(three, refined.cameras.select(others), options).points_world
        predicted = refined.cameras.select([camera]).project(points)[0]
        seen = unbias(test, refined.offset_px).points_px[camera, :, 0]
        error = float((predicted - seen).norm(dim=-1).nanmedian())
        assert error <= 13.0, f"{name}: {error:.1f} px"


def test_the_demo_is_refined_in_time_and_says_what_was_wrong() -> None:
    keypoints, given = demo_person(), demo_cameras()
    started = time.process_time()
    with one_thread():
        refined = refine_cameras(keypoints, given)
    assert time.process_time() - started < 1.5
    assert bool((refined.heldout_after_px < refined.heldout_before_px).all())
    assert float(refined.after_px.max()) < 6.0
    worst = [f for f in refined.findings if f.camera == "cam03"]
    assert worst[0].severity == "warning"
    assert "biased" in worst[0].sentence
    assert float(refined.moved_m.max()) < 0.02, "no camera is said to have moved without evidence"


def test_a_long_take_is_thinned_evenly_and_keeps_its_clock() -> None:
    seen = torch.arange(9000, dtype=torch.float64).reshape(1, 9000, 1, 1, 1).expand(1, -1, 1, 1, 2)
    take = Keypoints(("a",), ("nose",), seen, torch.ones(1, 9000, 1, 1), 60.0)
    few = _thinned(take, 1000)
    assert few.frame_count == 1000
    assert few.fps == pytest.approx(60.0 / 9.0)
    steps = few.points_px[0, 1:, 0, 0, 0] - few.points_px[0, :-1, 0, 0, 0]
    assert float(steps.min()) >= 8.0
    assert float(steps.max()) <= 10.0
    assert _thinned(few, 1000) is few
