"""Calibrations that can be read and still cannot be: wrong units, cameras on one spot.

C cameras. World: metres, Y up.
"""

from __future__ import annotations

import torch

from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras

__all__ = ["check_rig"]

NEAREST_M = 0.01  # two cameras are never nearer: their bodies would touch
FARTHEST_M = 300.0  # a person of 1.8 m fills 10 pixels of a wide picture there
LARGEST_PX = 100_000.0
LONGEST_LENS = 1000.0  # focal length against the picture's longer side; telescopes reach 100


def check_rig(cameras: Cameras, place: str) -> None:
    """Refuse cameras that no rig could have.

    Millimetres read as metres put cameras kilometres apart; so the sentence asks for the unit.

    Args:
        cameras: The rig.
        place: Where they were read, for the sentence.
    Raises:
        InputError: If there is one camera, two stand on one spot or further apart than they could
            see a person, or a picture or focal length is absurd.
    """
    if len(cameras) < 2:
        raise InputError(
            f"expected two or more cameras, got {len(cameras)} with a calibration in {place}; one "
            "camera cannot measure depth"
        )
    side = cameras.size_px.amax(-1)
    focal = cameras.matrix.diagonal(dim1=-2, dim2=-1)[:, :2].amax(-1)
    for name, pixels, length in zip(cameras.names, side.tolist(), focal.tolist(), strict=True):
        if not (pixels <= LARGEST_PX and length <= LONGEST_LENS * pixels):
            raise InputError(
                f"expected a picture and a focal length in pixels of {name} in {place}, got "
                f"{pixels:.4g} and {length:.4g}; calibrate its lens again"
            )
    first, second = torch.triu_indices(len(cameras), len(cameras), 1)
    apart = (cameras.centres_world[first] - cameras.centres_world[second]).norm(dim=-1)
    for index in (int(apart.argmin()), int(apart.argmax())):
        if not NEAREST_M <= float(apart[index]) <= FARTHEST_M:
            pair = f"{cameras.names[int(first[index])]} and {cameras.names[int(second[index])]}"
            raise InputError(
                f"expected cameras at different places, at most {FARTHEST_M:g} m apart, got "
                f"{float(apart[index]):.4g} m between {pair} in {place}; if the file is in "
                "millimetres, say so: `muybridge calibrate FILE --unit mm`"
            )
