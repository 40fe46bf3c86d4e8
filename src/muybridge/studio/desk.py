"""The editing desk: a clip under change, with undo, keys and a file to save to; no window.

A draft is a clip, and the keys it follows once it has been keyed. Every change makes a new draft
out of pure functions of `motion` and `edit`; undo goes back to the one before.

J joints, T frames. World frame: metres, Y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit import keys
from muybridge.edit.keys import ROOT_PATH, KeyedClip, Way
from muybridge.errors import InputError
from muybridge.files.convert import write_motion
from muybridge.geometry.rotation import geodesic_angle, unroll
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import GROUPS, humanoid
from muybridge.motion.ik.reach import Goal, reach
from muybridge.motion.kinematics import forward_clip

__all__ = ["HANDLES", "Desk", "Draft"]

KEPT = 200  # drafts that can be gone back to
CHANGED = 1e-4  # radians or metres: less, and a joint needs no key for it
HANDLES = (
    "left_hand", "right_hand", "left_foot", "right_foot", "head", "chest", "hips",
    "left_lower_arm", "right_lower_arm", "left_lower_leg", "right_lower_leg",
)  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """A state of the work: the clip, and its keys where it follows keys."""

    clip: Clip
    keyed: KeyedClip | None = None


class Desk:
    """A clip on the desk."""

    def __init__(self, clip: Clip, source: Path) -> None:
        self.source = source
        self._past: list[Draft] = [Draft(clip)]
        self._future: list[Draft] = []
        self._saved = self._past[-1]

    # -- where we are -----------------------------------------------------------------------

    @property
    def draft(self) -> Draft:
        """The present state."""
        return self._past[-1]

    @property
    def clip(self) -> Clip:
        """The present clip."""
        return self.draft.clip

    @property
    def keyed(self) -> KeyedClip | None:
        """The present keys; None until the clip is keyed."""
        return self.draft.keyed

    @property
    def changed(self) -> bool:
        """True if there is something to save."""
        return self.draft is not self._saved

    @property
    def can_undo(self) -> bool:
        """True if there is a change to take back."""
        return len(self._past) > 1

    @property
    def can_redo(self) -> bool:
        """True if there is a change to make again."""
        return bool(self._future)

    def undo(self) -> None:
        """Back to the draft before the last change."""
        if self.can_undo:
            self._future.append(self._past.pop())

    def redo(self) -> None:
        """Make the change again that was last taken back."""
        if self.can_redo:
            self._past.append(self._future.pop())

    def save(self, path: Path | None = None) -> Path:
        """Write the clip, by default beside its source with "_edited" in its name.

        Raises:
            InputError: If the file cannot be written; what was there stays.
        """
        path = path or self.source.with_name(f"{self.source.stem}_edited{self.source.suffix}")
        write_motion(path, self.clip)
        self._saved = self.draft
        return path

    # -- handles ----------------------------------------------------------------------------

    def handles(self) -> tuple[str, ...]:
        """Parts of this body that can be dragged."""
        known = humanoid(self.clip.skeleton)
        return tuple(name for name in HANDLES if name in known)

    def place(self, part: str, frame: int) -> Float[Tensor, "3"]:
        """Where a part is, world, metres."""
        now = forward_clip(self.clip.frames(frame, frame + 1))
        return now.positions[0, humanoid(self.clip.skeleton)[part]]

    def preview(
        self, part: str, frame: int, place: Float[Tensor, "3"], pins: Sequence[str] = ()
    ) -> Float[Tensor, "j 3"]:
        """All joints with the part dragged to a place, world; the draft stays as it is."""
        return forward_clip(self._solved(part, frame, place, pins)).positions[0]

    def drag(
        self,
        part: str,
        frame: int,
        place: Float[Tensor, "3"],
        pins: Sequence[str] = (),
        ease: float = 0.3,
    ) -> None:
        """Drag a part to a place.

        With keys, the joints that turn get keys on this frame. Without, the change eases in and
        out over time.

        Args:
            part: One of `handles`.
            frame: Where.
            place: World, metres.
            pins: Parts that stay where they are, if they are not the part itself.
            ease: Seconds over which the change comes and goes; without keys only.
        """
        if self.keyed is not None:
            solved = self._solved(part, frame, place, pins)
            self._key_pose(frame, solved, self.keyed)
            return
        goal = Goal(part, place, at=frame / self.clip.fps, ease=max(ease, 1.0 / self.clip.fps))
        self._put(Draft(reach(self.clip, (goal,), self._pins(part, pins))))

    def _solved(
        self, part: str, frame: int, place: Float[Tensor, "3"], pins: Sequence[str]
    ) -> Clip:
        """The one frame with the part at the place."""
        now = self.clip.frames(frame, frame + 1)
        return reach(now, (Goal(part, place),), self._pins(part, pins))

    def _pins(self, part: str, pins: Sequence[str]) -> tuple[str, ...]:
        known = humanoid(self.clip.skeleton)
        single = [name for pin in pins for name in GROUPS.get(pin, (pin,))]
        return tuple(name for name in single if name in known and name != part)

    def _key_pose(self, frame: int, solved: Clip, keyed: KeyedClip) -> None:
        """Keys on one frame for every joint that has turned."""
        time, turned = frame / self.clip.fps, solved.rotations[0]
        apart = geodesic_angle(self.clip.rotations[frame], turned)
        for joint in (apart > CHANGED).nonzero().squeeze(-1).tolist():
            keyed = _set_key(keyed, joint, time, turned[joint])
        if float((solved.root[0] - self.clip.root[frame]).norm()) > CHANGED:
            keyed = _set_key(keyed, ROOT_PATH, time, solved.root[0])
        self._follow(keyed)

    # -- keys -------------------------------------------------------------------------------

    def key(self, error: float = 0.002) -> None:
        """Let the clip follow few keys; joints stay within `error`, metres, of where they are.

        Raises:
            InputError: If poses are missing or the error cannot be used.
        """
        self._follow(keys.key_clip(self.clip, error))

    def move_key(self, name: str, index: int, frame: int) -> None:
        """Move a key of a joint, or of `ROOT_PATH`, to a frame."""
        self._follow(keys.move_key(self._keys(), name, index, frame / self.clip.fps))

    def turn_key(self, name: str, index: int, value: Float[Tensor, "n"]) -> None:
        """Give a key another rotation (x, y, z, w), or another place, metres."""
        self._follow(keys.move_key(self._keys(), name, index, value=value))

    def insert_key(self, name: str, frame: int) -> None:
        """Add a key on the curve."""
        self._follow(keys.insert_key(self._keys(), name, frame / self.clip.fps))

    def delete_key(self, name: str, index: int) -> None:
        """Remove a key."""
        self._follow(keys.delete_key(self._keys(), name, index))

    def set_way(self, name: str, way: Way) -> None:
        """How a track goes from each key to the next."""
        self._follow(keys.set_interpolation(self._keys(), name, way))

    def key_frames(self, name: str) -> list[int]:
        """The frames nearest to the keys of a track."""
        times = keys.track(self._keys(), name).times
        return [round(time * self.clip.fps) for time in times.tolist()]

    def curve(self, name: str) -> Float[Tensor, "t 3"]:
        """What the curve editor shows: rotation vectors in degrees, or the path in metres.

        Not Euler angles: a bent elbow would flip two of them by half a turn.
        """
        if name == ROOT_PATH:
            return self.clip.root
        turns = unroll(self.clip.rotations[:, self.clip.skeleton.index(name)])
        axis, w = turns[:, :3], turns[:, 3:]
        sine = axis.norm(dim=-1, keepdim=True)
        angle = 2.0 * torch.atan2(sine, w)  # up to a whole turn, so that curves do not jump at half
        return torch.rad2deg(axis / sine.clamp(min=1e-12) * angle)

    def _keys(self) -> KeyedClip:
        if self.keyed is None:
            raise InputError("expected a keyed clip, got one without keys; key it first")
        return self.keyed

    def _follow(self, keyed: KeyedClip) -> None:
        self._put(Draft(keys.evaluate(keyed), keyed))

    def _put(self, draft: Draft) -> None:
        self._past = [*self._past, draft][-KEPT:]
        self._future.clear()


def _set_key(
    keyed: KeyedClip, name: str | int, time: float, value: Float[Tensor, "n"]
) -> KeyedClip:
    """Change the key at a time, or add one."""
    near = keys.key_near(keyed, name, time)
    if abs(float(keys.track(keyed, name).times[near]) - time) < 0.5 / keyed.fps:
        return keys.move_key(keyed, name, near, value=value)
    return keys.insert_key(keyed, name, time, value)
