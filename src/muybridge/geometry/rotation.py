"""Rotations: quaternions (x, y, z, w), matrices, rotation vectors and Euler angles.

Conversions read `b_from_a`. Singular neighbourhoods (angles near 0 and pi) are roma's work; this
module gives its maps our names, types and batching. Angles are radians; any batch shape is allowed.
"""

from __future__ import annotations

from typing import Literal

import roma
import torch
from jaxtyping import Float
from torch import Tensor

Axis = Literal["x", "y", "z"]

__all__ = [
    "Axis",
    "conjugate",
    "cross_matrix",
    "euler_from_matrix",
    "geodesic_angle",
    "identity_quaternion",
    "matrix_from_euler",
    "matrix_from_quaternion",
    "matrix_from_rotvec",
    "matrix_from_six",
    "multiply",
    "nearest_rotation",
    "quaternion_from_matrix",
    "quaternion_from_rotvec",
    "rotate",
    "rotvec_from_matrix",
    "rotvec_from_quaternion",
    "shortest_arc",
    "six_from_matrix",
    "slerp",
    "unroll",
]


def identity_quaternion(*batch: int, dtype: torch.dtype = torch.float64) -> Float[Tensor, "*b 4"]:
    """Identity quaternions of the given batch shape."""
    quaternion = torch.zeros(*batch, 4, dtype=dtype)
    quaternion[..., 3] = 1.0
    return quaternion


