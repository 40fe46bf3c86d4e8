"""Chinchilla's law: the loss of a run from its parameters and tokens, and how to spend FLOPs.

    L(N, D) = E + A / N^alpha + B / D^beta,   C = 6 N D

E is the text's own entropy, the other two terms what a finite model and a finite text leave over.

Traps: the constants printed in the 2022 paper do not give its own advice of 20 tokens a parameter
(they give 93 at Chinchilla's budget of 5.76e23). Their fit had stopped early: the Huber losses
were averaged, not added up, and fell under the optimiser's tolerance (arXiv 2404.10102). The
refitted constants are the default here, and the fit here adds up. E, A and B are of that paper's
text and tokenizer: carry the split between N and D over to other texts, not the loss.

R runs, S starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import logsumexp

from muybridge.errors import InputError

__all__ = [
    "PAPER",
    "REFITTED",
    "TOKENS_PER_PARAMETER",
    "Budget",
    "Runs",
    "ScalingLaw",
    "by_ratio",
    "compute_optimal",
    "fit_scaling_law",
    "optimal_flops",
    "read_runs",
]

FLOPS_PER_WEIGHT = 6  # a token costs 2 operations a weight forward and 4 backward
TOKENS_PER_PARAMETER = 20.0
HUBER = 1e-3  # the paper's delta on log L: beyond 0.1 % a run counts by its absolute error
LEAST_RUNS = 6  # five constants, and one run to say no
TRIED = 5  # of the paper's 4,500 starts: those that begin lowest


@dataclass(frozen=True)
class ScalingLaw:
    """L = e + a / N^alpha + b / D^beta, in nats a token."""

    e: float
    a: float
    b: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Expected loss of a run, nats a token."""
        return self.e + self.a * parameters**-self.alpha + self.b * tokens**-self.beta

    @property
    def balance(self) -> float:
        """G of the paper: N = G (C/6)^(beta / (alpha + beta)) at the optimum."""
        ratio = self.alpha * self.a / (self.beta * self.b)
        return float(ratio ** (1 / (self.alpha + self.beta)))


PAPER = ScalingLaw(1.69, 406.4, 410.7, 0.34, 0.28)  # arXiv 2203.15556, equation 10
REFITTED = ScalingLaw(1.8172, 482.01, 2085.43, 0.3478, 0.3658)  # arXiv 2404.10102


@dataclass(frozen=True)
class Budget:
    """How to spend `flops`: this many parameters, on this many tokens."""

    flops: float
    parameters: float
    tokens: float

    @property
    def ratio(self) -> float:
        """Tokens a parameter."""
        return self.tokens / self.parameters


@dataclass(frozen=True)
class Runs:
    """Finished runs: size, tokens seen, and final loss in nats a token."""

    parameters: Float64[np.ndarray, "r"]
    tokens: Float64[np.ndarray, "r"]
    loss: Float64[np.ndarray, "r"]

    def __post_init__(self) -> None:
        columns = (self.parameters, self.tokens, self.loss)
        if len(self.loss) < LEAST_RUNS:
            raise InputError(
                f"expected {LEAST_RUNS} runs or more, got {len(self.loss)}; "
                "the law has five constants"
            )
        if not all(np.isfinite(column).all() and (column > 0).all() for column in columns):
            raise InputError(
                "expected positive parameters, tokens and losses, got others among the runs; "
                "leave out runs that did not finish"
            )
        if min(len(np.unique(self.parameters)), len(np.unique(self.tokens))) < 3:
            raise InputError(
                "expected three sizes and three numbers of tokens or more, got fewer; "
                "an exponent needs them"
            )


def compute_optimal(flops: float, law: ScalingLaw = REFITTED) -> Budget:
    """Parameters and tokens of the least loss for a budget, in closed form.

    Args:
        flops: C, floating-point operations of the whole training.
        law: Whose minimum is taken on the curve 6 N D = C.
    Raises:
        InputError: If the budget is not positive.
    References:
        Hoffmann et al., Training Compute-Optimal Large Language Models, arXiv 2203.15556,
        equation 4.
    """
    _check(flops, "FLOPs")
    pairs = flops / FLOPS_PER_WEIGHT
    parameters = law.balance * pairs ** (law.beta / (law.alpha + law.beta))
    return Budget(flops, parameters, pairs / parameters)


def optimal_flops(parameters: float, law: ScalingLaw = REFITTED) -> Budget:
    """The budget for which a model of this size is the best one."""
    _check(parameters, "parameters")
    pairs = (parameters / law.balance) ** ((law.alpha + law.beta) / law.beta)
    return Budget(FLOPS_PER_WEIGHT * pairs, parameters, pairs / parameters)


