"""One fit in eight forms: y = a + b x + c x^2 + d x^3 to a sine, from bare numpy to modules.

x is in half turns, -1 to 1 for one period: in radians the powers of x differ so much in size that
descent takes five times as many steps. The loss (mean square), the start and the steps are the
same each time; what changes is who works out the gradient and who keeps the numbers. Read from
top to bottom.

Traps: `backward` adds to .grad, so the old one must go; the update itself must not be recorded,
hence `no_grad`; and Legendre's form, a + b P3(c + d x), has other numbers for the same cubic.

N points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from muybridge.train.optim import Sgd

__all__ = ["FORMS", "LEGENDRE_START", "START", "Fit", "LegendreP3", "cubic_of_legendre"]

START = (0.1, -0.2, 0.3, -0.05)
LEGENDRE_START = (0.1, -1.0, 0.05, 0.3)
RATE = 0.8  # the largest curvature is 2.2; along the smallest, 0.033, an error halves in 26 steps
LEGENDRE_RATE = 0.05  # P3 is steeper: 0.1 runs away from the solution again


@dataclass(frozen=True)
class Fit:
    """The gradient of the form's own four numbers at the start, and the cubic it ends with."""

    first_gradient: Float[Tensor, "4"]
    cubic: Float[Tensor, "4"]


