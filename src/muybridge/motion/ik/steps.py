"""One step of each Jacobian method: from J and the error e to a change of the unknowns.

b problems, m equations, n unknowns; J step = e is what is wanted.

    transpose             a J^T e               steepest descent of |e|^2 / 2, a from a line search
    pseudo-inverse, wide  J^T (J J^T)^-1 e      more unknowns than equations: the shortest step
    pseudo-inverse, tall  (J^T J)^-1 J^T e      more equations than unknowns: the least error
    damped                J^T (J J^T + l^2 I)^-1 e     trades error for a short step

The two pseudo-inverses are the same matrix where both exist, and so are the damped step's two
forms for any shape: J^T (J J^T + l^2 I)^-1 = (J^T J + l^2 I)^-1 J^T.

References:
    Buss, Introduction to inverse kinematics with Jacobian transpose, pseudoinverse and damped
    least squares methods, 2004; Wampler, 1986, and Nakamura & Hanafusa, 1986 (damping).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "STEPS",
    "Method",
    "Step",
    "damped",
    "pseudo_inverse_tall",
    "pseudo_inverse_wide",
    "transpose",
    "within",
]

Method = Literal["transpose", "pseudo_inverse_wide", "pseudo_inverse_tall", "damped"]
Step = Callable[[Float[Tensor, "b m n"], Float[Tensor, "b m"]], Float[Tensor, "b n"]]
RIDGE = 1e-12  # relative: keeps exactly singular matrices solvable, 1e-6 of a singular value
ROUNDS = 4  # of fixing unknowns at their limits


def transpose(
    jacobian: Float[Tensor, "b m n"], error: Float[Tensor, "b m"]
) -> Float[Tensor, "b n"]:
    """Steepest descent, as far as the linear model says: a = <e, JJ^T e> / <JJ^T e, JJ^T e>."""
    down = _times(jacobian.mT, error)
    along = _times(jacobian, down)
    length = (error * along).sum(-1) / along.square().sum(-1).clamp(min=1e-300)
    return length.unsqueeze(-1) * down


def pseudo_inverse_wide(
    jacobian: Float[Tensor, "b m n"], error: Float[Tensor, "b m"]
) -> Float[Tensor, "b n"]:
    """Gauss-Newton for m <= n: of all steps that meet the linear equations the shortest."""
    return _times(jacobian.mT, _solve(jacobian @ jacobian.mT, error))


def pseudo_inverse_tall(
    jacobian: Float[Tensor, "b m n"], error: Float[Tensor, "b m"]
) -> Float[Tensor, "b n"]:
    """Gauss-Newton for m >= n: the step that leaves the least squared error."""
    return _solve(jacobian.mT @ jacobian, _times(jacobian.mT, error))


def damped(
    jacobian: Float[Tensor, "b m n"], error: Float[Tensor, "b m"], damping: float = 0.05
) -> Float[Tensor, "b n"]:
    """Damped least squares: min |J step - e|^2 + damping^2 |step|^2.

    Args:
        damping: Metres a radian: singular values well below it are not used.
    """
    square = jacobian @ jacobian.mT
    eye = torch.eye(square.shape[-1], dtype=square.dtype)
    return _times(jacobian.mT, _solve(square + damping**2 * eye, error))


STEPS: dict[Method, Step] = {
    "transpose": transpose,
    "pseudo_inverse_wide": pseudo_inverse_wide,
    "pseudo_inverse_tall": pseudo_inverse_tall,
    "damped": damped,
}


def within(
    step: Step,
    jacobian: Float[Tensor, "b m n"],
    error: Float[Tensor, "b m"],
    room: tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]],
) -> Float[Tensor, "b n"]:
    """A step that stays between limits: what would leave is set to its limit, the rest makes up.

    Args:
        step: One of this module, of a Jacobian and an error.
        room: Least (<= 0) and greatest (>= 0) step that each unknown may make.
    References:
        Flacco, De Luca & Khatib, Control of redundant robots under hard joint constraints:
        saturation in the null space, 2015.
    """
    least, most = room
    first = step(jacobian, error)
    made, fixed = first.clone(), torch.zeros_like(first, dtype=torch.bool)
    for _ in range(ROUNDS):
        beyond = ((made < least) | (made > most)) & ~fixed
        rows = beyond.any(-1).nonzero().squeeze(-1)
        if not len(rows):
            break
        fixed[rows] |= beyond[rows]
        tied = fixed[rows]
        held = torch.where(tied, made[rows].clamp(least[rows], most[rows]), 0.0)
        still_lacking = error[rows] - _times(jacobian[rows], held)
        free = step(jacobian[rows] * ~tied.unsqueeze(-2), still_lacking)
        made[rows] = torch.where(tied, held, free)
    made = made.clamp(least, most)
    rows = fixed.any(-1).nonzero().squeeze(-1)
    if len(rows):  # where nothing can meet the equations, making up may be worse than stopping
        cut = first[rows].clamp(least[rows], most[rows])
        left = [error[rows] - _times(jacobian[rows], x) for x in (made[rows], cut)]
        better = (left[1].norm(dim=-1) < left[0].norm(dim=-1)).unsqueeze(-1)
        made[rows] = torch.where(better, cut, made[rows])
    return made


def _times(matrix: Float[Tensor, "b i k"], vector: Float[Tensor, "b k"]) -> Float[Tensor, "b i"]:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _solve(matrix: Float[Tensor, "b k k"], vector: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Solution of a positive semidefinite system; exactly singular ones are nudged."""
    size = matrix.diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=1e-6)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    nudged = matrix + (RIDGE * size)[:, None, None] * eye
    return torch.linalg.solve(nudged, vector)
