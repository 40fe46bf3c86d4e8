"""Chains of hinges: forward kinematics and Jacobian, then every Jacobian method on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from muybridge.errors import InputError
from muybridge.geometry.rotation import conjugate, geodesic_angle, multiply
from muybridge.motion.ik.ccd import ccd_hinges
from muybridge.motion.ik.chain import RADIAN, Chain, ChainProblem, arm, solve_chain
from muybridge.motion.ik.iterate import IterateOptions, iterate
from muybridge.motion.ik.levenberg import LevenbergOptions, levenberg_marquardt, with_restarts
from muybridge.motion.ik.points import PointOptions

TARGETS = 1000
METHODS = ("transpose", "pseudo_inverse_wide", "pseudo_inverse_tall", "damped")


def unlimited() -> Chain:
    chain = arm()
    infinite = torch.full_like(chain.lower, torch.inf)
    return replace(chain, lower=-infinite, upper=infinite)


def random_angles(chain: Chain, count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low, high = chain.lower.clamp(min=-torch.pi), chain.upper.clamp(max=torch.pi)
    share = torch.rand(count, len(chain), dtype=torch.float64, generator=generator)
    return low + share * (high - low)


def targets(chain: Chain, count: int = TARGETS, seed: int = 0) -> torch.Tensor:
    """Where random poses have the tip: all within reach."""
    return chain.forward(random_angles(chain, count, seed)).positions[:, -1]


def middle(count: int = TARGETS) -> torch.Tensor:
    chain = arm()
    return ((chain.lower + chain.upper) / 2.0).expand(count, -1).clone()


def test_forward_equals_a_loop_with_scipy() -> None:
    chain = arm()
    angles = random_angles(chain, 20, 1)
    pose = chain.forward(angles)
    for row in range(20):
        turn, place = Rotation.identity(), np.zeros(3)
        for hinge in range(len(chain)):
            place = place + turn.apply(chain.offsets[hinge].numpy())
            turn = turn * Rotation.from_rotvec((angles[row, hinge] * chain.axes[hinge]).numpy())
        place = place + turn.apply(chain.tip.numpy())
        np.testing.assert_allclose(pose.positions[row, -1].numpy(), place, atol=1e-12)
        np.testing.assert_allclose(
            Rotation.from_quat(pose.orientations[row, -1].numpy()).as_matrix(),
            turn.as_matrix(),
            atol=1e-12,
        )


def test_jacobian_equals_autograd() -> None:
    chain, angles = arm(), random_angles(arm(), 4, 2)
    wanted = chain.forward(random_angles(chain, 4, 3))
    problem = ChainProblem(chain, wanted.positions[:, -1], wanted.orientations[:, -1])
    _, ours = problem.linearise(angles)

    def tip(state: torch.Tensor) -> torch.Tensor:
        return chain.forward(state).positions[:, -1]

    here = chain.forward(angles).orientations[:, -1]

    def turn(state: torch.Tensor) -> torch.Tensor:
        change = multiply(chain.forward(state).orientations[:, -1], conjugate(here))
        return RADIAN * 2.0 * change[:, :3] * change[:, 3:].sign()

    for function, rows in ((tip, slice(0, 3)), (turn, slice(3, 6))):
        full = torch.autograd.functional.jacobian(function, angles)
        expected = torch.stack([full[b, :, b] for b in range(4)])
        torch.testing.assert_close(ours[:, rows], expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("method", METHODS[1:])
def test_every_reachable_target_in_fifty_steps(method: str) -> None:
    """Without limits, from one start: all within a thousandth of the chain's length."""
    chain = unlimited()
    found = iterate(ChainProblem(chain, targets(chain)), middle(), method)
    assert float(found.error.max()) < 1e-3 * chain.length
    tip = chain.forward(found.state).positions[:, -1]
    torch.testing.assert_close((tip - targets(chain)).norm(dim=-1), found.error)


def test_steepest_descent_gets_there_slowly() -> None:
    chain = unlimited()
    problem = ChainProblem(chain, targets(chain, 200))
    few, many = (
        iterate(problem, middle(200), "transpose", IterateOptions(iterations=n)) for n in (50, 250)
    )
    assert float((few.error < 1e-3 * chain.length).double().mean()) > 0.75
    assert float((many.error < 1e-3 * chain.length).double().mean()) > 0.97
    assert float(many.iterations.double().mean()) > 4 * 10  # Gauss-Newton takes about ten


