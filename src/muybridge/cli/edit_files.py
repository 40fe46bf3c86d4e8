"""What the verbs of `muybridge edit` share: reading clips and writing one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from muybridge.motion.clip import Clip

__all__ = ["In", "Ins", "Out", "read_alike", "read_one", "write_out"]

In = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
Ins = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="IN IN ...", help_behavior_hint="(two or more)"),
]
Out = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


def read_one(path: Path, out: Path) -> Clip:
    """Read a clip, once it is known that the result can be written."""
    from muybridge.files.convert import check_suffix, read_clip

    check_suffix(out)
    return read_clip(path)


def read_alike(paths: Sequence[Path], out: Path) -> list[Clip]:
    """Read clips of one skeleton; those at another rate than the first get its rate, and we say so.

    Raises:
        InputError: If there are fewer than two, or their skeletons differ.
    """
    from muybridge.cli.progress import say
    from muybridge.edit.resample import resample
    from muybridge.edit.sequence import same_skeleton
    from muybridge.errors import InputError

    if len(paths) < 2:
        raise InputError(f"expected at least two motion files, got {len(paths)}; name another one")
    first, *others = (read_one(path, out) for path in paths)
    clips = [first]
    for clip, path in zip(others, paths[1:], strict=True):
        if abs(clip.fps / first.fps - 1.0) > 1e-4:
            say(f"{path} resampled from {clip.fps:g} to {first.fps:g} frames/second")
            clip = resample(clip, first.fps)
        clips.append(same_skeleton(clip, first))
    return clips


def write_out(out: Path, clip: Clip) -> None:
    """Write the result and say what it is."""
    from dataclasses import replace

    from muybridge.cli.progress import say
    from muybridge.files.convert import write_motion

    write_motion(out, replace(clip, name=out.stem))
    say(f"wrote {out}: {len(clip)} frames, {clip.duration:.2f} s at {clip.fps:g} frames/second")
