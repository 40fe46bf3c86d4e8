"""A clip at any moments between its frames: rotations by slerp, the rest linearly.

T frames of the clip, S moments asked for.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import slerp
from muybridge.motion.clip import Clip

__all__ = ["sampled"]


def sampled(clip: Clip, moments: Float[Tensor, "s"]) -> Clip:
    """The clip's poses at fractional frames, as a clip of S frames; differentiable.

    A contact is that of the nearer frame; a joint is filled where one of its two frames is.
    Captions are left as they are, since only the caller knows what became of time.

    Args:
        clip: Of T frames.
        moments: Frames in [0, T - 1]; what lies outside is the first or last pose.
    """
    moments = moments.to(clip.root.dtype).clamp(0.0, float(len(clip) - 1))
    before = moments.detach().floor().long()
    after = (before + 1).clamp(max=len(clip) - 1)
    share = moments - before

    def between(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        part = share.reshape(-1, *(1,) * (values.ndim - 1))
        return torch.lerp(values[before], values[after], part.to(values.dtype))

    nearest = torch.where(share.detach() < 0.5, before, after)
    either = None if clip.filled is None else clip.filled[before] | clip.filled[after]
    turned = slerp(clip.rotations[before], clip.rotations[after], share.unsqueeze(-1))
    exact = (share == 0.0)[:, None, None]  # a frame of the clip stays what it is, to the last bit
    root = between(clip.root)
    assert root is not None
    return replace(
        clip,
        rotations=torch.where(exact, clip.rotations[before], turned),
        root=root,
        translations=between(clip.translations),
        position_std=between(clip.position_std),
        contacts=None if clip.contacts is None else clip.contacts[nearest],
        filled=either,
    )