def by_ratio(
    *, flops: float | None = None, parameters: float | None = None, ratio: float = 20.0
) -> Budget:
    """The rule of thumb: 20 tokens a parameter, from either the budget or the size."""
    if (flops is None) == (parameters is None):
        raise InputError("expected a budget or a size, got both or neither; give one of them")
    if flops is not None:
        _check(flops, "FLOPs")
        parameters = (flops / (FLOPS_PER_WEIGHT * ratio)) ** 0.5
    assert parameters is not None, "one of the two is given"
    _check(parameters, "parameters")
    return Budget(FLOPS_PER_WEIGHT * ratio * parameters**2, parameters, ratio * parameters)


def fit_scaling_law(runs: Runs) -> ScalingLaw:
    """The law of finished runs: Huber's loss between log L and its prediction, at its least.

    Works on e = log E, a = log A, b = log B, so that all stay positive and the prediction is a
    log-sum-exp. The paper tries 4,500 starts; here L-BFGS runs from those that begin lowest.

    References:
        arXiv 2203.15556, section 3.3 and appendix D.3.
    """
    starts = _starts()
    log_loss = logsumexp(_terms(starts, runs), axis=-2)
    begin = np.abs(log_loss - np.log(runs.loss)).sum(axis=-1)  # Huber's loss far from its end
    lowest = starts[np.argsort(begin)[:TRIED]]
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 30}
    found = [
        minimize(_objective, start, (runs,), "L-BFGS-B", jac=True, options=options)
        for start in lowest
    ]
    e, a, b, alpha, beta = min(found, key=lambda one: float(one.fun)).x
    return ScalingLaw(
        float(np.exp(e)), float(np.exp(a)), float(np.exp(b)), float(alpha), float(beta)
    )


def read_runs(path: Path) -> Runs:
    """Runs from a CSV file with a header and columns parameters, tokens, loss.

    Raises:
        InputError: If a column is missing or a cell is no number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"expected a CSV file, got {error} in {path}; give a text") from error
    lines = [line.split(",") for line in text.splitlines() if line.strip()]
    header = [name.strip() for name in lines[0]] if lines else []
    wanted = ("parameters", "tokens", "loss")
    if missing := [name for name in wanted if name not in header]:
        raise InputError(
            f"expected the columns parameters, tokens and loss, found no {missing[0]} in {path}; "
            "name them in the first line"
        )
    try:
        cells = [[float(line[header.index(name)]) for name in wanted] for line in lines[1:]]
    except (ValueError, IndexError) as error:
        raise InputError(
            f"expected numbers below the header, got {error} in {path}; mend that line"
        ) from error
    return Runs(*np.array(cells, dtype=float).reshape(-1, 3).T)


def _starts() -> Float64[np.ndarray, "s 5"]:
    """The paper's grid over (e, a, b, alpha, beta)."""
    scales, exponents = np.arange(0, 26, 5.0), np.arange(0, 2.1, 0.5)
    grid = product(np.arange(-1, 1.1, 0.5), scales, scales, exponents, exponents)
    return np.array(list(grid))


# The two below run thousands of times a fit; shapes in their types would cost more than they do.
def _terms(theta: np.ndarray, runs: Runs) -> np.ndarray:
    """Logarithms of the law's three terms, [*s 3 r], at theta [*s 5]."""
    e, a, b, alpha, beta = np.moveaxis(theta, -1, 0)[..., None]
    size = a - alpha * np.log(runs.parameters)
    text = b - beta * np.log(runs.tokens)
    return np.stack([np.broadcast_to(e, size.shape), size, text], axis=-2)


def _objective(theta: np.ndarray, runs: Runs) -> tuple[float, np.ndarray]:
    """Sum of Huber losses over the runs, divided by delta, and its gradient."""
    terms = _terms(theta, runs)
    log_loss = logsumexp(terms, axis=0)
    off = (log_loss - np.log(runs.loss)) / HUBER
    slope = np.clip(off, -1, 1)
    value = float((slope * (off - slope / 2)).sum()) * HUBER
    shares = np.exp(terms - log_loss) * slope
    to_alpha = -(shares[1] * np.log(runs.parameters)).sum()
    to_beta = -(shares[2] * np.log(runs.tokens)).sum()
    return value, np.array([*shares.sum(axis=1), to_alpha, to_beta])


def _check(amount: float, what: str) -> None:
    if not 0 < amount < float("inf"):
        raise InputError(f"expected a positive number of {what}, got {amount}; such as 1e20")
