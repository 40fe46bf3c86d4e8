"""A clip with an unknown pose is refused, and the sentence says where."""

from dataclasses import replace

import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.motion.clip import Clip
from tests.motions import random_clip


@pytest.mark.parametrize("moving", [False, True])
def test_a_known_clip_passes(moving: bool) -> None:
    refuse_missing(random_clip(1, moving=moving))


@pytest.mark.parametrize("field", ["rotations", "root", "translations"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_unknown_number_is_found(field: str, value: float) -> None:
    clip: Clip = random_clip(2, frames=5, moving=True)
    values = getattr(clip, field).clone()
    values[3, ..., 0] = value
    with pytest.raises(InputError, match=r"1 of 5 frames without \(first: \[3\]\); fill the gaps"):
        refuse_missing(replace(clip, **{field: values}))


def test_no_frames_and_unknown_bones() -> None:
    clip = random_clip(3)
    with pytest.raises(InputError, match="0 of 0 frames"):
        refuse_missing(clip.frames(0, 0))
    offsets = clip.skeleton.offsets.clone()
    offsets[1, 2] = torch.nan
    with pytest.raises(InputError, match="finite bone offsets"):
        refuse_missing(replace(clip, skeleton=replace(clip.skeleton, offsets=offsets)))
