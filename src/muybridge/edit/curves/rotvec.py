"""Rotation vectors that change: exponential, logarithm, and what their rates mean.

For q(t) = q_k exp(theta(t)) the angular velocity in the turning frame is  J theta'  with the right
Jacobian  J = I - a [theta] + b [theta]^2,  a = (1 - cos) / angle^2,  b = (angle - sin) / angle^3.

Legend: b any batch shape.

References:
    Sola, Deray & Atchuthan, A micro Lie theory for state estimation in robotics, 2018, appendix.
"""

from __future__ import annotations

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import conjugate, cross_matrix, multiply

__all__ = [
    "acceleration", "arc", "exponential", "jacobian", "jacobian_inverse", "logarithm", "relative",
    "velocity",
]  # fmt: skip

SMALL = 1e-2  # radians; below it the closed forms lose digits and the series are exact


def exponential(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternion of a rotation vector, radians; smooth at 0, where sinc needs no cases."""
    angle = torch.linalg.vector_norm(rotvec, dim=-1, keepdim=True)
    xyz = rotvec * (0.5 * torch.sinc(angle * (0.5 / torch.pi)))
    return torch.cat((xyz, (0.5 * angle).cos()), dim=-1)


def logarithm(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3"]:
    """Rotation vector with an angle in [0, 2 pi]: the sign of the quaternion counts."""
    rotvec: Tensor = roma.unitquat_to_rotvec(quaternion, shortest_arc=False)
    return rotvec


def relative(start: Float[Tensor, "*#b 4"], end: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*_ 3"]:
    """Rotation vector from one rotation to another in the frame of the first, signs counting."""
    return logarithm(multiply(conjugate(start), end))


def arc(
    start: Float[Tensor, "*#b 4"], end: Float[Tensor, "*#b 4"], part: Float[Tensor, "*#b"]
) -> Float[Tensor, "*_ 4"]:
    """Point on the great circle from one quaternion to another, without turning signs around."""
    apart = torch.linalg.vector_norm(start - end, dim=-1)
    angle = 2.0 * torch.atan2(apart, torch.linalg.vector_norm(start + end, dim=-1)) / torch.pi
    whole = torch.sinc(angle)
    left = (1.0 - part) * torch.sinc((1.0 - part) * angle) / whole
    right = part * torch.sinc(part * angle) / whole
    return left.unsqueeze(-1) * start + right.unsqueeze(-1) * end


def _series(square: Tensor, terms: tuple[float, ...], closed: Tensor) -> Tensor:
    """The closed form, or its series in the squared angle where that is small."""
    value = torch.zeros_like(square)
    for term in reversed(terms):
        value = value * square + term
    return torch.where(square < SMALL * SMALL, value, closed)


def _safe(rotvec: Tensor) -> tuple[Tensor, Tensor]:
    """Squared angle, and an angle that is not small to use in closed forms."""
    square = rotvec.square().sum(-1, keepdim=True)
    return square, torch.where(square < SMALL * SMALL, torch.ones_like(square), square).sqrt()


def _a_b(rotvec: Tensor) -> tuple[Tensor, Tensor]:
    square, angle = _safe(rotvec)
    a = _series(square, (1 / 2, -1 / 24, 1 / 720, -1 / 40320), (1 - angle.cos()) / angle**2)
    b = _series(square, (1 / 6, -1 / 120, 1 / 5040, -1 / 362880), (angle - angle.sin()) / angle**3)
    return a, b


def velocity(rotvec: Float[Tensor, "*b 3"], rate: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Angular velocity J rate in the turning frame, radians a second."""
    a, b = _a_b(rotvec)
    across = torch.linalg.cross(rotvec, rate)
    return rate - a * across + b * torch.linalg.cross(rotvec, across)


def acceleration(
    rotvec: Float[Tensor, "*b 3"], rate: Float[Tensor, "*b 3"], bend: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 3"]:
    """Angular acceleration  J bend + (dJ/dt) rate  in the turning frame, radians a second^2."""
    square, angle = _safe(rotvec)
    sine, cosine = angle.sin(), angle.cos()
    da = _series(
        square, (-1 / 12, 1 / 180, -1 / 6720), (angle * sine - 2 * (1 - cosine)) / angle**4
    )
    db = _series(
        square,
        (-1 / 60, 1 / 1260, -1 / 60480),
        (3 * sine - 2 * angle - angle * cosine) / angle**5,
    )
    _, b = _a_b(rotvec)
    across, growth = torch.linalg.cross(rotvec, rate), (rotvec * rate).sum(-1, keepdim=True)
    twice = torch.linalg.cross(rotvec, across)
    turn = b * torch.linalg.cross(rate, across) + growth * (db * twice - da * across)
    return velocity(rotvec, bend) + turn


def jacobian(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """J: angular velocity in the turning frame from the rate of the rotation vector."""
    a, b = (x.unsqueeze(-1) for x in _a_b(rotvec))
    cross = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype) - a * cross + b * cross @ cross


def jacobian_inverse(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rate of the rotation vector from the angular velocity; for angles below 2 pi."""
    square, angle = _safe(rotvec)
    closed = (1.0 - 0.5 * angle * (0.5 * angle).cos() / (0.5 * angle).sin()) / angle**2
    c = _series(square, (1 / 12, 1 / 720, 1 / 30240, 1 / 1209600), closed).unsqueeze(-1)
    cross = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype) + 0.5 * cross + c * cross @ cross
