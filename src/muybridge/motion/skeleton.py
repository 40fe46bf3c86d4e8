"""The skeleton: a tree of joints with rest offsets.

J joints, parents before children. At rest every local rotation is the identity, so all joint
frames are parallel to the world's (Y up, +Z forward); offsets are metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["Skeleton"]


@dataclass(frozen=True)
class Skeleton:
    """Joint names, parents and rest offsets.

    Attributes:
        names: Unique joint names.
        parents: Index of each joint's parent; -1 for the one root, which is joint 0.
        offsets: Rest position of each joint in its parent's frame, metres. The root's is kept but
            `Clip.root` replaces it.
        end_sites: True where the joint is only the tip of its parent (a BVH "End Site"): it has a
            position and no rotation of its own.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[Tensor, "j 3"]
    end_sites: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if not self.end_sites:
            object.__setattr__(self, "end_sites", (False,) * len(self.names))
        if not len(self.names) == len(self.parents) == len(self.offsets) == len(self.end_sites):
            raise InputError(
                f"expected one parent, offset and end-site flag per joint, got {len(self.names)} "
                f"names, {len(self.parents)} parents, {len(self.offsets)} offsets and "
                f"{len(self.end_sites)} flags; give each joint all of them"
            )
        if not self.names:
            raise InputError("expected at least one joint, got an empty skeleton; add a root")
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise InputError(f"expected unique joint names, got {twice} twice; rename them")
        for joint, parent in enumerate(self.parents):
            if (joint == 0) != (parent == -1) or parent >= joint:
                raise InputError(
                    f"expected one root first and parents before children, got parent {parent} "
                    f"for joint {joint} ({self.names[joint]}); reorder the joints"
                )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Index of the joint with this name."""
        if name not in self.names:
            raise InputError(
                f"expected one of the joints {', '.join(self.names)}, got {name!r}; "
                "check the spelling"
            )
        return self.names.index(name)

    def children(self, joint: int) -> tuple[int, ...]:
        """Indices of the direct children."""
        return tuple(i for i, parent in enumerate(self.parents) if parent == joint)

    def lineage(self, joint: int) -> list[int]:
        """The joint and all above it, up to the root."""
        joints = []
        while joint >= 0:
            joints.append(joint)
            joint = self.parents[joint]
        return joints

    def levels(self) -> list[list[int]]:
        """Joints by depth: the root alone, then its children, and so on."""
        depth = [0] * len(self)
        for joint, parent in enumerate(self.parents[1:], start=1):
            depth[joint] = depth[parent] + 1
        return [[j for j, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]

    def rest_positions(self) -> Float[Tensor, "j 3"]:
        """World position of each joint at rest, metres; the root at its own offset."""
        positions = [self.offsets[0]]
        for parent, offset in zip(self.parents[1:], self.offsets[1:], strict=True):
            positions.append(positions[parent] + offset)
        return torch.stack(positions)

    def bone_lengths(self) -> Float[Tensor, "j"]:
        """Length of the bone from each joint's parent to it, metres; 0 for the root."""
        lengths = self.offsets.norm(dim=-1)
        return torch.cat((torch.zeros_like(lengths[:1]), lengths[1:]))
