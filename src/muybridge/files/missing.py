"""What becomes of missing values (NaN) on the way into a motion file: they are refused."""

from __future__ import annotations

import torch

from muybridge.errors import InputError
from muybridge.motion.clip import Clip

__all__ = ["refuse_missing"]


def refuse_missing(clip: Clip) -> None:
    """Raise unless every rotation and position of the clip is known.

    BVH and glTF have no way to say "unknown"; a NaN would become a broken file or a figure that
    flies away, and a made-up pose a lie.

    Raises:
        InputError: If a frame has NaN or infinity; names how many and the first.
    """
    known = clip.rotations.isfinite().flatten(1).all(-1) & clip.root.isfinite().all(-1)
    if clip.translations is not None:
        known &= clip.translations.isfinite().flatten(1).all(-1)
    if len(clip) == 0 or not bool(known.all()):
        missing = torch.nonzero(~known).flatten().tolist()
        got = f"{len(missing)} of {len(clip)} frames without (first: {missing[:1]})"
        raise InputError(
            f"expected a clip with a known pose in every frame, got {got}; fill the gaps or cut "
            "them off with Clip.frames"
        )
    if not bool(clip.skeleton.offsets.isfinite().all()):
        raise InputError("expected finite bone offsets, got NaN; solve the skeleton first")
