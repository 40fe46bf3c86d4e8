"""Mixture of experts: many small feed-forward layers, of which each token uses a few.

    y_t = sum_shared FFN(x_t) + sum_{e chosen} w_te FFN_e(x_t)

Experts are stored as three stacked tensors. The pairs of a `Routing` are sorted by expert and each
expert with work multiplies its own rows once: no capacity, no padding, no token computed twice.

Trap of the references: the shared experts of DeepSeek are ONE SwiGLU of n_shared times the inner
width, which equals the sum of n_shared separate ones.

B batch, T time, D width, E experts, F inner width of one expert, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.feedforward import DenseFeedForward, FeedForward
from muybridge.nn.routing import (
    ExpertChoiceGate,
    GateKind,
    Routing,
    SigmoidGate,
    SoftmaxGate,
    sequence_balance_loss,
    switch_balance_loss,
)

__all__ = ["Experts", "Mixture", "MixtureOfExperts", "balance_loss"]


@dataclass(frozen=True)
class Mixture:
    """Shape of a mixture of SwiGLU experts.

    `active` is the experts a token uses (for expert choice: on average). Groups, scale and
    `normalise` belong to the sigmoid gate, `capacity` to the softmax gate.
    """

    experts: int
    active: int
    inner_width: int
    shared: int = 0
    gate: GateKind = "sigmoid"
    groups: int = 1
    kept_groups: int = 1
    scale: float = 1.0
    normalise: bool = True
    capacity: float | None = None

    def __post_init__(self) -> None:
        if self.experts % self.groups:
            raise InputError(
                f"expected experts in equal groups, got {self.experts} experts in {self.groups}; "
                "choose a divisor"
            )
        reachable = self.experts // self.groups * min(self.kept_groups, self.groups)
        if not 0 < self.active <= reachable:
            raise InputError(
                f"expected 1 to {reachable} active experts, got {self.active}; a token cannot use "
                "more than its kept groups hold"
            )


def _make_gate(width: int, shape: Mixture) -> SigmoidGate | SoftmaxGate | ExpertChoiceGate:
    if shape.gate == "sigmoid":
        return SigmoidGate(
            width,
            shape.experts,
            shape.active,
            groups=shape.groups,
            kept_groups=shape.kept_groups,
            scale=shape.scale,
            normalise=shape.normalise,
        )
    if shape.gate == "softmax":
        return SoftmaxGate(width, shape.experts, shape.active, capacity=shape.capacity)
    return ExpertChoiceGate(width, shape.experts, float(shape.active))


class Experts(nn.Module):
    """E SwiGLU layers, stacked: gate and up (E, F, D), down (E, D, F)."""

    def __init__(self, width: int, experts: int, inner_width: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.empty(experts, inner_width, width))
        self.up = nn.Parameter(torch.empty(experts, inner_width, width))
        self.down = nn.Parameter(torch.empty(experts, width, inner_width))
        for weight in (self.gate, self.up, self.down):
            nn.init.normal_(weight, std=0.02)

    def forward(self, x: Float[Tensor, "n d"], routing: Routing) -> Float[Tensor, "n d"]:
        """Sum of the weighted answers of each token's experts."""
        order = routing.expert.argsort(stable=True)
        token, weight = routing.token[order], routing.weight[order].to(x.dtype)
        answers = [
            self._answer(e, rows)
            for e, rows in enumerate(x[token].split(routing.load.tolist()))
            if rows.shape[0]
        ]
        answered = torch.cat(answers) * weight[:, None]
        return torch.zeros_like(x).index_add(0, token, answered)

    def _answer(self, expert: int, x: Float[Tensor, "p d"]) -> Float[Tensor, "p d"]:
        gated = functional.silu(functional.linear(x, self.gate[expert]))
        return functional.linear(gated * functional.linear(x, self.up[expert]), self.down[expert])


class MixtureOfExperts(nn.Module):
    """Gate, experts and shared experts in the place of a feed-forward layer.

    Args:
        width: D of input and output.
        shape: Experts, gate and their options.
    References:
        DeepSeekMoE, arXiv 2401.06066; the gates' own papers stand in `routing`.
    """

    def __init__(self, width: int, shape: Mixture) -> None:
        super().__init__()
        self.shape = shape
        self.gate = _make_gate(width, shape)
        self.experts = Experts(width, shape.experts, shape.inner_width)
        if shape.shared:
            self.shared = FeedForward(width, DenseFeedForward(shape.shared * shape.inner_width))

    def forward(self, x: Float[Tensor, "b t d"]) -> tuple[Float[Tensor, "b t d"], Routing]:
        """The layer's output, and where the tokens went."""
        routing = self.gate(x)
        y = self.experts(x.flatten(0, 1), routing).unflatten(0, x.shape[:2])
        if self.shape.shared:
            y = y + self.shared(x)
        return y, routing


def balance_loss(routing: Routing, gate: GateKind) -> Float[Tensor, ""]:
    """The loss that the gate's own paper adds; 1 at balance, and 0 where experts choose."""
    if gate == "expert_choice":
        return routing.scores.new_zeros(())
    return sequence_balance_loss(routing) if gate == "sigmoid" else switch_balance_loss(routing)
