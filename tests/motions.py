"""Motion for the file tests: recorded clips, random clips, damaged files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from muybridge.motion.clip import Caption, Clip
from muybridge.motion.skeleton import Skeleton

DATA = Path(__file__).parents[1] / "../shared/data"
BVH_FILES = sorted((DATA / "bvh").glob("*/*.bvh"))
RATES = (24.0, 29.97, 30.0, 30000 / 1001, 59.94, 60.0, 100.0, 119.88, 120.0, 12.345678)


def random_clip(
    seed: int,
    joints: int = 6,
    frames: int = 5,
    *,
    moving: bool = False,
    tips: bool = True,
    fps: float = 60.0,
) -> Clip:
    """A random tree in wild motion; joints after their parents, not always depth first.

    With `moving` every joint also slides in its parent's frame; with `tips` some leaves are end
    sites, named as a BVH reader names them.
    """
    rng = np.random.default_rng(seed)
    parents = (-1, *(int(rng.integers(0, j)) for j in range(1, joints)))
    names, ends = [f"joint{j}" for j in range(joints)], [False] * joints
    if tips and not moving:
        for j in range(1, joints):
            alone = parents.count(parents[j]) == 1
            if j not in parents and alone and rng.random() < 0.5:
                ends[j], names[j] = True, f"{names[parents[j]]}_end"
    offsets = torch.from_numpy(rng.normal(size=(joints, 3)))
    rotations = torch.from_numpy(rng.normal(size=(frames, joints, 4)))
    rotations = torch.nn.functional.normalize(rotations, dim=-1)
    rotations[:, ends] = torch.tensor([0.0, 0, 0, 1], dtype=torch.float64)
    slide = torch.from_numpy(rng.normal(size=(frames, joints, 3)))
    return Clip(
        Skeleton(tuple(names), parents, offsets, tuple(ends)),
        rotations,
        torch.from_numpy(rng.normal(size=(frames, 3))),
        fps,
        "wild",
        offsets + slide if moving else None,
        position_std=torch.from_numpy(rng.random((frames, joints))),
        contacts=torch.from_numpy(rng.random((frames, joints)) < 0.5),
        filled=torch.from_numpy(rng.random((frames, joints)) < 0.2),
        captions=(Caption("jumps about", 0.0, frames / fps),),
    )


def clip_makers(moving: bool | None = None) -> st.SearchStrategy[Callable[[], Clip]]:
    """Makers of random clips of 1 to 9 joints and 1 to 7 frames.

    Not the clips themselves: the type checker draws random numbers, which a strategy must not do.
    """
    return st.builds(
        lambda *values: partial(random_clip, *values[:3], moving=values[3], fps=values[4]),
        st.integers(0, 10_000),
        st.integers(1, 9),
        st.integers(1, 7),
        st.booleans() if moving is None else st.just(moving),
        st.sampled_from(RATES),
    )


@st.composite
def damaged(draw: st.DrawFn, content: bytes, alphabet: bytes = b"") -> bytes:
    """The content with some bytes changed, cut out, doubled, or its end cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not changed:
            break
        start = draw(st.integers(0, len(changed) - 1))
        stop = min(len(changed), start + draw(st.integers(1, 30)))
        match draw(st.sampled_from(("change", "cut", "double", "end"))):
            case "change":
                one = st.sampled_from(list(alphabet)) if alphabet else st.integers(0, 255)
                changed[start] = draw(one)
            case "cut":
                del changed[start:stop]
            case "double":
                changed[start:start] = changed[start:stop]
            case "end":
                del changed[start:]
    return bytes(changed)
