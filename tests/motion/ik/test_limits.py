"""Human ranges on skeletons with other names, other rest poses and another heading."""

import torch

from muybridge.geometry.rotation import (
    matrix_from_quaternion,
    matrix_from_rotvec,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.body import LIMITS, template
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.ik.limits import human_limits
from muybridge.motion.jacobian import joint_angles
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.skeleton import Skeleton

BODY = template(HALPE_26).skeleton


def turned(skeleton: Skeleton, angle: float) -> Skeleton:
    """The same person with a rest pose that faces elsewhere."""
    turn = yaw_quaternion(torch.tensor(angle, dtype=torch.float64))
    return Skeleton(skeleton.names, skeleton.parents, rotate(turn, skeleton.offsets))


def rotations_of(
    skeleton: Skeleton, joint: str, rotvec: tuple[float, float, float]
) -> torch.Tensor:
    rotvecs = torch.zeros(1, len(skeleton), 3, dtype=torch.float64)
    rotvecs[0, skeleton.index(joint)] = torch.tensor(rotvec, dtype=torch.float64)
    return quaternion_from_rotvec(rotvecs)


def test_the_template_gets_its_own_limits() -> None:
    limits = human_limits(BODY)
    names = {BODY.names[joint] for joint in limits.joints}
    assert {"LeftForeArm", "RightForeArm", "LeftLeg", "RightLeg", "LeftArm", "LeftUpLeg"} <= names
    generator = torch.Generator().manual_seed(0)
    rotvec = 0.5 * torch.randn(4, len(BODY), 3, dtype=torch.float64, generator=generator)
    rotations = quaternion_from_rotvec(rotvec)[:, list(limits.joints)]
    expected = joint_angles(rotations, limits.axes)
    torch.testing.assert_close(limits.angles(rotations), expected, atol=1e-9, rtol=0.0)
    row = limits.joints.index(BODY.index("RightForeArm"))
    low, high = LIMITS["RightForeArm"].y
    torch.testing.assert_close(limits.upper[row, 1].rad2deg(), torch.tensor(float(high)).double())
    torch.testing.assert_close(limits.lower[row, 1].rad2deg(), torch.tensor(float(low)).double())


def test_knees_bend_backwards_and_elbows_forwards_wherever_the_rest_pose_looks() -> None:
    for angle in (0.0, 1.0, -2.5):
        body = turned(BODY, angle)
        limits = human_limits(body)
        heading = yaw_quaternion(torch.tensor(angle, dtype=torch.float64))
        for joint, natural in (("LeftLeg", (1.0, 0.0, 0.0)), ("RightForeArm", (0.0, 1.0, 0.0))):
            axis = rotate(heading, torch.tensor(natural, dtype=torch.float64))
            for sign, wrong in ((1.0, False), (-1.0, True)):
                rotations = rotations_of(body, joint, tuple((sign * axis).tolist()))
                row = limits.joints.index(body.index(joint))
                beyond = float(limits.exceeded(rotations)[0, row])
                assert (beyond > 0.9) == wrong, (angle, joint, sign, beyond)


def test_angles_and_rotations_are_inverse_in_both_forms() -> None:
    limits = human_limits(turned(BODY, 0.7))
    generator = torch.Generator().manual_seed(1)
    angles = 0.6 * torch.randn(3, len(limits.joints), 3, dtype=torch.float64, generator=generator)
    rotations = limits.rotations(angles)
    torch.testing.assert_close(limits.angles(rotations), angles, atol=1e-9, rtol=0.0)
    swung = matrix_from_rotvec(limits.swing(angles)) @ limits.twist(angles)
    matrix = limits.frame @ swung @ limits.frame.mT
    torch.testing.assert_close(matrix, matrix_from_quaternion(rotations), atol=1e-12, rtol=0.0)


def test_an_a_pose_limits_the_hinges_only() -> None:
    """Arms that hang have no zero in common with a T-pose, but straight is straight."""
    hang = quaternion_from_rotvec(torch.tensor([0.0, 0.0, -1.05], dtype=torch.float64))
    offsets = BODY.offsets.clone()
    for name in ("LeftForeArm", "LeftHand"):
        offsets[BODY.index(name)] = rotate(hang, offsets[BODY.index(name)])
    body = Skeleton(BODY.names, BODY.parents, offsets)
    limits = human_limits(body)
    names = {body.names[joint] for joint in limits.joints}
    assert "LeftArm" not in names
    assert {"RightArm", "LeftForeArm"} <= names
    axis = rotate(hang, torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    row = limits.joints.index(body.index("LeftForeArm"))
    bent = rotations_of(body, "LeftForeArm", tuple(axis.tolist()))
    assert float(limits.exceeded(bent)[0, row]) < 0.05


def test_a_thing_that_is_no_body_has_no_limits() -> None:
    crane = Skeleton(("base", "boom", "hook"), (-1, 0, 1), torch.ones(3, 3).double())
    assert human_limits(crane).joints == ()
    taken = human_limits(BODY).take((BODY.index("LeftLeg"),), {BODY.index("LeftLeg"): 3})
    assert taken.joints == (3,)
    assert len(taken.lower) == 1
