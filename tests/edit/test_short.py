"""Clips of hardly any frames: every edit makes a finite clip of them or says why not."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from muybridge.edit.blend import blend, blend_many
from muybridge.edit.cut import cut
from muybridge.edit.fill import fill
from muybridge.edit.join import JoinOptions, join
from muybridge.edit.keys import key_clip
from muybridge.edit.loop import loop
from muybridge.edit.mirror import mirror
from muybridge.edit.path import along_path
from muybridge.edit.pin import PinOptions, pin
from muybridge.edit.retarget import retarget
from muybridge.edit.smooth import SmoothOptions, smooth
from muybridge.edit.timewarp import WarpOptions, timewarp_blend, warped_to
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Clip
from tests.edit.figures import walker

POINTS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
EDITS: dict[str, Callable[[Clip, Clip], Clip]] = {
    "inertialize": lambda a, b: join([a, b]),
    "cross-fade": lambda a, b: join([a, b], JoinOptions("blend", 0.02)),
    "dead-blend": lambda a, b: join([a, b], JoinOptions("dead-blend")),
    "blend": lambda a, b: blend(a, a, 0.5),
    "blend_many": lambda a, b: blend_many([a, a], torch.tensor([1.0, 1.0])),
    "timewarp": lambda a, b: timewarp_blend(a, b, 0.5),
    "timing": warped_to,
    "loop": lambda a, b: loop(a),
    "mirror": lambda a, b: mirror(a),
    "smooth": lambda a, b: smooth(a, SmoothOptions(keep_feet=True)),
    "retarget": lambda a, b: retarget(a, b.skeleton),
    "pin": lambda a, b: pin(a),
    "fill": lambda a, b: fill(a),
    "path": lambda a, b: along_path(a, POINTS),
    "cut": lambda a, b: cut(a, 0.0, a.duration),
}


@pytest.mark.parametrize("name", EDITS)
def test_few_frames_give_a_finite_clip_or_one_sentence(name: str) -> None:
    made = 0
    for frames in (0, 1, 2, 3, 5):
        a = walker(max(frames, 1)).frames(0, frames)
        for first in (a, replace(a, translations=a.local_translations())):
            for second in (walker(1), walker(7, speed=2.0)):
                try:
                    out = EDITS[name](first, second)
                except InputError:
                    continue
                assert bool(out.rotations.isfinite().all() and out.root.isfinite().all())
                made += len(out)
    assert made > 0 or name == "path"  # five frames go nowhere


def test_a_mirror_stands_in_the_first_known_frame() -> None:
    clip = walker(10, turn=0.5)
    holed = replace(clip, root=clip.root.clone())
    holed.root[:3] = torch.nan
    twice = mirror(mirror(holed))
    assert float(geodesic_angle(twice.rotations, clip.rotations).max()) < 1e-7
    assert torch.allclose(twice.root, holed.root, equal_nan=True, atol=1e-12)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -1.0])
def test_numbers_that_are_no_length_are_refused(wrong: float) -> None:
    a, weights = walker(8), torch.tensor([1.0, wrong])
    calls: dict[str, Callable[[], object]] = {
        "join": lambda: join([a, a], JoinOptions("blend", wrong)),
        "blend_many": lambda: blend_many([a, a], weights),
        "timewarp": lambda: timewarp_blend(a, a, 0.5, WarpOptions(window=wrong)),
        "timing": lambda: warped_to(a, a, WarpOptions(window=wrong)),
        "pin": lambda: pin(a, options=PinOptions(ease=wrong)),
        "keys": lambda: key_clip(a, wrong),
        "angle": lambda: key_clip(a, 0.002, wrong),
    }
    for call in calls.values():
        with pytest.raises(InputError, match=r"^expected "):
            call()
