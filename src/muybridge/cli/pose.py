"""`muybridge pose`: put hands and feet where they are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from torch import Tensor

    from muybridge.motion.ik.reach import Outcome

REACHED = 0.001  # metres: nearer than this is there


@dataclass(frozen=True)
class Pose:
    """Move parts of a body to places and hold others, changing the pose as little as possible.

    Parts are hands, feet, head, hips and so on (left_hand, right_foot, ...) or joints by their own
    names; what the clip has is said when a name is unknown.
    """

    clip: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    """Motion file: .bvh, .glb, .fbx or .npz."""
    reach: Annotated[
        tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]], tyro.conf.arg(metavar="PART X,Y,Z")
    ]
    """A part and its goal in the world, metres, Y up; `_` leaves a coordinate free. May be given
    several times."""
    pin: tuple[str, ...] = ()
    """Parts that stay as they are; feet, toes and hands mean both."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("posed.bvh")
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    at: float | None = None
    """Second at which the goals are met; without it they hold over the whole clip."""
    ease: float = 0.5
    """Seconds over which the body goes there and back, around `--at`."""
    relative: bool = False
    """Goals count from the floor below the hips: X to the body's left, Z ahead, Y up."""
    start: str | None = None
    """Part at which the reaching limb begins, such as left_upper_arm; else the trunk helps."""
    limits: bool = True
    """Keep joints within human ranges."""

    def run(self) -> None:
        """Solve, write, and say what was reached."""
        from muybridge.cli.progress import say
        from muybridge.files.convert import check_suffix, read_clip, write_motion
        from muybridge.motion.ik.reach import Goal, ReachOptions, reach_take

        check_suffix(self.out)
        goals = [
            Goal(name, _place(name, text), None, self.relative, self.at, self.ease, self.start)
            for name, text in self.reach
        ]
        clip = read_clip(self.clip)
        reached = reach_take(clip, goals, self.pin, ReachOptions(limits=self.limits))
        write_motion(self.out, reached.clip)
        for outcome in reached.outcomes:
            say(_sentence(outcome))
        say(f"wrote {self.out}")


def _place(part: str, text: str) -> Tensor:
    """Three numbers with commas; NaN where a coordinate is free."""
    import torch

    from muybridge.errors import InputError

    words = ["nan" if word.strip() == "_" else word for word in text.split(",")]
    try:
        x, y, z = map(float, words)
    except ValueError:
        raise InputError(
            f"expected a goal for {part} such as 0.4,1.2,0.3, got {text!r}; give metres with "
            "commas and without spaces"
        ) from None
    return torch.tensor([x, y, z], dtype=torch.float64)


def _sentence(outcome: Outcome) -> str:
    left, before = 1000.0 * outcome.after, 1000.0 * outcome.before
    if outcome.pinned:
        return f"{outcome.part}: held within {left:.2f} mm"
    if outcome.after <= REACHED:
        return f"{outcome.part}: reached within {left:.2f} mm, was {before:.0f} mm away"
    return f"{outcome.part}: not reached, {left:.0f} mm left of {before:.0f} mm"
