"""Chinchilla's law: planted constants come back, and the closed form is the least loss."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar

from muybridge.errors import InputError
from muybridge.train import scaling_law
from muybridge.train.scaling_law import (
    PAPER,
    REFITTED,
    TOKENS_PER_PARAMETER,
    Runs,
    ScalingLaw,
    by_ratio,
    compute_optimal,
    fit_scaling_law,
    optimal_flops,
    read_runs,
)

CHINCHILLA = 5.76e23  # FLOPs of the 70B model on 1.4T tokens, arXiv 2203.15556


def _runs(law: ScalingLaw, seed: int, noise: float) -> Runs:
    random = np.random.default_rng(seed)
    sizes = np.meshgrid(np.geomspace(4e7, 1.6e10, 12), np.geomspace(1e9, 5e11, 12))
    n, d = (x.ravel() for x in sizes)
    clean = law.e + law.a * n**-law.alpha + law.b * d**-law.beta
    return Runs(n, d, clean * np.exp(noise * random.standard_normal(n.size)))


def _constants(law: ScalingLaw) -> list[float]:
    return [law.e, law.a, law.b, law.alpha, law.beta]


@pytest.mark.parametrize("law", [PAPER, REFITTED])
def test_without_noise_the_planted_law_is_found(law: ScalingLaw) -> None:
    found = fit_scaling_law(_runs(law, 0, 0.0))
    assert _constants(found) == pytest.approx(_constants(law), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_with_noise_on_five_seeds(seed: int) -> None:
    for law in (REFITTED,) if seed else (PAPER, REFITTED):
        found = fit_scaling_law(_runs(law, seed, 2e-3))
        assert found.e == pytest.approx(law.e, rel=0.01)
        assert (found.alpha, found.beta) == pytest.approx((law.alpha, law.beta), rel=0.025)
        there, here = compute_optimal(1e22, law), compute_optimal(1e22, found)
        assert here.parameters == pytest.approx(there.parameters, rel=0.05)


def test_a_broken_run_hardly_moves_the_fit() -> None:
    """What Huber's loss is for: a tenth of the runs end far too high."""
    runs = _runs(REFITTED, 0, 2e-3)
    loss = runs.loss.copy()
    loss[::10] *= 1.3
    found = fit_scaling_law(Runs(runs.parameters, runs.tokens, loss))
    assert found.e == pytest.approx(REFITTED.e, rel=0.01)
    assert (found.alpha, found.beta) == pytest.approx((0.3478, 0.3658), rel=0.03)


def test_the_gradient_is_the_slope() -> None:
    runs = _runs(REFITTED, 0, 2e-3)
    theta = np.array([0.55, 6.2, 7.5, 0.34, 0.36])
    slope = approx_fprime(theta, lambda x: scaling_law._objective(x, runs)[0], 1e-7)
    assert scaling_law._objective(theta, runs)[1] == pytest.approx(slope, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("law", [PAPER, REFITTED, ScalingLaw(1.0, 30.0, 900.0, 0.5, 0.2)])
@pytest.mark.parametrize("flops", [1e18, CHINCHILLA])
def test_the_closed_form_is_the_least_loss_of_the_budget(law: ScalingLaw, flops: float) -> None:
    def loss(log_n: float) -> float:
        return law.loss(np.exp(log_n), flops / 6 / np.exp(log_n))

    best = minimize_scalar(loss, bounds=(0, 40), method="bounded", options={"xatol": 1e-9})
    budget = compute_optimal(flops, law)
    assert budget.parameters == pytest.approx(np.exp(best.x), rel=1e-4)
    assert 6 * budget.parameters * budget.tokens == pytest.approx(flops)
    back = optimal_flops(budget.parameters, law)
    assert (back.flops, back.tokens) == pytest.approx((flops, budget.tokens), rel=1e-9)


def test_twenty_tokens_a_parameter() -> None:
    """Chinchilla itself was 70B on 1.4T; the refit says so, the paper's constants do not."""
    rule = by_ratio(flops=CHINCHILLA)
    assert (rule.parameters, rule.tokens) == pytest.approx((69.3e9, 1.386e12), rel=1e-3)
    assert by_ratio(parameters=rule.parameters).flops == pytest.approx(CHINCHILLA)
    assert rule.ratio == pytest.approx(TOKENS_PER_PARAMETER)
    for flops in (1e19, 1e21, 1e23, CHINCHILLA):
        assert 18 < compute_optimal(flops).ratio < 27
    assert compute_optimal(CHINCHILLA).parameters == pytest.approx(70e9, rel=0.05)
    assert compute_optimal(CHINCHILLA, PAPER).ratio == pytest.approx(92.6, abs=0.1)


def test_runs_are_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    runs = _runs(PAPER, 0, 0.0)
    rows = zip(runs.loss, runs.parameters, runs.tokens, strict=True)
    lines = [f"{float(x)!r}, {float(n)!r}, {float(d)!r}" for x, n, d in rows]
    file.write_text("\n".join(["loss, parameters, tokens", *lines]) + "\n")
    read = read_runs(file)
    assert np.array_equal(read.parameters, runs.parameters)
    assert np.array_equal(read.loss, runs.loss)
    for text, why in {
        "loss,tokens\n1,2": "columns",
        "": "columns",
        "loss,parameters,tokens\n1,2": "numbers below",
        "loss,parameters,tokens\n1,x,3": "numbers below",
        "loss,parameters,tokens\n1,2,3": "6 runs",
        "loss,parameters,tokens" + "\n1,2,3" * 6: "three sizes",
        "loss,parameters,tokens" + "\n1,2,-3" * 6: "positive",
    }.items():
        file.write_text(text)
        with pytest.raises(InputError, match=why):
            read_runs(file)


@pytest.mark.parametrize("amount", [0.0, -1.0, float("nan"), float("inf")])
def test_amounts_are_positive(amount: float) -> None:
    for ask in (compute_optimal, optimal_flops):
        with pytest.raises(InputError, match="positive"):
            ask(amount)
    with pytest.raises(InputError, match="positive"):
        by_ratio(flops=amount)


def test_the_rule_wants_one_of_two() -> None:
    for given in ({}, {"flops": 1e20, "parameters": 1e9}):
        with pytest.raises(InputError, match="both or neither"):
            by_ratio(**given)
