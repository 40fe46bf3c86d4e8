"""Verbs of `muybridge edit` about the body: mirror, smooth, retarget, pin, fill, path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from muybridge.cli.edit_files import In, Out, read_one, write_out

__all__ = ["AlongPath", "Fill", "Mirror", "Pin", "Retarget", "Smooth"]


@dataclass(frozen=True)
class Mirror:
    """Exchange left and right."""

    clip: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""

    def run(self) -> None:
        """Mirror and write."""
        from muybridge.edit.mirror import mirror

        write_out(self.out, mirror(read_one(self.clip, self.out)))


@dataclass(frozen=True)
class Smooth:
    """Take out what is faster than a frequency, without delay."""

    clip: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    method: Literal["butterworth", "gaussian", "savgol"] = "butterworth"
    """What gait laboratories use; what never rings; what keeps peaks."""
    cutoff: float = 6.0
    """Hz; half of the power is left at it."""
    keep_feet: bool = False
    """Pin the feet again where they stood before."""

    def run(self) -> None:
        """Smooth and write."""
        from muybridge.edit.smooth import SmoothOptions, smooth

        options = SmoothOptions(self.method, self.cutoff, self.keep_feet)
        write_out(self.out, smooth(read_one(self.clip, self.out), options))


@dataclass(frozen=True)
class Retarget:
    """Carry a motion over to another skeleton: rest poses, names, leg lengths, standing feet."""

    clip: In
    """The motion: .bvh, .glb, .fbx or .npz."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """Any motion file of the skeleton that is to move; its own motion is not used."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    map: Path | None = None
    """JSON with names that go before those known: {"target joint": "source joint"}, or
    {"left_hand": ["target joint", "source joint"]} for parts that names do not tell."""
    feet: bool = True
    """Feet that stood in the source stand."""
    hands: bool = True
    """Hands that were outside of the trunk stay outside."""
    scale: float | None = None
    """Of the path on the floor; the ratio of the legs' lengths when absent."""
    rest_frame: int | None = None
    """Frame of the motion that shows its rest pose (a T-pose), where the skeleton is not drawn in
    one."""

    def run(self) -> None:
        """Retarget, write, and say how much the feet slide."""
        from dataclasses import replace

        from muybridge.cli.progress import say
        from muybridge.edit.feet import foot_slide
        from muybridge.edit.joint_map import read_map
        from muybridge.edit.retarget import RetargetOptions, retarget
        from muybridge.files.convert import read_clip

        own = None if self.map is None else read_map(self.map)
        options = RetargetOptions(self.feet, self.hands, self.scale, self.rest_frame)
        clip, rig = read_one(self.clip, self.out), read_clip(self.target).skeleton
        made = retarget(clip, rig, own, options)
        write_out(self.out, made)
        if self.feet and made.contacts is not None:
            loose = retarget(clip, rig, own, replace(options, feet=False))
            slides = (100.0 * foot_slide(c, made.contacts) for c in (loose, made))
            say("standing feet would slide at {:.2f} cm/s, and do at {:.2f}".format(*slides))


@dataclass(frozen=True)
class Pin:
    """Pin standing feet to the ground."""

    clip: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    ease: float = 0.2
    """Seconds over which a correction comes and goes."""
    speed: float = 0.2
    """Metres/second; a foot that is slower than this and low begins to stand. More for motion
    whose feet slide much."""
    toes: bool = True
    """Hold the base of the toes too, also while the heel is up."""
    hips: bool = True
    """Let the hips come down where a leg is too short."""
    again: bool = False
    """Find contacts anew, also where the file has some."""

    def run(self) -> None:
        """Find contacts, pin, write, and say how much feet slid."""
        from muybridge.cli.progress import say
        from muybridge.edit.feet import contact_options, foot_contacts, foot_slide
        from muybridge.edit.pin import PinOptions, pin

        options = PinOptions(self.ease, self.toes, self.hips)
        thresholds = contact_options(self.speed)
        clip = read_one(self.clip, self.out)
        known = None if self.again else clip.contacts
        contacts = foot_contacts(clip, thresholds) if known is None else known
        pinned = pin(clip, contacts, options)
        write_out(self.out, pinned)
        slides = (100.0 * foot_slide(c, contacts) for c in (clip, pinned))
        say("standing feet slid at {:.2f} cm/s, now at {:.2f}".format(*slides))


@dataclass(frozen=True)
class Fill:
    """Fill frames whose pose is missing."""

    clip: In
    """Motion file: .npz (others cannot say that a pose is missing)."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    method: Literal["slerp", "cubic"] = "cubic"
    """Along one arc, or with the speeds at both ends of a gap."""
    again: bool = False
    """Fill anew also what is flagged as filled."""

    def run(self) -> None:
        """Fill, write, and say how much."""
        from muybridge.cli.progress import say
        from muybridge.edit.fill import fill, longest_gap, unknown

        clip = read_one(self.clip, self.out)
        holes = unknown(clip, self.again)
        write_out(self.out, fill(clip, self.method, self.again))
        share, longest = 100.0 * float(holes.float().mean()), longest_gap(holes) / clip.fps
        if share == 0.0:
            say("nothing was missing")
            return
        say(f"filled {share:.1f} % of all joints' frames; the longest gap was {longest:.2f} s")


@dataclass(frozen=True)
class AlongPath:
    """Bend a walk along a line on the floor."""

    clip: In
    """Something that travels: .bvh, .glb, .fbx or .npz."""
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """JSON with points of the floor, [[x, z], ...] in metres; a smooth curve goes through them."""
    out: Out
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    fit: bool = False
    """Stretch the strides so that the walk ends where the path ends."""
    feet: bool = True
    """Pin the feet where they stood before."""

    def run(self) -> None:
        """Bend, write, and say how far it goes."""
        from muybridge.cli.progress import say
        from muybridge.edit.floor_path import read_floor_path
        from muybridge.edit.path import PathOptions, along_path, curve_through, path_of

        points = read_floor_path(self.path).points
        clip = read_one(self.clip, self.out)
        write_out(self.out, along_path(clip, points, PathOptions(self.fit, self.feet)))
        way, length = float(path_of(clip).lengths[-1]), float(curve_through(points).lengths[-1])
        say(f"walked {length if self.fit else way:.2f} m along a path of {length:.2f} m")
