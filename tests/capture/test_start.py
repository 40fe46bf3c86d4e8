"""The first pose: exact for clean markers, at rest where nothing is seen."""

import pytest
import torch

from muybridge.capture.start import first_pose
from muybridge.geometry.rotation import matrix_from_euler
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import BODY_25, COCO_17, HALPE_26
from tests.model_person import landmarks_world, model_body, model_person

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
SETS = {"COCO_17": COCO_17, "BODY_25": BODY_25, "HALPE_26": HALPE_26}


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_clean_markers_are_explained_to_a_millimetre(names: tuple[str, ...]) -> None:
    body, (_, markers) = model_body(names), model_person(names)
    state = first_pose(body, markers.points_world)
    posed = landmarks_world(body, Clip(body.skeleton, *state, markers.fps))
    rows = [markers.names.index(f"{side}_{part}") for side in ("left", "right") for part in LIMBS]
    error = (posed - markers.points_world)[:, rows].norm(dim=-1)
    assert float(error.max()) < 1e-3


def test_turning_the_world_turns_the_root_only() -> None:
    body, (_, markers) = model_body(COCO_17), model_person(COCO_17, frames=20)
    turn = matrix_from_euler(torch.tensor([2.0], dtype=torch.float64), "y")
    before = first_pose(body, markers.points_world)
    after = first_pose(body, markers.points_world @ turn.mT)
    torch.testing.assert_close(after.root, before.root @ turn.mT)
    same = (after.rotations[:, 1:] * before.rotations[:, 1:]).sum(-1).abs()  # q and -q are alike
    torch.testing.assert_close(same, torch.ones_like(same))


def test_limbs_that_were_never_seen_rest() -> None:
    body, (_, markers) = model_body(COCO_17), model_person(COCO_17, frames=5)
    points = markers.points_world.clone()
    for name in ("left_elbow", "left_wrist"):
        points[:, markers.names.index(name)] = torch.nan
    rotations = first_pose(body, points).rotations
    assert bool(rotations.isfinite().all())
    rest = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).expand(5, 4)
    for joint in ("LeftArm", "LeftForeArm"):
        torch.testing.assert_close(rotations[:, body.skeleton.index(joint)], rest)


def test_knees_never_start_bent_backwards() -> None:
    """Noise turns the hinge of a straight leg over; averaging its axis does not."""
    body, (_, markers) = model_body(COCO_17), model_person(COCO_17)
    noise = 0.03 * torch.randn(markers.points_world.shape, dtype=torch.float64)
    state = first_pose(body, markers.points_world + noise, calm=6)
    for joint in ("LeftLeg", "RightLeg"):
        x = state.rotations[:, body.skeleton.index(joint), 0]
        w = state.rotations[:, body.skeleton.index(joint), 3]
        assert float((x * w.sign()).min()) > -1e-9
