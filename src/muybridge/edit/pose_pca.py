"""How few numbers a pose takes: principal components of the joints of a motion.

Poses are vectors of numbers; the components are the directions in which they vary most, at right
angles to each other, and a pose is the mean plus a few of them. Joints move together, so that a
walk of 63 numbers a frame takes 6 to keep 99 % of its variance.

T frames, J joints, D numbers a pose, K components. Metres; radians.

References:
    Safonova, Hodgins, Pollard, Synthesizing physically realistic human motion in low-dimensional,
    behavior-specific spaces, SIGGRAPH 2004.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotate,
    rotvec_from_quaternion,
)
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw, yaw_quaternion
from muybridge.motion.kinematics import forward_clip

__all__ = ["PosePca", "RotationSpace", "fit_pca", "joint_vectors", "rotation_space"]

Frame = Literal["root", "facing"]
SAME = 1e-6  # metres; joints that are never farther apart are one point


@dataclass(frozen=True)
class PosePca:
    """Mean and components of poses.

    Attributes:
        mean: The middle pose.
        components: Unit vectors at right angles, the strongest first; the largest number of each
            is positive.
        variances: Variance along each, with T - 1 below, as of a sample.
    """

    mean: Float[Tensor, "d"]
    components: Float[Tensor, "k d"]
    variances: Float[Tensor, "k"]

    @property
    def shares(self) -> Float[Tensor, "k"]:
        """Share of the whole variance along each component; 0 for poses that never change."""
        return self.variances / self.variances.sum().clamp(min=1e-300)

    def count(self, share: float) -> int:
        """How many components keep this share of the variance."""
        if not 0.0 < share <= 1.0:
            raise InputError(f"expected a share of the variance in (0, 1], got {share}; give 0.95")
        reached = self.shares.cumsum(0) >= share - 1e-12
        return int(reached.int().argmax()) + 1 if bool(reached.any()) else len(self.shares)

    def project(self, poses: Float[Tensor, "*t d"], count: int) -> Float[Tensor, "*t k"]:
        """The poses' first so many numbers."""
        return (poses - self.mean) @ self._first(count).T

    def reconstruct(self, numbers: Float[Tensor, "*t k"]) -> Float[Tensor, "*t d"]:
        """The poses of these numbers."""
        return self.mean + numbers @ self._first(numbers.shape[-1])

    def _first(self, count: int) -> Float[Tensor, "k d"]:
        if not 1 <= count <= len(self.components):
            raise InputError(
                f"expected 1 to {len(self.components)} components, got {count}; more would be zero"
            )
        return self.components[:count]


def fit_pca(poses: Float[Tensor, "t d"]) -> PosePca:
    """The principal components of some poses, by the singular values of what differs from the mean.

    Raises:
        InputError: If there are fewer than two poses, or numbers are missing.
    """
    if len(poses) < 2 or not bool(poses.isfinite().all()):
        raise InputError(
            f"expected at least two poses without gaps, got {len(poses)}; fill gaps first"
        )
    mean = poses.mean(0)
    _, values, components = torch.linalg.svd(poses - mean, full_matrices=False)
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    return PosePca(mean, components * largest.sign(), values.square() / (len(poses) - 1))


def joint_vectors(clip: Clip, frame: Frame = "facing") -> Float[Tensor, "t d"]:
    """Where the joints are, seen from the root; metres.

    End sites and joints that always lie on another one are left out.

    Args:
        clip: Without gaps.
        frame: "root" keeps the world's directions; "facing" turns with the body, so that walking
            in another direction is no other pose.
    """
    refuse_missing(clip)
    positions = forward_clip(clip).positions - clip.root.unsqueeze(1)
    positions = positions[:, _distinct(clip, positions)]
    if frame == "facing":
        back = yaw_quaternion(-yaw(clip.rotations[:, 0])).unsqueeze(1)
        positions = rotate(back.expand(-1, positions.shape[1], 4), positions)
    return positions.flatten(1)


def _distinct(clip: Clip, positions: Float[Tensor, "t j 3"]) -> list[int]:
    """Joints that are no end sites and not always where an earlier one is."""
    kept: list[int] = []
    for joint, end in enumerate(clip.skeleton.end_sites):
        apart = (positions[:, kept] - positions[:, joint : joint + 1]).norm(dim=-1)
        if not end and bool((apart.amax(0) > SAME).all()):
            kept.append(joint)
    return kept


@dataclass(frozen=True)
class RotationSpace:
    """Poses as rotation vectors of all joints from a middle pose, and back to clips.

    The root's turn about the vertical is not a part of the pose.

    Attributes:
        middle: Rotation of each joint in the middle pose.
        pca: Of the rotation vectors, J x 3 numbers a pose.
    """

    middle: Float[Tensor, "j 4"]
    pca: PosePca

    def project(self, clip: Clip, count: int) -> Float[Tensor, "t k"]:
        """The numbers of a clip's poses."""
        return self.pca.project(_rotvecs(clip, self.middle), count)

    def reconstruct(self, numbers: Float[Tensor, "t k"], like: Clip) -> Clip:
        """A clip of these poses that goes and faces where another does."""
        rotvecs = self.pca.reconstruct(numbers).unflatten(-1, (-1, 3))
        rotations = multiply(
            self.middle.expand(len(numbers), -1, 4), quaternion_from_rotvec(rotvecs)
        )
        facing = yaw_quaternion(yaw(like.rotations[:, 0]))
        rotations[:, 0] = multiply(facing, rotations[:, 0])
        return replace(like, rotations=rotations)


def rotation_space(clip: Clip) -> RotationSpace:
    """The components of a clip's joint rotations."""
    refuse_missing(clip)
    rotations = _unfaced(clip)
    outer = torch.einsum("tja,tjb->jab", rotations, rotations)  # blind to signs
    middle = torch.linalg.eigh(outer).eigenvectors[..., -1]
    return RotationSpace(middle, fit_pca(_rotvecs(clip, middle)))


def _unfaced(clip: Clip) -> Float[Tensor, "t j 4"]:
    """Local rotations, the root's without its turn about the vertical."""
    rotations = clip.rotations.clone()
    rotations[:, 0] = multiply(yaw_quaternion(-yaw(rotations[:, 0])), rotations[:, 0])
    return rotations


def _rotvecs(clip: Clip, middle: Float[Tensor, "j 4"]) -> Float[Tensor, "t d"]:
    back = conjugate(middle).expand(len(clip), -1, 4)
    return rotvec_from_quaternion(multiply(back, _unfaced(clip))).flatten(1)
