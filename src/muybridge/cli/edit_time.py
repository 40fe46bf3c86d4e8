"""Verbs of `muybridge edit` about time: resample, cut, join, blend, timewarp, loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from muybridge.cli.edit_files import In, Ins, Out, read_alike, read_one, write_out

__all__ = ["Blend", "Cut", "Join", "Loop", "Resample", "Timewarp"]


FAR_APART = 0.35  # radians between the ends of a clip: bent so far, feet leave the ground


@dataclass(frozen=True)
class Resample:
    """Change the frame rate, keep the motion."""

    clip: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    fps: float = 30.0
    """Frames a second."""
    method: Literal["stepped", "slerp", "squad", "cubic"] = "slerp"
    """Between frames: hold, straight, smooth speeds, or smooth accelerations."""

    def run(self) -> None:
        """Resample and write."""
        from muybridge.edit.resample import resample

        write_out(self.out, resample(read_one(self.clip, self.out), self.fps, self.method))


@dataclass(frozen=True)
class Cut:
    """Take a piece out of a clip, by seconds or by frames."""

    clip: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    start: float | None = None
    """Seconds from the first frame; the beginning when absent."""
    end: float | None = None
    """Seconds from the first frame; the end of the clip when absent."""
    frames: str | None = None
    """FIRST:STOP instead of seconds, counted from 0, without STOP itself, such as 10:200."""

    def run(self) -> None:
        """Cut and write."""
        from muybridge.edit.cut import cut, cut_frames
        from muybridge.errors import InputError

        span = None if self.frames is None else _span(self.frames)
        if (span is None) == (self.start is None and self.end is None):
            raise InputError(
                "expected seconds or frames to cut at, got "
                f"{'neither' if span is None else 'both'}; give --start and --end, or --frames"
            )
        clip = read_one(self.clip, self.out)
        if span is not None:
            piece = cut_frames(clip, span[0] or 0, len(clip) if span[1] is None else span[1])
        else:
            piece = cut(clip, self.start or 0.0, self.end)
        write_out(self.out, piece)


def _span(text: str) -> tuple[int | None, int | None]:
    from muybridge.errors import InputError

    try:
        first, stop = (int(part) if part.strip() else None for part in text.split(":"))
    except ValueError:
        raise InputError(
            f"expected frames as FIRST:STOP, got {text!r}; write them like 10:200"
        ) from None
    return first, stop


@dataclass(frozen=True)
class Join:
    """Play clips one after the other; each goes on where the last one has brought the body."""

    clips: Ins
    """Motion files of one skeleton."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    method: Literal["inertialize", "blend", "dead-blend"] = "inertialize"
    """Switch at once and let the difference fade; cross-fade the end with the beginning; or fade
    in while the first drifts on."""
    seconds: float = 0.3
    """How long it takes from one to the next."""

    def run(self) -> None:
        """Join and write."""
        from muybridge.edit.join import JoinOptions, join

        clips = read_alike(self.clips, self.out)
        write_out(self.out, join(clips, JoinOptions(self.method, self.seconds)))


@dataclass(frozen=True)
class Blend:
    """Mix clips of equal length, each in its own facing frame."""

    clips: Ins
    """Motion files of one skeleton and equal length; see timewarp for others."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    weights: tuple[float, ...] = ()
    """One for each clip; equal ones when absent."""

    def run(self) -> None:
        """Blend and write."""
        import torch

        from muybridge.edit.blend import blend_many

        clips = read_alike(self.clips, self.out)
        weights = self.weights or (1.0,) * len(clips)
        write_out(self.out, blend_many(clips, torch.tensor(weights, dtype=torch.float64)))


@dataclass(frozen=True)
class Timewarp:
    """Find which moment of one clip is which of another, and blend them step by step.

    Both should begin and end with the same event, such as a heel strike: see cut.
    """

    first: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    second: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Another one of the same skeleton."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    weight: float = 0.5
    """Of the second clip, for poses and duration; 0 is the first, 1 the second."""
    timing: bool = False
    """Do not blend: play the first clip in the timing of the second."""
    window: float | None = None
    """Matching moments are apart by at most so many seconds beyond the difference of lengths."""

    def run(self) -> None:
        """Warp, blend and write."""
        from muybridge.edit.timewarp import WarpOptions, timewarp_blend, warped_to

        first, second = read_alike((self.first, self.second), self.out)
        options = WarpOptions(window=self.window)
        if self.timing:
            write_out(self.out, warped_to(first, second, options))
        else:
            write_out(self.out, timewarp_blend(first, second, self.weight, options))


@dataclass(frozen=True)
class Loop:
    """Bend the ends of a clip so that it can be played for ever."""

    clip: In
    """About one round: a stride, a turn, a breath."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    share: float = 0.5
    """Of the difference that the beginning takes; the end takes the rest."""
    window: float | None = None
    """Seconds at either end that are bent; half of the clip when absent."""
    times: int = 1
    """Rounds to write, each from where the last one ended."""
    drop_last: bool = False
    """Leave out the last frame, which is the first one again, for players that jump from the last
    frame to the first without time in between."""

    def run(self) -> None:
        """Loop and write."""
        from muybridge.cli.progress import say
        from muybridge.edit.loop import LoopOptions, closure, loop, repeat

        clip = read_one(self.clip, self.out)
        closed = loop(clip, LoopOptions(self.share, self.window))
        before, after = closure(clip)[0], closure(closed)[0]
        rounds = repeat(closed, self.times)
        write_out(self.out, rounds.frames(0, len(rounds) - 1) if self.drop_last else rounds)
        say(f"ends were {57.29578 * before:.1f} degrees apart, now {57.29578 * after:.1g}")
        if before > FAR_APART:
            say("that is far: cut the clip to whole rounds first, such as two strides")
