"""The person behind the 41 markers: joints, angles and lengths against known truth."""

from dataclasses import replace

import pytest
import torch

from muybridge.capture.markers.person import missing_for_person, solve_person
from muybridge.capture.markers.virtual import dressed
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, multiply, quaternion_from_rotvec
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward_clip
from tests.capture.markers.marked_walker import WALK, noisy, synthetic, walk

LIMBS = ("upper_leg", "lower_leg", "foot", "upper_arm", "lower_arm", "hand")


def errors(truth, found) -> dict[str, float]:
    """RMS distance of each limb's joint, both sides together, millimetres."""
    a, b = humanoid(truth.skeleton), humanoid(found.skeleton)
    world, ours = forward_clip(truth).positions, forward_clip(found).positions
    result = {}
    for limb in LIMBS:
        gaps = [
            world[:, a[f"{side}_{limb}"]] - ours[:, b[f"{side}_{limb}"]]
            for side in ("left", "right")
        ]
        result[limb] = 1e3 * float(torch.stack(gaps).square().sum(-1).mean().sqrt())
    return result


def bends(clip) -> torch.Tensor:
    """Knee and elbow angles, radians (T, 4)."""
    parts, where = humanoid(clip.skeleton), forward_clip(clip).positions
    angles = []
    for side in ("left", "right"):
        for chain in (("upper_leg", "lower_leg", "foot"), ("upper_arm", "lower_arm", "hand")):
            a, b, c = (where[:, parts[f"{side}_{name}"]] for name in chain)
            u, v = b - a, c - b
            angles.append(torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), (u * v).sum(-1)))
    return torch.stack(angles, dim=1)


def test_our_own_person_is_found_back() -> None:
    truth = synthetic(120)
    found = solve_person(noisy(dressed(truth), 0.0005))
    assert max(errors(truth, found.clip).values()) < 12.0
    assert float(found.residual.nanmedian()) < 0.0015
    assert float((bends(truth) - bends(found.clip)).square().mean().sqrt()) < 0.04


@pytest.mark.skipif(not WALK.is_file(), reason="../shared/data/bvh is absent")
def test_a_recorded_walk_of_another_build() -> None:
    truth = walk(60.0)
    found = solve_person(noisy(dressed(truth), 0.0005))
    assert max(errors(truth, found.clip).values()) < 22.0
    assert float((bends(truth) - bends(found.clip)).square().mean().sqrt()) < 0.08
    assert float(found.residual.nanmedian()) < 0.0015


def test_bones_keep_their_length_and_the_clip_its_rate() -> None:
    found = solve_person(dressed(synthetic(40, 120.0))).clip
    assert found.fps == 120.0
    assert found.translations is None
    assert len(found) == 40


def test_turns_that_no_joint_position_shows_are_seen() -> None:
    """An arm that twists about itself hardly moves elbow and wrist, but the bar of the wrist."""
    truth = synthetic(60)
    arm = truth.skeleton.index("LeftArm")
    twist = torch.linspace(-0.4, 0.4, 60, dtype=torch.float64)
    spin = quaternion_from_rotvec(twist.unsqueeze(-1) * torch.tensor([1.0, 0, 0]).double())
    turns = truth.rotations.clone()
    turns[:, arm] = multiply(turns[:, arm], spin)
    found = solve_person(dressed(replace(truth, rotations=turns)))
    hand = found.clip.skeleton.index("LeftForeArm")
    seen = forward_clip(found.clip).orientations[:, hand]
    real = forward_clip(replace(truth, rotations=turns)).orientations[:, hand]
    error = geodesic_angle(seen, real)
    assert float((error - error.median()).abs().max()) < 0.12


def test_hidden_markers_do_little_harm() -> None:
    truth = synthetic(60)
    markers = dressed(truth)
    points = markers.points_world.clone()
    points[20:40, [markers.names.index(n) for n in ("LKNE", "RELB", "LFWT")]] = torch.nan
    whole = solve_person(markers)
    holed = solve_person(replace(markers, points_world=points))
    gap = forward_clip(whole.clip).positions - forward_clip(holed.clip).positions
    assert float(gap.norm(dim=-1).max()) < 0.03


def test_limbs_without_markers_are_marked_as_guesses() -> None:
    markers = dressed(synthetic(30))
    arms = ("UPA", "ELB", "FRM", "WRA", "WRB", "FIN")
    names = tuple(n for n in markers.names if n[1:] not in arms)
    found = solve_person(markers.select(names)).clip
    assert found.filled is not None
    guessed = {
        name
        for name, column in zip(found.skeleton.names, found.filled.T, strict=True)
        if bool(column.all())
    }
    assert {"LeftArm", "LeftForeArm", "RightForeArm", "LeftHand"} <= guessed
    assert not guessed & {"Hips", "Spine", "Head", "LeftUpLeg", "LeftLeg", "LeftFoot"}
    assert not bool(found.filled[:, found.skeleton.index("LeftToeBase")].any())


def test_what_is_missing_is_named() -> None:
    markers = dressed(synthetic(5))
    assert missing_for_person(markers.names) == ()
    legs = markers.select(("LKNE", "LANK", "LFWT", "RFWT", "LBWT"))
    assert missing_for_person(legs.names) == ("LSHO", "RSHO")
    with pytest.raises(InputError, match="none called LSHO, RSHO"):
        solve_person(legs)
    with pytest.raises(InputError, match=r"between 0\.4 and 3 m tall"):
        solve_person(replace(markers, points_world=markers.points_world * 1000.0))
    few = markers.points_world.clone()
    few[:, markers.names.index("LSHO")] = torch.nan
    with pytest.raises(InputError, match="together in at least one frame"):
        solve_person(replace(markers, points_world=few))
