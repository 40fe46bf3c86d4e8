"""The first orientation of a sensor, from where gravity and the magnetic field point.

S sensors. Quaternions x, y, z, w, earth (east, north, up) from sensor.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.imu.rows import shortest_turn
from muybridge.capture.imu.samples import ImuSamples
from muybridge.geometry.rotation import quaternion_from_matrix

__all__ = ["compass", "first_orientation", "level"]


def level(acc: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 4"]:
    """The shortest turn that makes the specific force point up; heading as it comes."""
    flat = torch.nn.functional.normalize(acc.reshape(-1, 3).double(), dim=-1)
    up = torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64).expand(-1, len(flat))
    turn = torch.from_numpy(shortest_turn(flat.T.numpy(), up.numpy()))
    return turn.T.reshape(*acc.shape[:-1], 4)


def compass(acc: Float[Tensor, "*s 3"], mag: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 4"]:
    """The orientation, earth (ENU) from sensor, with the force up and the field's level part north.

    Args:
        acc: Specific force in the sensor's frame, any unit.
        mag: Magnetic field in the sensor's frame, any unit.
    """
    up = torch.nn.functional.normalize(acc.double(), dim=-1)
    east = torch.nn.functional.normalize(torch.linalg.cross(mag.double(), up), dim=-1)
    rows = torch.stack((east, torch.linalg.cross(up, east), up), dim=-2)
    return quaternion_from_matrix(rows)


def first_orientation(samples: ImuSamples) -> Float[Tensor, "s 4"]:
    """From the first sample of every sensor, with its heading where there is a magnetometer."""
    if samples.mag is None:
        return level(samples.acc[0])
    return compass(samples.acc[0], samples.mag[0])