def by_numpy(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """Forward and backward by hand; no torch at all."""
    x_np, y_np = x.numpy(), y.numpy()
    a, b, c, d = START
    gradients = []
    for _ in range(steps):
        off = 2 * (a + b * x_np + c * x_np**2 + d * x_np**3 - y_np) / len(x_np)
        gradient = [off.sum(), (off * x_np).sum(), (off * x_np**2).sum(), (off * x_np**3).sum()]
        a, b, c, d = np.array([a, b, c, d]) - RATE * np.array(gradient)
        gradients.append(gradient)
    return Fit(torch.tensor(np.array(gradients[0])), torch.tensor(np.array([a, b, c, d])))


def by_tensors(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """The same by hand with tensors, which could lie on a GPU."""
    powers = torch.stack([torch.ones_like(x), x, x**2, x**3])
    theta = torch.tensor(START, dtype=x.dtype)
    gradients = []
    for _ in range(steps):
        gradients.append(powers @ (2 * (theta @ powers - y) / len(x)))
        theta = theta - RATE * gradients[-1]
    return Fit(gradients[0], theta)


def by_autograd(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """Only the forward pass is written down."""
    theta = torch.tensor(START, dtype=x.dtype, requires_grad=True)

    def predict() -> Tensor:
        a, b, c, d = theta
        return a + b * x + c * x**2 + d * x**3

    first = _descend(theta, predict, y, steps)
    return Fit(first, theta.detach())


class LegendreP3(torch.autograd.Function):
    """P3(z) = (5 z^3 - 3 z) / 2 with a backward pass of one's own, 1.5 (5 z^2 - 1)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """The value; z is kept for the way back."""
        ctx.save_for_backward(z)
        return 0.5 * (5 * z**3 - 3 * z)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        """The slope at z times what comes from above."""
        (z,) = ctx.saved_tensors
        return upstream[0] * 1.5 * (5 * z**2 - 1)


def legendre_p3(z: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """P3 by the function above."""
    return LegendreP3.apply(z)  # type: ignore[no-untyped-call]


def by_own_function(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """a + b P3(c + d x), through the function above."""
    theta = torch.tensor(LEGENDRE_START, dtype=x.dtype, requires_grad=True)

    def predict() -> Tensor:
        a, b, c, d = theta
        return a + b * legendre_p3(c + d * x)

    first = _descend(theta, predict, y, steps, LEGENDRE_RATE)
    return Fit(first, cubic_of_legendre(theta.detach()))


def by_layers(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """`nn.Linear` over x, x^2, x^3, whose bias is a; its update still by hand."""
    model, inputs, loss = _linear(x), torch.stack([x, x**2, x**3], dim=1), nn.MSELoss()
    gradients = []
    for _ in range(steps):
        model.zero_grad()
        loss(model(inputs).flatten(), y).backward()
        gradients.append(_gradient_of(model))
        with torch.no_grad():
            for parameter, gradient in zip(
                [model.bias, model.weight], gradients[-1].split([1, 3]), strict=True
            ):
                parameter -= RATE * gradient
    return Fit(gradients[0], torch.cat([model.bias, model.weight.flatten()]).detach())


def by_optimizer(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """The same layers; an optimiser knows the parameters and updates them."""
    model, inputs, loss = _linear(x), torch.stack([x, x**2, x**3], dim=1), nn.MSELoss()
    optimizer = Sgd(model.parameters(), lr=RATE)
    gradients = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(inputs).flatten(), y).backward()
        gradients.append(_gradient_of(model))
        optimizer.step()
    return Fit(gradients[0], torch.cat([model.bias, model.weight.flatten()]).detach())


class Cubic(nn.Module):
    """A module of one's own: parameters in the constructor, mathematics in `forward`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(START, dtype=dtype))

    def forward(self, x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """The cubic at x."""
        a, b, c, d = self.theta
        return a + b * x + c * x**2 + d * x**3


class ThrownCubic(Cubic):
    """Control flow and shared weights: a die says how often the weights are used, and averaged.

    Autograd records what really ran and adds up the uses, so the gradient is the cubic's whatever
    the die shows.
    """

    def forward(self, x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """The cubic at x by Horner's scheme, one to three times over."""
        throws = int(torch.randint(1, 4, ()))
        total = torch.zeros_like(x)
        for _ in range(throws):
            value = torch.zeros_like(x)
            for weight in reversed(self.theta.unbind()):
                value = value * x + weight
            total = total + value / throws
        return total


def by_module(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """`Cubic` under plain gradient descent."""
    return _fit_module(Cubic(x.dtype), x, y, steps)


def by_control_flow(x: Float[Tensor, "n"], y: Float[Tensor, "n"], steps: int) -> Fit:
    """`ThrownCubic` under plain gradient descent."""
    return _fit_module(ThrownCubic(x.dtype), x, y, steps)


def cubic_of_legendre(theta: Float[Tensor, "4"]) -> Float[Tensor, "4"]:
    """a + b P3(c + d x) multiplied out; differentiable."""
    a, b, c, d = theta
    constant = a + b * (2.5 * c**3 - 1.5 * c)
    return torch.stack([constant, b * d * (7.5 * c**2 - 1.5), 7.5 * b * c * d**2, 2.5 * b * d**3])


def _fit_module(model: Cubic, x: Tensor, y: Tensor, steps: int) -> Fit:
    first = _descend(model.theta, lambda: model(x), y, steps)
    return Fit(first, model.theta.detach())


def _descend(
    theta: Tensor, predict: Callable[[], Tensor], y: Tensor, steps: int, rate: float = RATE
) -> Tensor:
    """Gradient descent in place; the first gradient comes back."""
    first = torch.zeros_like(theta)
    for step in range(steps):
        theta.grad = None
        (predict() - y).square().mean().backward()
        assert theta.grad is not None, "backward fills it"
        first = theta.grad.clone() if step == 0 else first
        with torch.no_grad():
            theta -= rate * theta.grad
    return first


def _linear(x: Tensor) -> nn.Linear:
    model = nn.Linear(3, 1, dtype=x.dtype)
    with torch.no_grad():
        model.bias.copy_(torch.tensor(START[:1]))
        model.weight.copy_(torch.tensor([START[1:]]))
    return model


def _gradient_of(model: nn.Linear) -> Tensor:
    assert model.bias.grad is not None, "backward fills it"
    assert model.weight.grad is not None, "backward fills it"
    return torch.cat([model.bias.grad, model.weight.grad.flatten()]).clone()


FORMS: Mapping[str, Callable[[Tensor, Tensor, int], Fit]] = {
    "numpy by hand": by_numpy,
    "tensors by hand": by_tensors,
    "autograd": by_autograd,
    "own function, P3": by_own_function,
    "nn layers": by_layers,
    "optimiser": by_optimizer,
    "own module": by_module,
    "control flow": by_control_flow,
}
