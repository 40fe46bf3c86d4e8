"""Full body: of all poses that meet the aims, the one nearest to the pose there is.

    min |s|^2_W   such that the joints of the aims are where they should be, within joint limits

is a quadratic programme in every step: the aims are linear in a small change, the limits are a box.
It is solved as  min |e(s)|^2 + w |s|^2  with a w so small (`YIELD`) that the aims miss by a few
micrometres where they can be met, and share the lack by their weights where they cannot.

T frames (all at once), J joints, M aims, U unknowns. The unknowns s are the change itself: the
shift of the root, for each free joint the rotation vector of R0^-1 R, for each limited one the
change of its swing-twist angles. s = 0 is the pose there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.geometry.rotation import (
    cross_matrix,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotvec_from_matrix,
)
from muybridge.motion.ik.levenberg import LevenbergOptions, levenberg_marquardt
from muybridge.motion.ik.limits import Limits
from muybridge.motion.ik.problem import Solution
from muybridge.motion.jacobian import Freedoms, exponential_jacobian, turns_jacobian
from muybridge.motion.skeleton import Skeleton

__all__ = ["Aims", "FullBodyProblem", "Rig", "change_pose", "full_body_problem"]

YIELD = 1e-6  # square metres a square radian: how much the aims give way to a small change
SOFT = 1e-3  # the same at first: along a narrow curved valley only short steps are possible
JUMP = 0.5  # radians (or metres) from one frame to the next: two different ways to reach
FAR = 0.05  # metres left after the soft pass: out of reach, or stuck
NUDGE = 0.15  # radians
ROUNDS = 4  # of agreeing on one
_EYE = torch.eye(3, dtype=torch.float64)
RADIAN = 0.2  # metres: what one radian off counts as, for the ends of limbs


@dataclass(frozen=True)
class Aims:
    """What joints are to do in each frame; NaN leaves a number free.

    Attributes:
        joints: The M joints.
        positions: Where they are to be, world, metres.
        orientations: How they are to be turned, world.
        weights: How much each counts where not all can be met.
    """

    joints: tuple[int, ...]
    positions: Float[Tensor, "t m 3"]
    orientations: Float[Tensor, "t m 4"]
    weights: Float[Tensor, "m"]


@dataclass(frozen=True)
class Rig:
    """What may move, and how dear it is.

    Attributes:
        skeleton: The tree.
        free: Joints that may turn any way.
        limits: Joints that may turn within ranges.
        root: Whether the root may be shifted.
        dear: Relative cost of turning each joint, by its square; the last is that of shifting the
            root, per square metre.
    """

    skeleton: Skeleton
    free: tuple[int, ...]
    limits: Limits
    root: bool
    dear: Float[Tensor, "costs"]

    @cached_property
    def turning(self) -> list[int]:
        """Joints in the order of the unknowns."""
        return [*self.free, *self.limits.joints]

    @property
    def before(self) -> int:
        """Unknowns before the turns: the shift of the root."""
        return 3 * self.root

    @cached_property
    def cost(self) -> Float[Tensor, "u"]:
        """Relative cost of each unknown."""
        turns = self.dear[self.turning].repeat_interleave(3)
        return torch.cat((self.dear[-1:].expand(self.before), turns))

    @cached_property
    def freedoms(self) -> Freedoms:
        """Three turns a joint."""
        owners = tuple(joint for joint in self.turning for _ in range(3))
        return Freedoms(owners, torch.eye(3, dtype=torch.float64).repeat(len(self.turning), 1))


@dataclass(frozen=True)
class FullBodyProblem:
    """The aims of all frames as a problem of the change s; made by `full_body_problem`.

    Attributes:
        rig: What may move.
        local: Local rotations as they are.
        translations: Positions in the parents' frames; the root's in the world.
        start: Angles of the limited joints as they are.
        aims: The joints of the aims and their weights.
        positions: Where they are to be.
        orientations: How they are to be turned.
        give: How much the aims give way, see `YIELD`.
    """

    rig: Rig
    local: Float[Tensor, "t j 3 3"]
    translations: Float[Tensor, "t j 3"]
    start: Float[Tensor, "t l 3"]
    aims: Aims
    positions: Float[Tensor, "t m 3"]
    orientations: Float[Tensor, "t m 3 3"]
    give: float = YIELD

    @cached_property
    def lower(self) -> Float[Tensor, "t u"]:
        """Least change; what is beyond a limit may stay there."""
        return self._padded((self.rig.limits.lower - self.start).clamp(max=0.0), -torch.inf)

    @cached_property
    def upper(self) -> Float[Tensor, "t u"]:
        """Greatest change."""
        return self._padded((self.rig.limits.upper - self.start).clamp(min=0.0), torch.inf)

    def _padded(self, limited: Float[Tensor, "t l 3"], value: float) -> Float[Tensor, "t u"]:
        before = 3 * len(self.rig.free) + self.rig.before
        return torch.nn.functional.pad(limited.flatten(1), (before, 0), value=value)

    @cached_property
    def stiffness(self) -> Float[Tensor, "u"]:
        """Cost of the change."""
        return self.give * self.rig.cost

    def take(self, rows: Int[Tensor, "k"]) -> FullBodyProblem:
        """Some of the frames."""
        return replace(
            self,
            local=self.local[rows],
            translations=self.translations[rows],
            start=self.start[rows],
            positions=self.positions[rows],
            orientations=self.orientations[rows],
        )

    def moved(
        self, state: Float[Tensor, "t u"]
    ) -> tuple[Float[Tensor, "t j 3 3"], Float[Tensor, "t j 3"], Float[Tensor, "t r 3 3"]]:
        """Local rotations and translations after a change, and slopes.

        A free joint is R0 exp(s) with exp(s + ds) = exp(s) exp(J ds). A limited one swings and
        twists in its frame F: R = F exp(s) T F^-1, where exp(s) T exp(d) takes up a change of the
        angles by d = T^-1 J ds across the axis and d = dt along it.

        Returns:
            Local rotations, translations, and for each turning joint the derivative of the turn d
            in R <- R exp(d) by its three unknowns.
        """
        local, translations, rig = self.local.clone(), self.translations, self.rig
        if rig.root:
            shift = torch.nn.functional.pad(state[:, None, :3], (0, 0, 0, local.shape[1] - 1))
            translations = translations + shift
        turns = state[:, rig.before :].unflatten(-1, (-1, 3))
        count, limits = len(rig.free), rig.limits
        angles = self.start + turns[:, count:]
        vectors = torch.cat((turns[:, :count], limits.swing(angles)), dim=1)
        slopes = exponential_jacobian(vectors)
        turned = _EYE + cross_matrix(vectors) @ slopes.mT  # exp(v) = 1 + [v] J^T
        local[:, list(rig.free)] = local[:, list(rig.free)] @ turned[:, :count]
        if limits.joints:
            twist, frame = limits.twist(angles), limits.frame
            local[:, list(limits.joints)] = frame @ turned[:, count:] @ twist @ frame.mT
            slope = twist.mT @ slopes[:, count:] @ limits.across + limits.along
            slopes = torch.cat((slopes[:, :count], frame @ slope), dim=1)
        return local, translations, slopes

    def linearise(
        self, state: Float[Tensor, "t u"]
    ) -> tuple[Float[Tensor, "t e"], Float[Tensor, "t e u"]]:
        """What the aims lack, in weighted metres, and how it changes."""
        local, translations, slopes = self.moved(state)
        places, turns = _forward(self.rig.skeleton, local, translations)
        joints, weights = list(self.aims.joints), self.aims.weights[:, None]
        points = torch.stack([places[j] for j in joints], dim=1)
        ends = torch.stack([turns[j] for j in joints], dim=1)
        lacking = weights * (self.positions - points)
        turned = (RADIAN * weights) * _rotvec(self.orientations @ ends.mT)
        error = torch.cat((lacking, turned), dim=1)

        axes = torch.stack([turns[j] for j in self.rig.turning], dim=1) @ slopes
        axes_world = axes.mT.flatten(1, 2)
        pivots = torch.stack([places[j] for j in self.rig.turning], dim=1)
        reach = self.rig.freedoms.reach(self.rig.skeleton, self.aims.joints)
        moves = turns_jacobian(pivots.repeat_interleave(3, 1), axes_world, points, reach)
        spins = axes_world.mT.unsqueeze(1) * reach.unsqueeze(-2)
        if self.rig.root:
            moves, spins = torch.nn.functional.pad(moves, (3, 0)), _after_nothing(spins)
            moves[..., :3] = torch.eye(3, dtype=moves.dtype)
        weights = weights.unsqueeze(-1)
        jacobian = torch.cat((weights * moves, RADIAN * weights * spins), dim=1)
        jacobian = torch.where(error.isnan().unsqueeze(-1), 0.0, jacobian)
        return error.nan_to_num(nan=0.0).flatten(1), jacobian.flatten(1, 2)


def _after_nothing(spins: Float[Tensor, "t m 3 r"]) -> Float[Tensor, "t m 3 u"]:
    """A shift of the root turns nothing."""
    return torch.nn.functional.pad(spins, (3, 0))


def _rotvec(matrix: Float[Tensor, "t m 3 3"]) -> Float[Tensor, "t m 3"]:
    """Rotation vectors; NaN where the matrix is."""
    known = matrix[..., 0, 0].isfinite()
    rotvec = torch.full(matrix.shape[:-1], torch.nan, dtype=matrix.dtype)
    rotvec[known] = rotvec_from_matrix(matrix[known])
    return rotvec


def _forward(
    skeleton: Skeleton, local: Float[Tensor, "t j 3 3"], translations: Float[Tensor, "t j 3"]
) -> tuple[list[Tensor], list[Tensor]]:
    """World place and orientation of each joint. A few frames at a time: fewer, larger steps than
    `kinematics.forward`, which is for many."""
    turns, places = [local[:, 0]], [translations[:, 0]]
    rows, steps = local.unbind(1), translations.unsqueeze(-1).unbind(1)
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        way = torch.baddbmm(places[parent].unsqueeze(-1), turns[parent], steps[joint])
        places.append(way.squeeze(-1))
        turns.append(turns[parent] @ rows[joint])
    return places, turns


def full_body_problem(
    rig: Rig,
    rotations: Float[Tensor, "t j 4"],
    translations: Float[Tensor, "t j 3"],
    aims: Aims,
) -> FullBodyProblem:
    """The problem of bringing poses to aims.

    Args:
        rig: What may move.
        rotations: Local rotations as they are.
        translations: Positions in the parents' frames; the root's in the world.
        aims: What is wanted.
    """
    known = aims.orientations.isfinite().all(-1)
    orientations = torch.full((*known.shape, 3, 3), torch.nan, dtype=torch.float64)
    orientations[known] = matrix_from_quaternion(aims.orientations[known])
    return FullBodyProblem(
        rig=rig,
        local=matrix_from_quaternion(rotations),
        translations=translations,
        start=rig.limits.angles(rotations[:, list(rig.limits.joints)]),
        aims=aims,
        positions=aims.positions,
        orientations=orientations,
    )


def change_pose(
    problem: FullBodyProblem, iterations: int = 30
) -> tuple[Float[Tensor, "t j 4"], Float[Tensor, "t j 3"], Solution]:
    """The nearest poses that meet the aims: first with soft aims, then with hard ones.

    Args:
        problem: Poses and aims.
        iterations: At most so many steps in each of the two passes.
    Returns:
        Local rotations, translations, and how it went (`error` in weighted metres).
    """
    state = torch.zeros(len(problem.local), len(problem.stiffness), dtype=torch.float64)
    options = LevenbergOptions(iterations=iterations, damping=1e-2, settled=5e-3)
    soft = replace(problem, give=SOFT)
    found = levenberg_marquardt(soft, state, options)
    found = _agreed(soft, _nudged(soft, found, options), options)
    hard = LevenbergOptions(iterations=iterations, damping=1e-3, settled=1e-3)
    found = levenberg_marquardt(problem, found.state, hard)
    local, translations, _ = problem.moved(found.state)
    return quaternion_from_matrix(local), translations, found


def _nudged(problem: FullBodyProblem, found: Solution, options: LevenbergOptions) -> Solution:
    """Frames far from their aims try again from a slightly bent pose; the better end stays.

    From exactly straight limbs, as in a T-pose, no small turn brings the ends nearer to the root.
    """
    rows = (found.error > FAR).nonzero().squeeze(-1)
    if not len(rows):
        return found
    part, rig = problem.take(rows), problem.rig
    generator = torch.Generator().manual_seed(0)
    bent = NUDGE * torch.randn(len(problem.stiffness), dtype=torch.float64, generator=generator)
    state = bent.expand(len(rows), -1).clone()
    state[:, : rig.before] = 0.0
    middle = (0.5 * (rig.limits.lower + rig.limits.upper) - part.start).flatten(1)
    state[:, rig.before + 3 * len(rig.free) :] = middle.clamp(-2.0 * NUDGE, 2.0 * NUDGE)
    tried = levenberg_marquardt(part, state, options)
    better = (_cost(part, tried) < _cost(part, found.take(rows))).nonzero().squeeze(-1)
    return found.merged(rows[better], tried.take(better)) if len(better) else found


def _cost(problem: FullBodyProblem, found: Solution) -> Float[Tensor, "t"]:
    return found.error.square() + (problem.stiffness * found.state.square()).sum(-1)


def _agreed(problem: FullBodyProblem, found: Solution, options: LevenbergOptions) -> Solution:
    """Frames that fell into a farther pose than their neighbours try again from the neighbours'.

    Where the change jumps between two frames, the dearer side, up to its next jump, starts again
    from the frame beyond the jump; each frame keeps the cheaper of its two ends.
    """
    for _ in range(ROUNDS):
        cost = _cost(problem, found)
        jumps = (found.state.diff(dim=0).abs().amax(-1) > JUMP).nonzero().flatten().tolist()
        cuts = [0, *(k + 1 for k in jumps), len(cost)]
        rows: list[int] = []
        starts: list[int] = []
        for k, cut in enumerate(cuts[1:-1], start=1):
            ahead = float(cost[cut]) > float(cost[cut - 1])
            run = range(cut, cuts[k + 1]) if ahead else range(cuts[k - 1], cut)
            rows += run
            starts += [cut - 1 if ahead else cut] * len(run)
        if not rows:
            break
        index = torch.tensor(rows)
        tried = levenberg_marquardt(problem.take(index), found.state[starts], options)
        better = _cost(problem, tried) < cost[index] * (1.0 - 1e-3)
        pick = better.nonzero().squeeze(-1)
        if not len(pick):
            break
        found = found.merged(index[pick], tried.take(pick))
    return found
