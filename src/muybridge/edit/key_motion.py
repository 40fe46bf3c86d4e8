"""From keys back to a clip, between its first and last frame and beyond them.

Legend: t frames asked for, j joints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.extrapolation import Beyond, Folded, folded
from muybridge.edit.curves.rotvec import exponential
from muybridge.edit.key_segments import segments_of
from muybridge.edit.keyed import KeyedClip
from muybridge.edit.resample import captions_until, flags_at, numbers_at, on_frames
from muybridge.errors import InputError
from muybridge.geometry.rotation import conjugate, multiply, rotate, unroll
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.facing import yaw, yaw_quaternion

__all__ = ["evaluate"]

EVEN = 1e-6  # part of a spacing by which times of a clip may be uneven
JUST = 1e-9  # seconds before the end, where the motion has not stopped yet


def evaluate(
    keyed: KeyedClip,
    times: Float[Tensor, "t"] | None = None,
    before: Beyond = "constant",
    after: Beyond = "constant",
) -> Clip:
    """The clip at any times.

    Args:
        keyed: Keys.
        times: Seconds from the first frame, evenly spaced; by default the frames' own.
        before: What the motion does before the first frame: "constant", "linear", "cycle",
            "cycle-offset" (the whole body goes on from where it was, facing where it faced) or
            "mirror".
        after: What it does after the last.
    Raises:
        InputError: If the times are not evenly spaced.
    """
    wanted = keyed.grid() if times is None else times
    fps = keyed.fps if times is None else _rate(wanted, keyed.fps)
    end = (keyed.frames - 1) / keyed.fps
    where = folded(wanted, (0.0, end), before, after)
    turning, path = segments_of(keyed.rotations), segments_of((keyed.root,))
    rotations, root = turning(where.times), path(where.times)[:, 0]
    if "linear" in (before, after):
        edges = wanted.new_tensor([0.0, max(0.0, end - JUST)])
        spin, move = turning.velocity(edges), path.velocity(edges)[:, 0]
        rotations, root = _straight_on(rotations, root, where, spin, move)
    if "cycle-offset" in (before, after):
        ends = wanted.new_tensor([0.0, end])
        rotations, root = _gone_on(rotations, root, where, turning(ends)[:, 0], path(ends)[:, 0])
    frames = on_frames(where.times * keyed.fps).clamp(0.0, float(keyed.frames - 1))
    return Clip(
        keyed.skeleton,
        unroll(rotations),
        root,
        fps,
        keyed.name,
        None if keyed.places is None else segments_of(keyed.places)(where.times),
        None if keyed.position_std is None else numbers_at(keyed.position_std, frames),
        None if keyed.contacts is None else keyed.contacts[frames.round().to(torch.int64)],
        None if keyed.filled is None else flags_at(keyed.filled, frames),
        keyed.captions if times is None else _captions(keyed, float(wanted[0]), len(wanted) / fps),
    )


def _captions(keyed: KeyedClip, start: float, length: float) -> tuple[Caption, ...]:
    """Captions of a part of the motion, seconds from its start."""
    begun = (c for c in keyed.captions if c.end > start)
    moved = tuple(Caption(c.text, max(c.start - start, 0.0), c.end - start) for c in begun)
    return captions_until(moved, length)


def _rate(times: Tensor, usual: float) -> float:
    """Frames a second of evenly spaced times."""
    if len(times) < 2:
        return usual
    steps = times.diff()
    step = float(steps.mean())
    if not step > 0.0 or float((steps - step).abs().max()) > EVEN * step:
        raise InputError(
            f"expected times that are evenly spaced, got steps from {float(steps.min()):g} to "
            f"{float(steps.max()):g} s; give them at one frame rate"
        )
    return 1.0 / step


def _straight_on(
    rotations: Tensor, root: Tensor, where: Folded, spin: Tensor, move: Tensor
) -> tuple[Tensor, Tensor]:
    """Every joint turns on as fast as at the end, and the root moves on."""
    for since, fast, speed in zip((where.before, where.after), spin, move, strict=True):
        rotations = multiply(rotations, exponential(since[:, None, None] * fast))
        root = root + since[:, None] * speed
    return rotations, root


def _gone_on(
    rotations: Tensor, root: Tensor, where: Folded, ends: Tensor, path: Tensor
) -> tuple[Tensor, Tensor]:
    """Whole turns added: each begins over the floor where the last ended, and facing as it did.

    One turn moves the body by  x -> R x + d  with R about +Y, so n turns by R^n x + c_n with
    c_(n + 1) = R c_n + d, and backwards accordingly.
    """
    angle = yaw(multiply(ends[1], conjugate(ends[0])))
    once = yaw_quaternion(angle)
    level = root.new_tensor([1.0, 0.0, 1.0])
    d = level * (path[1] - rotate(once, path[0]))
    least, most = int(where.turns.min()), int(where.turns.max())
    on, back = [torch.zeros_like(d)], [torch.zeros_like(d)]
    for _ in range(max(0, most)):
        on.append(rotate(once, on[-1]) + d)
    for _ in range(max(0, -least)):
        back.append(rotate(conjugate(once), back[-1] - d))
    shifts = torch.stack((*on, *back[:0:-1]))  # a negative index counts from the end
    turn = yaw_quaternion(where.turns * angle)
    root = rotate(turn, root) + shifts[where.turns.to(torch.int64)]
    first = multiply(turn, rotations[:, 0]).unsqueeze(1)
    return torch.cat((first, rotations[:, 1:]), dim=1), root
