"""Random keys for the curve tests."""

import numpy as np
import torch
from torch import Tensor

from muybridge.geometry.rotation import multiply, quaternion_from_rotvec


def keys(seed: int, channels: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Uneven times, values, and times in between."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.3, 1.5, rng.integers(4, 9)))
    values = rng.normal(size=(len(times), channels))
    inside = np.sort(rng.uniform(times[0], times[-1], 40))
    return torch.from_numpy(times), torch.from_numpy(values), torch.from_numpy(inside)


def turns(seed: int, joints: tuple[int, ...] = ()) -> tuple[Tensor, Tensor, Tensor]:
    """Uneven times and rotations that wander by less than a radian from key to key."""
    times, _, inside = keys(seed)
    rng = np.random.default_rng(seed + 1)
    steps = torch.from_numpy(rng.normal(size=(len(times), *joints, 3)) * 0.3)
    rotations = [quaternion_from_rotvec(steps[0])]
    for step in steps[1:]:
        rotations.append(multiply(rotations[-1], quaternion_from_rotvec(step)))
    return times, torch.stack(rotations), inside
