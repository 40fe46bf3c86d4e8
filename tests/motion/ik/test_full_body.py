"""Full body: derivatives, the least change of all, limits, and what gives way."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    identity_quaternion,
    multiply,
    quaternion_from_rotvec,
    rotvec_from_quaternion,
)
from muybridge.motion.body import template
from muybridge.motion.ik.full_body import (
    YIELD,
    Aims,
    FullBodyProblem,
    Rig,
    change_pose,
    full_body_problem,
)
from muybridge.motion.ik.limits import Limits, human_limits
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import Pose, forward
from muybridge.motion.skeleton import Skeleton

BODY = template(HALPE_26).skeleton
HAND, FEET = BODY.index("LeftHand"), (BODY.index("LeftFoot"), BODY.index("RightFoot"))
ARM = [BODY.index(n) for n in ("LeftShoulder", "LeftArm", "LeftForeArm")]
LEGS = [BODY.index(f"{s}{n}") for s in ("Left", "Right") for n in ("UpLeg", "Leg", "Foot")]
TRUNK = [BODY.index(n) for n in ("Hips", "Spine", "Spine1")]


def standing(frames: int, seed: int, size: float = 0.2) -> tuple[torch.Tensor, torch.Tensor, Pose]:
    generator = torch.Generator().manual_seed(seed)
    rotvec = size * torch.randn(frames, len(BODY), 3, dtype=torch.float64, generator=generator)
    rotvec[:, BODY.index("LeftForeArm"), 1] -= 0.6
    rotvec[:, [BODY.index("LeftLeg"), BODY.index("RightLeg")], 0] += 0.5
    rotations = quaternion_from_rotvec(rotvec)
    translations = BODY.offsets.expand(frames, -1, -1).clone()
    return rotations, translations, forward(BODY, rotations, translations)


def posed(
    frames: int, seed: int, limits: bool, move: tuple[float, float, float] = (0.1, 0.1, 0.2)
) -> tuple[FullBodyProblem, Aims]:
    """Feet pinned, the left hand moved."""
    rotations, translations, pose = standing(frames, seed)
    joints = (HAND, *FEET)
    positions = pose.positions[:, list(joints)].clone()
    positions[:, 0] += torch.tensor(move, dtype=torch.float64)
    orientations = pose.orientations[:, list(joints)].clone()
    orientations[:, 0] = torch.nan
    aims = Aims(joints, positions, orientations, torch.tensor([1.0, 10.0, 10.0]).double())
    turning = [*TRUNK, *ARM, *LEGS]
    ranges = human_limits(BODY).take(tuple(turning) if limits else ())
    free = tuple(j for j in turning if j not in ranges.joints)
    rig = Rig(BODY, free, ranges, True, torch.ones(len(BODY) + 1, dtype=torch.float64))
    return full_body_problem(rig, rotations, translations, aims), aims


@pytest.mark.parametrize("limits", [False, True])
def test_jacobian_equals_finite_differences(limits: bool) -> None:
    """Of the whole chain: unknowns, rotations, limited angles, world places and orientations."""
    problem, _ = posed(1, 0, limits)
    generator = torch.Generator().manual_seed(1)
    size = len(problem.stiffness)
    state = 0.05 * torch.randn(1, size, dtype=torch.float64, generator=generator)
    at_rest = torch.zeros_like(state)
    _, jacobian = problem.linearise(state)
    positions = jacobian.shape[1] // 2  # the rest is a rotation vector, linear only near zero
    slope = slopes(problem, state)
    torch.testing.assert_close(jacobian[0, :positions], slope[:positions], atol=1e-8, rtol=1e-7)
    _, jacobian = problem.linearise(at_rest)
    torch.testing.assert_close(jacobian[0], slopes(problem, at_rest), atol=1e-8, rtol=1e-7)


def slopes(problem: FullBodyProblem, state: torch.Tensor) -> torch.Tensor:
    """Central differences of what the error is subtracted from, all unknowns at once."""
    size = state.shape[1]
    step = 1e-6 * torch.eye(size, dtype=torch.float64)
    many = problem.take(torch.zeros(size, dtype=torch.long))
    ahead, behind = (many.linearise(state + s)[0] for s in (step, -step))
    return ((behind - ahead) / 2e-6).T


def test_position_rows_equal_autograd() -> None:
    problem, aims = posed(1, 2, False)
    state = 0.1 * torch.ones(1, len(problem.stiffness), dtype=torch.float64)

    def places(unknowns: torch.Tensor) -> torch.Tensor:
        turns = unknowns[3:].unflatten(0, (-1, 3))
        change = dict(zip(problem.rig.turning, quaternion_from_rotvec(turns), strict=True))
        start = standing(1, 2)[0][0]
        rotations = torch.stack(
            [multiply(q, change[j]) if j in change else q for j, q in enumerate(start)]
        )
        shift = torch.cat((unknowns[None, :3], torch.zeros(len(BODY) - 1, 3).double()))
        moved = forward(BODY, rotations, BODY.offsets + shift).positions[list(aims.joints)]
        return (moved * aims.weights.unsqueeze(-1)).flatten()

    expected = torch.autograd.functional.jacobian(places, state[0])
    ours = problem.linearise(state)[1][0, : len(expected)]
    torch.testing.assert_close(ours, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("limits", [False, True])
def test_aims_are_met_to_micrometres(limits: bool) -> None:
    problem, aims = posed(10, 3, limits)
    rotations, translations, _ = change_pose(problem)
    pose = forward(BODY, rotations, translations)
    off = (pose.positions[:, list(aims.joints)] - aims.positions).norm(dim=-1)
    assert float(off.max()) < 5e-5
    turned = geodesic_angle(pose.orientations[:, list(FEET)], aims.orientations[:, 1:])
    assert float(turned.max()) < 1e-4
    still = [j for j in range(len(BODY)) if j not in problem.rig.turning]
    torch.testing.assert_close(rotations[:, still].abs(), standing(10, 3)[0][:, still].abs())


def test_the_change_is_the_least_of_all() -> None:
    """Against scipy's SLSQP on the same equations: an arm of three ball joints."""
    names = ("root", "a", "b", "c", "tip")
    offsets = torch.tensor([[0, 0, 0], [0, 0.2, 0], [0.3, 0, 0.05], [0.25, 0.05, 0], [0.1, 0, 0]])
    skeleton = Skeleton(names, (-1, 0, 1, 2, 3), offsets.double())
    rotations = quaternion_from_rotvec(0.3 * torch.ones(1, 5, 3, dtype=torch.float64))
    translations = skeleton.offsets.unsqueeze(0)
    here = forward(skeleton, rotations, translations).positions[:, 4:]
    goal = here + torch.tensor([-0.25, 0.05, 0.1], dtype=torch.float64)
    aims = Aims((4,), goal, torch.full((1, 1, 4), torch.nan).double(), torch.ones(1).double())
    dear = torch.tensor([1.0, 1.0, 2.0, 0.5, 1.0, 1.0], dtype=torch.float64)
    none = torch.zeros(0, 3, dtype=torch.float64)
    rig = Rig(
        skeleton, (1, 2, 3), Limits((), identity_quaternion(0), none, none, none), False, dear
    )
    ours, _, found = change_pose(full_body_problem(rig, rotations, translations, aims))
    change = rotvec_from_quaternion(multiply(conjugate(rotations), ours))[0, 1:4]
    cost = float((dear[1:4, None] * change.square()).sum())
    torch.testing.assert_close(change.flatten(), found.state[0], atol=1e-9, rtol=0)
    weights = dear[1:4].repeat_interleave(3).numpy()

    def lacking(x: np.ndarray) -> np.ndarray:
        turned = rotations.clone()
        turns = quaternion_from_rotvec(torch.from_numpy(x).view(3, 3))
        turned[0, 1:4] = multiply(rotations[0, 1:4], turns)
        return (forward(skeleton, turned, translations).positions[0, 4] - goal[0, 0]).numpy()

    best = minimize(
        lambda x: float((weights * x * x).sum()), np.full(9, 0.1), method="SLSQP",
        constraints={"type": "eq", "fun": lacking}, options={"ftol": 1e-9, "maxiter": 200},
    )  # fmt: skip
    assert best.success
    assert cost == pytest.approx(best.fun, rel=1e-3)
    np.testing.assert_allclose(change.flatten().numpy(), best.x, atol=5e-3)


