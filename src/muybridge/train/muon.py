"""Muon: momentum whose update is made orthogonal, for the inner matrices; AdamW for the rest.

    m <- mu m + (1 - mu) g;   u = (1 - mu) g + mu m
    W <- (1 - r d) W - r sqrt(max(1, A / B)) NS(u)

NS is five quintic Newton-Schulz steps, which take all singular values of u near 1. What differs
from `torch.optim.Muon`: stacked tensors (experts) are E matrices, each made orthogonal on its own;
matrices of one shape are multiplied together; and all is float32, which on a CPU is the faster
type. The state has the same names.

Trap: embeddings and heads are matrices too, but their rows are tokens: they belong to AdamW.

A rows, B columns, E experts, r rate, d decay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from muybridge.errors import InputError

__all__ = ["Muon", "make_muon", "orthogonalised", "split_parameters"]

COEFFICIENTS = (3.4445, -4.775, 2.0315)


def orthogonalised(matrices: Float[Tensor, "*n a b"], steps: int = 5) -> Float[Tensor, "*n a b"]:
    """U S' V^T for each U S V^T, with S' between about 0.7 and 1.2.

    Args:
        matrices: One, or many at once.
        steps: Newton-Schulz steps.
    References:
        Jordan et al., Muon, 2024, https://kellerjordan.github.io/posts/muon/.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).float()
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(Optimizer):
    """Muon for matrices and stacks of matrices.

    Args:
        params: Tensors of two or three dimensions, or groups of them.
        lr: Rate; a square matrix moves by this much in spectral norm.
        weight_decay: Share of the weights taken off, times the rate.
        momentum: Memory of the gradient, with Nesterov's look ahead.
    Raises:
        InputError: If a tensor is no matrix or stack of matrices.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim not in (2, 3):
                    raise InputError(
                        f"expected matrices or stacks of them, got a tensor of {p.ndim} "
                        "dimensions; give it to AdamW"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient; returns what the closure returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for same in self._by_shape(group["params"]):
                self._step_together(same, group)
        return loss

    def _by_shape(self, params: list[Tensor]) -> list[list[Tensor]]:
        shapes: dict[tuple[torch.Size, torch.dtype, torch.device], list[Tensor]] = {}
        for p in params:
            if p.grad is not None:
                shapes.setdefault((p.shape, p.dtype, p.device), []).append(p)
        return list(shapes.values())

    def _step_together(self, params: list[Tensor], group: dict[str, Any]) -> None:
        rate, mu = group["lr"], group["momentum"]
        directions = orthogonalised(torch.stack([self._look_ahead(p, mu) for p in params]))
        rows, columns = params[0].shape[-2:]
        length = rate * math.sqrt(max(1.0, rows / columns))
        for p, direction in zip(params, directions, strict=True):
            p.mul_(1 - rate * group["weight_decay"]).add_(direction, alpha=-length)

    def _look_ahead(self, p: Tensor, mu: float) -> Tensor:
        assert p.grad is not None, "only parameters with a gradient are stepped"
        state = self.state[p]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)
        state["momentum_buffer"].lerp_(p.grad, 1 - mu)
        return p.grad.lerp(state["momentum_buffer"], mu)


def split_parameters(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Trained parameters for Muon (inner matrices and stacks of them), and for AdamW (the rest).

    The rest is everything of one dimension, embedding tables, whatever shares their storage, and a
    direct child called `head`.
    """
    outer = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    outer |= {id(p) for name, p in model.named_parameters() if name.split(".")[0] == "head"}
    trained: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    inner = [p for p in trained if p.ndim in (2, 3) and id(p) not in outer]
    chosen = {id(p) for p in inner}
    return inner, [p for p in trained if id(p) not in chosen]


def make_muon(
    model: nn.Module,
    muon_rate: float = 0.02,
    rate: float = 3e-3,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.95),
) -> tuple[Optimizer, ...]:
    """Muon for the inner matrices and torch's AdamW for the rest; an empty one is left out.

    Args:
        model: What to train.
        muon_rate: Peak rate of Muon.
        rate: Peak rate of AdamW.
        weight_decay: Of all tensors with two dimensions or more, relative to their rate.
        betas: Of AdamW.
    Raises:
        InputError: If nothing in the model is trained.
    """
    inner, rest = split_parameters(model)
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    made: list[Optimizer] = []
    if inner:
        made.append(Muon(inner, muon_rate, weight_decay))
    if groups:
        made.append(torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True))
    if not made:
        raise InputError(
            "expected a model with trained parameters, got one whose parameters are all frozen; "
            "set requires_grad on those to train"
        )
    return tuple(made)
