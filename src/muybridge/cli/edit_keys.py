"""`muybridge edit keys`: a clip as few editable keys, and keys as a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from muybridge.cli.edit_files import In, Out, read_one, write_out

if TYPE_CHECKING:
    from muybridge.edit.keyed import KeyedClip

__all__ = ["Keys"]


@dataclass(frozen=True)
class Keys:
    """Keep a few keys a joint instead of a pose a frame, within an error.

    To a .npz the keys themselves are written, to edit on; to any other ending the motion they make.
    IN may be such a .npz.
    """

    clip: In
    """Motion file: .bvh, .glb, .fbx or .npz."""
    out: Out
    """File to write: .npz for keys; .bvh, .glb, .fbx, .c3d or .trc for the motion they make."""
    error_mm: float = 2.0
    """How far any joint may be from where it was, millimetres."""
    error_deg: float = 1.0
    """How far the rotation of any joint may be off, degrees."""
    way: Literal["smooth", "linear"] = "smooth"
    """From key to key: smooth curves, or straight ones that any program knows."""

    def run(self) -> None:
        """Make keys, say what they save and cost, and write."""
        from muybridge.cli.progress import say
        from muybridge.edit.key_file import is_keyed, load_keyed, save_keyed
        from muybridge.edit.keys import evaluate
        from muybridge.files.convert import check_suffix

        check_suffix(self.out)
        keyed = load_keyed(self.clip) if is_keyed(self.clip) else self._reduced()
        if self.out.suffix.lower() == ".npz":
            save_keyed(self.out, keyed)
            say(f"wrote {self.out}: {keyed.count()} keys, {keyed.frames} frames")
        else:
            write_out(self.out, evaluate(keyed))

    def _reduced(self) -> KeyedClip:
        from math import radians

        from muybridge.cli.progress import say
        from muybridge.edit.keys import key_clip, reduction

        clip = read_one(self.clip, self.out)
        keyed = key_clip(clip, self.error_mm / 1000.0, radians(self.error_deg), self.way)
        cost = reduction(clip, keyed)
        say(
            f"{cost.keys} keys for {cost.poses} values: {cost.poses / cost.keys:.1f} times fewer; "
            f"joints off by at most {1000 * cost.error:.2f} mm (rms {1000 * cost.rms:.2f})"
        )
        return keyed
