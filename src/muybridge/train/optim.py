"""Adam, AdamW and SGD written out, and the optimiser that training really runs.

The classes here are the papers in a few lines, for reading and for tests: they equal torch's to
rounding, and their states load into each other's. `make_optimizer` returns torch's own, whose
fused kernel does the same in one pass over memory.

Trap: L2 and weight decay are one thing for SGD and two for Adam. Adam puts the L2 term into the
gradient, so it is divided by sqrt(v) as well: weights with large gradients hardly decay at all.
AdamW subtracts rate * decay * weight beside the moments, the same share of every weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from muybridge.errors import InputError

__all__ = [
    "Adam",
    "AdamW",
    "OptimizerName",
    "Sgd",
    "make_optimizer",
    "parameter_groups",
]

OptimizerName = Literal["adamw", "adam", "sgd"]
Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


class _Stepping(Optimizer):
    """The walk over groups and parameters; a kind of optimiser says what happens to one."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Args:
            closure: Computes the loss and its gradients anew, before the step.
        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    def update(
        self, theta: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Change one parameter in place."""
        raise NotImplementedError


class Sgd(_Stepping):
    """theta -= lr u, with u = momentum u + g and L2 inside g.

    References:
        Sutskever et al., On the importance of initialization and momentum, ICML 2013; torch's
        form, whose velocity is not scaled by the rate.
    """

    def __init__(
        self, params: Parameters, lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        kept = {"momentum": momentum, "weight_decay": weight_decay}
        # torch's SGD has no default for a dampening that a loaded state leaves out
        super().__init__(params, {"lr": lr, "dampening": 0.0, **kept})

    def update(
        self, theta: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """One step of one parameter."""
        g = g + group["weight_decay"] * theta
        if group["momentum"] != 0:
            before = state.get("momentum_buffer")
            g = g.clone() if before is None else group["momentum"] * before + g
            state["momentum_buffer"] = g
        theta -= group["lr"] * g


class Adam(_Stepping):
    """theta -= lr m^ / (sqrt(v^) + eps); weight decay is L2, added to g before the moments.

    m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  m^ = m / (1 - b1^t),  v^ = v / (1 - b2^t).

    References:
        Kingma & Ba, Adam, arXiv 1412.6980, algorithm 1.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def update(
        self, theta: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """One step of one parameter, its L2 term inside the gradient."""
        _adam(theta, g + group["weight_decay"] * theta, state, group)


class AdamW(Adam):
    """Adam whose weight decay stays out of both moments: theta -= lr wd theta first.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, arXiv 1711.05101.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(
        self, theta: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """One step of one parameter, the same share of every weight taken off beside it."""
        theta *= 1 - group["lr"] * group["weight_decay"]
        _adam(theta, g, state, group)


def _adam(theta: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:  # torch's names, so that either loads the other's state
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(theta)
        state["exp_avg_sq"] = torch.zeros_like(theta)
    b1, b2 = group["betas"]
    state["step"] += 1
    m, v, t = state["exp_avg"], state["exp_avg_sq"], state["step"].item()
    m.lerp_(g, 1 - b1)
    v.mul_(b2).add_((1 - b2) * g.square())
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    theta -= group["lr"] * m_hat / (v_hat.sqrt() + group["eps"])


def parameter_groups(
    model: nn.Module, weight_decay: float, *, decay_embeddings: bool = True
) -> list[dict[str, Any]]:
    """Split what is trained into weights that decay and vectors that do not.

    Norms, biases and gates have fewer than two dimensions: decay would only fight their scale.
    A weight shared by two layers is listed once; one shared with an embedding counts as one.

    Args:
        model: Its parameters that require a gradient.
        weight_decay: Of the first group; the second gets 0.
        decay_embeddings: Whether tables of `nn.Embedding` decay too.
    Returns:
        Groups for an optimiser, empty ones left out.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    spared = set() if decay_embeddings else tables
    decaying: list[nn.Parameter] = []
    resting: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            decays = parameter.dim() >= 2 and id(parameter) not in spared
            (decaying if decays else resting).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": resting, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    model: nn.Module,
    kind: OptimizerName = "adamw",
    rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.1,
    *,
    eps: float = 1e-8,
    decay_embeddings: bool = True,
) -> Optimizer:
    """torch's optimiser over the model's groups; Adam and AdamW run the fused kernel.

    Args:
        model: What to train.
        kind: "adamw", "adam" (its decay is L2) or "sgd" (momentum = the first beta).
        rate: Peak learning rate; a schedule multiplies it.
        betas: Decay of the first and second moment; (0.9, 0.95) is usual for language models.
        weight_decay: Of tensors with two dimensions or more.
        eps: Added to the root of the second moment.
        decay_embeddings: Whether embedding tables decay too.
    Raises:
        InputError: If nothing in the model is trained.
    """
    groups = parameter_groups(model, weight_decay, decay_embeddings=decay_embeddings)
    if not groups:
        raise InputError(
            "expected a model with trained parameters, got one whose parameters are all frozen; "
            "set requires_grad on those to train"
        )
    match kind:
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=eps, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=betas, eps=eps, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=betas[0])