@pytest.mark.parametrize("seed", [0, 1])
def test_an_arm_with_limits_reaches_every_target(seed: int) -> None:
    chain = arm()
    aims = targets(chain, 2000, seed)
    found = solve_chain(chain, aims)
    tip = chain.forward(found.state).positions[:, -1]
    near = (tip - aims).norm(dim=-1) < 1e-4
    assert float(near.double().mean()) >= 0.999
    assert bool((found.state >= chain.lower).all())
    assert bool((found.state <= chain.upper).all())


def test_restarts_from_random_starts_do_what_one_start_cannot() -> None:
    chain = arm()
    problem = ChainProblem(chain, targets(chain, 150))
    once = levenberg_marquardt(problem, middle(150))
    again = with_restarts(problem, middle(150))
    assert float((once.error < 1e-4).double().mean()) < 0.99
    assert float((again.error < 1e-4).double().mean()) >= 0.999
    kept = once.error <= LevenbergOptions().tolerance
    assert torch.equal(again.state[kept], once.state[kept])


def test_orientation_too() -> None:
    chain = arm()
    wanted = chain.forward(random_angles(chain, 60, 5))
    found = solve_chain(
        chain, wanted.positions[:, -1], wanted.orientations[:, -1], options=LevenbergOptions(40)
    )
    pose = chain.forward(found.state)
    off = (pose.positions[:, -1] - wanted.positions[:, -1]).norm(dim=-1)
    turned = geodesic_angle(pose.orientations[:, -1], wanted.orientations[:, -1])
    assert float(((off < 1e-4) & (turned < 1e-3)).double().mean()) >= 0.97


@pytest.mark.parametrize("method", ["levenberg", "damped"])
def test_out_of_reach_is_straight_towards_the_target(method: str) -> None:
    chain = unlimited()
    away = torch.nn.functional.normalize(targets(chain, 20, 7), dim=-1)
    problem = ChainProblem(chain, 1.5 * chain.length * away)
    if method == "levenberg":
        found = levenberg_marquardt(problem, middle(20), LevenbergOptions(iterations=100))
    else:
        found = iterate(problem, middle(20), "damped", IterateOptions(200, damping=0.1))
    tip = chain.forward(found.state).positions[:, -1]
    torch.testing.assert_close(tip, chain.length * away, atol=1e-3 * chain.length, rtol=0.0)


def test_levenberg_marquardt_ends_where_scipy_does_when_the_target_is_out_of_reach() -> None:
    chain = arm()
    aims = 1.3 * targets(chain, 4, 8)
    found = with_restarts(
        ChainProblem(chain, aims), middle(4), options=LevenbergOptions(60), rounds=2
    )
    for row, aim in enumerate(aims):

        def lacking(angles: np.ndarray, aim: torch.Tensor = aim) -> np.ndarray:
            pose = chain.forward(torch.from_numpy(angles).unsqueeze(0))
            return (pose.positions[0, -1] - aim).numpy()

        bounds = (chain.lower.numpy() - 1e-9, chain.upper.numpy() + 1e-9)
        best = least_squares(lacking, found.state[row].numpy(), bounds=bounds, xtol=1e-12)
        assert float(found.error[row]) <= np.sqrt(2.0 * best.cost) + 1e-4


def test_cyclic_coordinate_descent_of_hinges() -> None:
    chain = unlimited()
    found = ccd_hinges(chain, targets(chain, 200), middle(200), PointOptions(iterations=200))
    assert float((found.error < 1e-3 * chain.length).double().mean()) > 0.99
    limited = arm()
    aims = targets(limited, 200)
    found = ccd_hinges(limited, aims, middle(200), PointOptions(iterations=30))
    assert bool((found.state >= limited.lower).all())
    assert bool((found.state <= limited.upper).all())
    assert bool((found.history.diff(dim=0) < 1e-12).all()), "no turn makes it worse"
    tip = limited.forward(found.state).positions[:, -1]
    torch.testing.assert_close((tip - aims).norm(dim=-1), found.error)


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="expected lower limits below"):
        replace(arm(), lower=arm().upper, upper=arm().lower)
    with pytest.raises(InputError, match="expected at least one iteration"):
        IterateOptions(iterations=0)
