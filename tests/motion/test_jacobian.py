"""Analytic derivatives against autograd, angles against their inverse and a slow twin."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    identity_quaternion,
    multiply,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.body import Body, template
from muybridge.motion.jacobian import (
    angles_jacobian,
    exponential_jacobian,
    joint_angles,
    orientation_jacobian,
    point_jacobian,
    retract,
    rotation_from_angles,
)
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import Pose, forward

AXES = torch.eye(3, dtype=torch.float64)


def _random_pose(body: Body, frames: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rotvec = 0.4 * torch.randn(
        frames, len(body.skeleton), 3, dtype=torch.float64, generator=generator
    )
    root = torch.randn(frames, 3, dtype=torch.float64, generator=generator)
    return quaternion_from_rotvec(rotvec), root


def _points(body: Body, rotations: torch.Tensor, root: torch.Tensor) -> tuple[Pose, torch.Tensor]:
    local = body.skeleton.offsets.expand(len(root), -1, -1)
    translations = torch.cat((root.unsqueeze(1), local[:, 1:]), dim=1)
    pose = forward(body.skeleton, rotations, translations)
    owners = list(body.marker_joints)
    return pose, pose.positions[:, owners] + rotate(
        pose.orientations[:, owners], body.marker_offsets
    )


def test_point_jacobian_equals_autograd() -> None:
    body = template(HALPE_26)
    rotations, root = _random_pose(body, 2, seed=0)
    pose, points = _points(body, rotations, root)
    ours = point_jacobian(body.skeleton, pose, points, body.marker_joints, body.freedoms)

    def moved(step: torch.Tensor) -> torch.Tensor:
        return _points(body, *retract(rotations, root, step, body.freedoms))[1]

    zero = torch.zeros(2, len(body.freedoms), dtype=torch.float64)
    full = torch.autograd.functional.jacobian(moved, zero)  # t m 3 t d
    expected = torch.stack([full[t, :, :, t] for t in range(2)])
    torch.testing.assert_close(ours, expected, atol=1e-8, rtol=0)
    assert float(full[0, :, :, 1].abs().max()) == 0.0  # frames do not mix


def test_point_jacobian_reaches_only_descendants() -> None:
    body = template(HALPE_26)
    names = body.skeleton.names
    reach = body.freedoms.reach(body.skeleton, (names.index("LeftHand"),))[0]
    moved = {names[j] for j, r in zip(body.freedoms.joints, reach.tolist(), strict=True) if r}
    assert moved == {"Hips", "Spine", "Spine1", "LeftShoulder", "LeftArm", "LeftForeArm"}


def test_forward_passes_gradcheck() -> None:
    body = template(HALPE_26)
    rotations, root = _random_pose(body, 1, seed=3)
    step = torch.zeros(1, len(body.freedoms), dtype=torch.float64, requires_grad=True)

    def hand(step: torch.Tensor) -> torch.Tensor:
        return _points(body, *retract(rotations, root, step, body.freedoms))[1][:, 9]

    assert torch.autograd.gradcheck(hand, (step,))


@pytest.mark.parametrize("axis", range(3))
def test_angles_jacobian_equals_autograd(axis: int) -> None:
    generator = torch.Generator().manual_seed(axis)
    rotvec = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    q = quaternion_from_rotvec(rotvec)

    def angles(delta: torch.Tensor) -> torch.Tensor:
        return joint_angles(multiply(q, quaternion_from_rotvec(delta)), AXES[axis])

    full = torch.autograd.functional.jacobian(angles, torch.zeros(20, 3, dtype=torch.float64))
    expected = torch.stack([full[i, :, i] for i in range(20)])
    torch.testing.assert_close(angles_jacobian(q, AXES[axis]), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("axis", range(3))
def test_angles_jacobian_at_rest_is_the_identity(axis: int) -> None:
    found = angles_jacobian(identity_quaternion(1), AXES[axis])
    torch.testing.assert_close(found[0], torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)


@given(st.integers(0, 10_000), st.integers(0, 2))
def test_angles_return(seed: int, axis: int) -> None:
    q = torch.tensor(Rotation.random(5, random_state=seed).as_quat())
    back = rotation_from_angles(joint_angles(q, AXES[axis]), AXES[axis])
    assert float(geodesic_angle(q, back).max()) < 1e-6


def test_angles_equal_a_slow_twin() -> None:
    """Swing found as the rotation between two vectors, twist as what is left."""
    axis = AXES[1]
    for rotation in Rotation.random(20, random_state=1):
        carried = rotation.apply(axis.numpy())
        swing, _ = Rotation.align_vectors([carried], [axis.numpy()])
        across = torch.linalg.cross(axis, torch.tensor(carried))
        theta = torch.atan2(across.norm(), torch.tensor(carried[1]))
        swing_vector = across / across.norm() * theta
        twist = Rotation.from_rotvec(-swing_vector.numpy()) * rotation
        expected = swing_vector + torch.tensor(twist.as_rotvec())
        found = joint_angles(torch.tensor(rotation.as_quat()).unsqueeze(0), axis)[0]
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
        assert float(swing.magnitude()) == pytest.approx(float(theta), abs=1e-6)


def test_knee_bends_backwards_in_space_for_positive_angles() -> None:
    bent = quaternion_from_rotvec(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    shank = rotate(bent, torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    assert float(shank[2]) < 0.0  # towards the heel side: the person faces +Z


def test_orientation_jacobian_equals_autograd() -> None:
    body = template(HALPE_26)
    rotations, root = _random_pose(body, 2, seed=3)
    joints = tuple(body.skeleton.index(name) for name in ("LeftHand", "Hips", "RightFoot"))
    pose, _ = _points(body, rotations, root)
    ours = orientation_jacobian(body.skeleton, pose, joints, body.freedoms)

    def turned(step: torch.Tensor) -> torch.Tensor:
        moved, _ = _points(body, *retract(rotations, root, step, body.freedoms))
        change = multiply(moved.orientations, conjugate(pose.orientations))[:, list(joints)]
        return 2.0 * change[..., :3] * change[..., 3:].sign()  # of small turns

    zero = torch.zeros(2, len(body.freedoms), dtype=torch.float64)
    full = torch.autograd.functional.jacobian(turned, zero)
    expected = torch.stack([full[t, :, :, t] for t in range(2)])
    torch.testing.assert_close(ours, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("size", [0.0, 1e-5, 1e-3, 0.5, 3.0])
def test_exponential_jacobian_equals_autograd(size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    rotvec = torch.randn(3, dtype=torch.float64, generator=generator)
    rotvec = size * rotvec / rotvec.norm()

    def change(delta: torch.Tensor) -> torch.Tensor:
        there = quaternion_from_rotvec(rotvec + delta)
        return 2.0 * multiply(conjugate(quaternion_from_rotvec(rotvec)), there)[:3]

    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    expected = torch.stack([(change(d) - change(-d)) / 2e-6 for d in step], dim=-1)
    ours = exponential_jacobian(rotvec)
    torch.testing.assert_close(ours, expected, atol=1e-8, rtol=0)
