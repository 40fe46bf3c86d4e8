"""A chain of hinges, such as a robot's arm: forward kinematics and the problem of reaching.

b targets, n hinges. At zero angles all frames are parallel to the world's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import conjugate, multiply, rotate, rotvec_from_quaternion
from muybridge.motion.ik.levenberg import LevenbergOptions, Starts, with_restarts
from muybridge.motion.ik.problem import Solution
from muybridge.motion.jacobian import Freedoms, point_jacobian
from muybridge.motion.kinematics import Pose, forward
from muybridge.motion.skeleton import Skeleton

__all__ = ["Chain", "ChainProblem", "arm", "solve_chain"]

POSES = 1024  # random poses among which the starts nearest to a target are chosen
SEED = 7919  # of those poses; no test or benchmark draws its targets with it
RADIAN = 0.3  # metres: how far off an orientation is that is wrong by one radian


@dataclass(frozen=True)
class Chain:
    """Hinges one after another and a tip.

    Attributes:
        axes: Unit axis of each hinge in its own frame.
        offsets: Place of each hinge in the frame of the one before (the first: in the world),
            metres.
        tip: Place of the tip in the frame of the last hinge, metres.
        lower, upper: Limits of the angles, radians; infinite where there is none.
    """

    axes: Float[Tensor, "n 3"]
    offsets: Float[Tensor, "n 3"]
    tip: Float[Tensor, "3"]
    lower: Float[Tensor, "n"]
    upper: Float[Tensor, "n"]

    def __post_init__(self) -> None:
        if not bool((self.lower <= self.upper).all()):
            raise InputError(
                "expected lower limits below the upper ones, got "
                f"{self.lower.tolist()} and {self.upper.tolist()}; swap them"
            )

    def __len__(self) -> int:
        return len(self.axes)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The hinges and the tip as joints."""
        count = len(self)
        names = (*(f"hinge{k}" for k in range(count)), "tip")
        offsets = torch.cat((self.offsets, self.tip.unsqueeze(0)))
        return Skeleton(names, tuple(range(-1, count)), offsets)

    @cached_property
    def freedoms(self) -> Freedoms:
        """One turn a hinge."""
        return Freedoms(tuple(range(len(self))), self.axes)

    @property
    def length(self) -> float:
        """Sum of the bones from the first hinge to the tip, metres."""
        return float(self.skeleton.bone_lengths().sum())

    def forward(self, angles: Float[Tensor, "b n"]) -> Pose:
        """World pose of the hinges and, last, of the tip."""
        half = 0.5 * angles.unsqueeze(-1)
        turns = torch.cat((half.sin() * self.axes, half.cos()), dim=-1)
        still = torch.zeros_like(turns[:, :1])
        still[..., 3] = 1.0
        rotations = torch.cat((turns, still), dim=1)
        return forward(self.skeleton, rotations, self.skeleton.offsets.expand(len(angles), -1, -1))


@dataclass(frozen=True)
class ChainProblem:
    """The tip is to be at a place, and on request turned in a certain way.

    Attributes:
        chain: The hinges.
        targets: Where the tip is to be, metres.
        orientations: How it is to be turned; None leaves it free.
    """

    chain: Chain
    targets: Float[Tensor, "b 3"]
    orientations: Float[Tensor, "b 4"] | None = None

    @property
    def lower(self) -> Float[Tensor, "b n"]:
        """Limits of the angles."""
        return self.chain.lower.expand(len(self.targets), -1)

    @property
    def upper(self) -> Float[Tensor, "b n"]:
        """Limits of the angles."""
        return self.chain.upper.expand(len(self.targets), -1)

    @property
    def stiffness(self) -> Float[Tensor, "n"]:
        """All angles are as good as each other."""
        return torch.zeros_like(self.chain.lower)

    def linearise(
        self, state: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b m"], Float[Tensor, "b m n"]]:
        """What the tip lacks, and how it moves with the angles."""
        pose, chain = self.chain.forward(state), self.chain
        tip = pose.positions[:, -1]
        moved = point_jacobian(
            chain.skeleton, pose, tip.unsqueeze(1), (len(chain),), chain.freedoms
        )
        error, jacobian = self.targets - tip, moved[:, 0, :, 3:]
        if self.orientations is None:
            return error, jacobian
        lacking = multiply(self.orientations, conjugate(pose.orientations[:, -1]))
        axes_world = rotate(pose.orientations[:, :-1], chain.axes).mT
        return (
            torch.cat((error, RADIAN * rotvec_from_quaternion(lacking)), dim=-1),
            torch.cat((jacobian, RADIAN * axes_world), dim=-2),
        )

    def take(self, rows: Int[Tensor, "k"]) -> ChainProblem:
        """Some of the targets."""
        turned = None if self.orientations is None else self.orientations[rows]
        return replace(self, targets=self.targets[rows], orientations=turned)


def solve_chain(
    chain: Chain,
    targets: Float[Tensor, "b 3"],
    orientations: Float[Tensor, "b 4"] | None = None,
    start: Float[Tensor, "b n"] | None = None,
    options: LevenbergOptions | None = None,
) -> Solution:
    """Angles that bring the tip to each target: Levenberg-Marquardt with restarts.

    Starts come from a thousand random poses within the limits: those whose tips are nearest.

    Args:
        targets: Places, world, metres.
        orientations: Turns of the tip that are wanted too.
        start: Where to begin, for the solution next to it; a nearest pose when None.
        options: When to stop; 12 iterations a start when None: other starts help more than
            patience.
    """
    problem = ChainProblem(chain, targets, orientations)
    starts = _nearest(problem)
    if start is None:
        start = starts(torch.arange(len(targets)), 1)
    options = options or LevenbergOptions(iterations=12)
    return with_restarts(problem, start, starts, options)


def _nearest(problem: ChainProblem) -> Starts:
    """Starts for some targets: of many random poses those with the nearest tips."""
    chain, generator = problem.chain, torch.Generator().manual_seed(SEED)
    low, high = chain.lower.clamp(min=-torch.pi), chain.upper.clamp(max=torch.pi)
    share = torch.rand(POSES, len(chain), dtype=low.dtype, generator=generator)
    poses = torch.lerp(low.expand_as(share), high.expand_as(share), share)
    tips = chain.forward(poses).positions[:, -1]

    def starts(rows: Int[Tensor, "k"], tries: int) -> Float[Tensor, "kt n"]:
        distance = torch.cdist(problem.targets[rows], tips)
        return poses[distance.topk(tries, largest=False).indices.flatten()]

    return starts


def arm() -> Chain:
    """A human arm of seven hinges with its limits: shoulder 3, elbow 2, wrist 2; left, T-pose.

    The first hinge is the shoulder at the origin, the arm lies along +X, the tip is the middle of
    the hand. Ranges as in `motion.body`, rounded.
    """
    x, y, z = torch.eye(3, dtype=torch.float64)
    ranges = [(-140, 60), (-120, 110), (-100, 100), (-155, 0), (-90, 90), (-75, 75), (-25, 35)]
    limits = torch.tensor(ranges, dtype=torch.float64).deg2rad()
    offsets = torch.zeros(7, 3, dtype=torch.float64)
    offsets[3, 0], offsets[5, 0] = 0.30, 0.26
    return Chain(
        axes=torch.stack((y, z, x, y, x, z, y)),
        offsets=offsets,
        tip=0.10 * x,
        lower=limits[:, 0],
        upper=limits[:, 1],
    )