def matrix_from_quaternion(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrix of a unit quaternion (x, y, z, w)."""
    matrix: Tensor = roma.unitquat_to_rotmat(quaternion)
    return matrix


def quaternion_from_matrix(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternion (x, y, z, w) of a rotation matrix; the sign is arbitrary."""
    quaternion: Tensor = roma.rotmat_to_unitquat(matrix)
    return quaternion


def nearest_rotation(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation matrix nearest to any 3 x 3 matrix: the least sum of squared differences.

    Of the sum of target source^T over centred points it is the rotation that takes the sources
    nearest to the targets.

    References:
        Kabsch, A solution for the best rotation to relate two sets of vectors, Acta Cryst. A32,
        1976.
    """
    nearest: Tensor = roma.special_procrustes(matrix)
    return nearest


def matrix_from_rotvec(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrix of a rotation vector (axis times angle, radians): Rodrigues' formula."""
    matrix: Tensor = roma.rotvec_to_rotmat(rotvec)
    return matrix


def rotvec_from_matrix(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Rotation vector of a rotation matrix, radians, angle in [0, pi]."""
    rotvec: Tensor = roma.rotmat_to_rotvec(matrix)
    return rotvec


def quaternion_from_rotvec(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternion of a rotation vector, radians."""
    quaternion: Tensor = roma.rotvec_to_unitquat(rotvec)
    return quaternion


def rotvec_from_quaternion(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3"]:
    """Rotation vector of a unit quaternion, radians, angle in [0, pi]."""
    rotvec: Tensor = roma.unitquat_to_rotvec(quaternion)
    return rotvec


def multiply(a: Float[Tensor, "*#b 4"], b: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*_ 4"]:
    """Hamilton product a b: apply b first, then a."""
    ax, ay, az, aw = a.unbind(-1)
    bx, by, bz, bw = b.unbind(-1)
    return torch.stack(
        (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ),
        dim=-1,
    )


def conjugate(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Inverse of a unit quaternion."""
    return quaternion * quaternion.new_tensor([-1.0, -1.0, -1.0, 1.0])


def rotate(
    quaternion: Float[Tensor, "*#b 4"], vector: Float[Tensor, "*#b 3"]
) -> Float[Tensor, "*_ 3"]:
    """Rotate vectors by unit quaternions: v + 2 w (u x v) + 2 u x (u x v)."""
    axis, w = torch.broadcast_tensors(quaternion[..., :3], vector)[0], quaternion[..., 3:]
    vector = vector.expand_as(axis)
    twice = 2.0 * torch.linalg.cross(axis, vector)
    return vector + w * twice + torch.linalg.cross(axis, twice)


def _axis_matrix(axis: Axis, angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = {
        "x": (one, zero, zero, zero, c, -s, zero, s, c),
        "y": (c, zero, s, zero, one, zero, -s, zero, c),
        "z": (c, -s, zero, s, c, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_from_euler(angles: Float[Tensor, "*b n"], order: str) -> Float[Tensor, "*b 3 3"]:
    """Product of axis rotations in the order written: "zxy" gives R_z R_x R_y (intrinsic, as BVH).

    Args:
        angles: One angle per letter of `order`, radians.
        order: One to three of the letters x, y, z, in any order; as scipy's capitals.
    """
    assert angles.shape[-1] == len(order), f"{angles.shape[-1]} angles for the order {order!r}"
    matrix = torch.eye(3, dtype=angles.dtype).expand(*angles.shape[:-1], 3, 3)
    for axis, angle in zip(order.lower(), angles.unbind(-1), strict=True):
        matrix = matrix @ _axis_matrix(axis, angle)  # type: ignore[arg-type]
    return matrix


def euler_from_matrix(matrix: Float[Tensor, "*b 3 3"], order: str) -> Float[Tensor, "*b 3"]:
    """Tait-Bryan angles (three different axes, intrinsic) of a rotation matrix, radians.

    At gimbal lock (the middle angle within 1e-7 of +-pi/2) the last angle is set to zero.
    """
    i, j, k = ("xyz".index(letter) for letter in order.lower())
    assert len({i, j, k}) == 3, f"Tait-Bryan order expected, got {order!r}"
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    sine = (sign * matrix[..., i, k]).clamp(-1.0, 1.0)
    cosine = torch.hypot(matrix[..., i, i], matrix[..., i, j])
    middle = torch.atan2(sine, cosine)
    first = torch.atan2(-sign * matrix[..., j, k], matrix[..., k, k])
    last = torch.atan2(-sign * matrix[..., i, j], matrix[..., i, i])
    locked = cosine < 1e-7
    first_locked = torch.atan2(sign * matrix[..., k, j], matrix[..., j, j])
    first = torch.where(locked, first_locked, first)
    last = torch.where(locked, torch.zeros_like(last), last)
    return torch.stack((first, middle, last), dim=-1)


def matrix_from_six(six: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrix whose first two columns come from six numbers by Gram and Schmidt.

    The first three numbers give the direction of column x, the last three, less their part along
    it, that of column y; the third is their cross product. Continuous everywhere, which no map from
    four numbers or fewer can be; undefined only where the two vectors are parallel or zero.

    References:
        Zhou et al., On the continuity of rotation representations in neural networks, CVPR 2019.
    """
    x = torch.nn.functional.normalize(six[..., :3], dim=-1, eps=1e-30)
    y = six[..., 3:] - (x * six[..., 3:]).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(y, dim=-1, eps=1e-30)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def six_from_matrix(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 6"]:
    """The first two columns of a rotation matrix, one after the other."""
    return matrix[..., :2].mT.flatten(-2)


def shortest_arc(a: Float[Tensor, "*#b 3"], b: Float[Tensor, "*#b 3"]) -> Float[Tensor, "*_ 4"]:
    """The smallest rotation that turns the direction of a into that of b.

    Of opposite directions any half turn will do; a zero vector gives the identity.
    """
    a, b = torch.broadcast_tensors(a, b)
    lengths = a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True)
    w = lengths + (a * b).sum(-1, keepdim=True)
    axis = torch.linalg.cross(a, b)
    # nearly opposite: half a turn about what is square to a and to its smallest component
    smallest = torch.nn.functional.one_hot(a.abs().argmin(-1), 3).to(a)
    aside = torch.linalg.cross(a, smallest)
    opposite = w <= 1e-14 * lengths
    axis, w = torch.where(opposite, aside, axis), torch.where(opposite, 0.0, w)
    identity = identity_quaternion(*a.shape[:-1], dtype=a.dtype).to(a)
    quaternion = torch.where(lengths == 0.0, identity, torch.cat((axis, w), dim=-1))
    return torch.nn.functional.normalize(quaternion, dim=-1, eps=1e-30)


def cross_matrix(vector: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """[v]x, so that [v]x u = v x u: the derivative of a small turn by its rotation vector."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))


def geodesic_angle(a: Float[Tensor, "*#b 4"], b: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*_"]:
    """Angle between two unit quaternions, radians, in [0, pi]; blind to their signs."""
    relative = multiply(conjugate(a), b)
    return 2.0 * torch.atan2(relative[..., :3].norm(dim=-1), relative[..., 3].abs())


def slerp(
    a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"], t: Float[Tensor, "*#b"]
) -> Float[Tensor, "*_ 4"]:
    """Spherical linear interpolation along the shorter arc: t = 0 gives a, t = 1 gives b."""
    flipped = torch.where((a * b).sum(-1, keepdim=True) < 0.0, -b, b)
    rotvec = rotvec_from_quaternion(multiply(conjugate(a), flipped))
    return multiply(a, quaternion_from_rotvec(t.unsqueeze(-1) * rotvec))


def unroll(quaternions: Float[Tensor, "t *b 4"]) -> Float[Tensor, "t *b 4"]:
    """Flip signs along the first axis so that neighbours in time lie in the same hemisphere."""
    dots = (quaternions[1:] * quaternions[:-1]).sum(-1)
    signs = torch.where(dots < 0.0, -1.0, 1.0).to(quaternions.dtype).cumprod(0)
    return torch.cat((quaternions[:1], quaternions[1:] * signs.unsqueeze(-1)))
