"""Keys as glTF's CUBICSPLINE has them: value and tangents of four components, or three.

glTF interpolates the components of a quaternion by cubics and normalises; a keyed track turns by a
cubic of the rotation vector. Both pass through the keys with the same angular velocities, so they
differ only in between, by the fourth power of the turn from key to key.

Legend: k keys, n components of a value.

References:
    Khronos Group, glTF 2.0 Specification, 2021, appendix C.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.rotvec import velocity
from muybridge.edit.key_segments import segments_of
from muybridge.edit.keyed import Track
from muybridge.errors import InputError
from muybridge.geometry.rotation import multiply, unroll

__all__ = ["SplineKeys", "spline_keys"]


class SplineKeys(NamedTuple):
    """A track for glTF.

    Attributes:
        times: Key times, seconds.
        values: Unit quaternions, neighbours in one hemisphere, or positions in metres.
        arriving: Derivative of the components on the left of each key, a second.
        leaving: On the right.
    """

    times: Float[Tensor, "k"]
    values: Float[Tensor, "k n"]
    arriving: Float[Tensor, "k n"]
    leaving: Float[Tensor, "k n"]

    def rows(self) -> Float[Tensor, "rows n"]:
        """Three rows a key, as an accessor holds them: in-tangent, value, out-tangent."""
        return torch.stack((self.arriving, self.values, self.leaving), dim=1).flatten(0, 1)


def spline_keys(track: Track) -> SplineKeys:
    """Values and tangents of a track.

    Raises:
        InputError: If a key is stepped: one CUBICSPLINE sampler cannot hold.
    """
    if "stepped" in track.ways[:-1]:
        raise InputError(
            "expected keys that go on smoothly or straight, got a stepped one; give it another way "
            "with set_interpolation or write a pose a frame"
        )
    segments = segments_of((track,))
    values = unroll(track.values) if track.turns else track.values
    c1, c2, c3 = segments.rates.unbind(1)
    h = segments.width.unsqueeze(-1)
    end = c1 + 2.0 * h * c2 + 3.0 * h * h * c3
    if track.turns:
        end = velocity(segments.turn, end)
    arriving = torch.cat((c1[:1], end[:-1]))
    leaving = torch.cat((c1[:-1], arriving[-1:])) if len(track) > 1 else c1
    if track.turns:
        arriving, leaving = (_derivative(values, speed) for speed in (arriving, leaving))
    return SplineKeys(track.times, values, arriving, leaving)


def _derivative(quaternions: Tensor, speed: Tensor) -> Tensor:
    """q' = q (speed / 2, 0) for an angular velocity in the turning frame."""
    return multiply(quaternions, torch.cat((0.5 * speed, torch.zeros_like(speed[:, :1])), dim=-1))