def test_limits_hold_and_what_was_beyond_may_stay() -> None:
    problem, _ = posed(8, 4, True, move=(-0.3, 0.2, 0.3))
    rotations, _, _ = change_pose(problem, iterations=10)
    limits = problem.rig.limits
    before, after = (limits.exceeded(r) for r in (standing(8, 4)[0], rotations))
    assert float((after - before).max()) < 1e-6
    unlimited, _ = posed(8, 4, False, move=(-0.3, 0.2, 0.3))
    free = limits.exceeded(change_pose(unlimited, iterations=10)[0])
    assert float((free - before).max()) > 0.05, "or the test would show nothing"


def test_out_of_reach_the_goal_gives_way_and_not_the_pins() -> None:
    problem, aims = posed(2, 5, False, move=(0.0, 3.0, 0.0))
    rotations, translations, found = change_pose(problem, iterations=30)
    pose = forward(BODY, rotations, translations)
    off = (pose.positions[:, list(aims.joints)] - aims.positions).norm(dim=-1)
    assert float(off[:, 0].min()) > 0.5
    assert float(off[:, 1:].max()) < 0.05
    chain = pose.positions[:, [*ARM[1:], HAND]]  # the arm is straight
    bones = chain.diff(dim=1)
    straight = torch.nn.functional.cosine_similarity(bones[:, 0], bones[:, 1])
    assert float(straight.min()) > 0.98
    assert bool(found.state.isfinite().all())


def test_nothing_to_do_changes_nothing() -> None:
    problem, _ = posed(3, 6, True, move=(0.0, 0.0, 0.0))
    _, _, found = change_pose(problem)
    assert float(found.state.abs().max()) < 1e-9
    assert float(problem.stiffness.min()) == YIELD
