"""Gates: which experts a token goes to, and the losses and biases that keep experts busy.

Three families, told apart by who chooses:
- `SigmoidGate` (DeepSeek-V3): tokens choose. Affinities s = sigmoid(W x); the choice is made by
  s + b, within the best groups of experts, but the weights are s alone. b is no parameter: after
  each step it is nudged against the load, so no auxiliary loss fights the language loss.
- `SoftmaxGate` (Switch with 1 choice, GShard with 2): tokens choose by probability, experts drop
  what exceeds their capacity, and an auxiliary loss balances.
- `ExpertChoiceGate`: each expert takes its favourite tokens. Perfectly balanced, but NOT causal:
  whether a token is taken depends on later tokens, so it cannot generate text as it was trained.

A `Routing` is a plain list of pairs (token, expert, weight), so that all three run on the same
experts.

Traps of the references: weights once came from s + b (transformers #40132, fixed by #41647); the
sequence-wise loss takes sigmoids divided by their sum, not a softmax (Megatron #1438); experts out
of the chosen groups get -inf, not 0, because s + b may be negative; the group's score is the sum of
its TWO best; b is a float32 buffer and has no gradient (maxtext #2494 never updated it).

B batch, T time, D width, E experts, N = B T tokens, P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "ExpertChoiceGate",
    "GateKind",
    "Routing",
    "SigmoidGate",
    "SoftmaxGate",
    "sequence_balance_loss",
    "switch_balance_loss",
]

GateKind = Literal["sigmoid", "softmax", "expert_choice"]


@dataclass(frozen=True)
class Routing:
    """Where the tokens of a batch went.

    Attributes:
        token: Index of each pair's token in the flattened batch.
        expert: Its expert.
        weight: What the expert's answer is multiplied with; carries the gradient.
        scores: Affinity of every token to every expert, before any choice; carries the gradient.
        choice: The gate's chosen pairs before any was dropped, for the losses.
    """

    token: Int[Tensor, "p"]
    expert: Int[Tensor, "p"]
    weight: Float[Tensor, "p"]
    scores: Float[Tensor, "b t e"]
    choice: Int[Tensor, "b t k"] | None

    @property
    def load(self) -> Int[Tensor, "e"]:
        """Tokens each expert works on."""
        return torch.bincount(self.expert, minlength=self.scores.shape[-1])


def _pairs(choice_btk: Tensor) -> tuple[Tensor, Tensor]:
    choices = choice_btk.shape[-1]
    expert = choice_btk.flatten()
    return torch.arange(expert.numel() // choices, device=expert.device).repeat_interleave(
        choices
    ), expert


class SigmoidGate(nn.Module):
    """DeepSeek-V3's gate: sigmoid affinities, limited to groups, balanced by a bias.

    Args:
        width: D.
        experts: E.
        active: Experts a token goes to.
        groups: Groups the experts are dealt into, in order; one group lives on one machine.
        kept_groups: Groups a token may use.
        scale: Factor on the weights (2.5).
        normalise: Divide the weights by their sum first.
    References:
        DeepSeek-V3, arXiv 2412.19437, section 2.1.2; Wang et al., Auxiliary-Loss-Free Load
        Balancing, arXiv 2408.15664; DeepSeekMoE, arXiv 2401.06066.
    """

    bias: Tensor

    def __init__(
        self,
        width: int,
        experts: int,
        active: int,
        *,
        groups: int = 1,
        kept_groups: int = 1,
        scale: float = 1.0,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.active, self.groups, self.kept_groups = active, groups, kept_groups
        self.scale, self.normalise = scale, normalise
        self.weight = nn.Parameter(torch.empty(experts, width))
        nn.init.normal_(self.weight, std=0.02)
        self.register_buffer("bias", torch.zeros(experts))

    def _apply(self, change: Callable[[Tensor], Tensor], recurse: bool = True) -> SigmoidGate:
        """Move the bias to another device, but keep it float32: half would lose its steps."""
        bias = self.bias
        super()._apply(change, recurse)  # type: ignore[no-untyped-call]
        self.bias = bias.to(self.bias.device) if not bias.is_meta else self.bias
        return self

    def forward(self, x: Float[Tensor, "b t d"]) -> Routing:
        """Choose experts for every token."""
        wide = torch.promote_types(x.dtype, torch.float32)  # affinities decide: never in half
        scores = functional.linear(x.to(wide), self.weight.to(wide)).sigmoid()
        choice = self._choose(scores.detach() + self.bias)
        weight = scores.gather(-1, choice)
        if self.normalise:
            weight = weight / (weight.sum(-1, keepdim=True) + 1e-20)
        token, expert = _pairs(choice)
        return Routing(token, expert, weight.flatten() * self.scale, scores, choice)

    def _choose(self, scores: Float[Tensor, "b t e"]) -> Int[Tensor, "b t k"]:
        if self.kept_groups < self.groups:
            grouped = scores.unflatten(-1, (self.groups, -1))
            best = grouped.topk(min(2, grouped.shape[-1]), dim=-1).values.sum(-1)
            kept = torch.zeros_like(best, dtype=torch.bool)
            kept.scatter_(-1, best.topk(self.kept_groups, dim=-1).indices, True)
            scores = grouped.masked_fill(~kept[..., None], -math.inf).flatten(-2)
        return scores.topk(self.active, dim=-1).indices

    @torch.no_grad()
    def balance(self, load: Int[Tensor, "e"], rate: float) -> None:
        """Nudge the biases towards equal load, once an optimiser step: b += rate sign(mean - load).

        Args:
            load: Tokens each expert got in the whole step, over all micro-batches.
            rate: 1e-3 for most of DeepSeek-V3's training, then 0.
        """
        self.bias += rate * torch.sign(load.float().mean() - load.float())


class SoftmaxGate(nn.Module):
    """Switch Transformer's gate (`active` 1) and GShard's (`active` 2).

    Switch weights by the probability itself, so that the router gets a gradient from one expert;
    GShard divides the two by their sum. Left out: GShard's random dispatch of the second choice.

    Args:
        width: D.
        experts: E.
        active: 1 or 2.
        capacity: An expert takes at most capacity * N * active / E tokens, in the order of the
            text, and drops the rest, which then pass by the residual alone; None: no limit.
            A limit over a batch is not causal across rows, only within the order of the text.
    References:
        Fedus et al., Switch Transformers, arXiv 2101.03961; Lepikhin et al., GShard,
        arXiv 2006.16668.
    """

    def __init__(
        self, width: int, experts: int, active: int, *, capacity: float | None = None
    ) -> None:
        super().__init__()
        self.active, self.capacity = active, capacity
        self.weight = nn.Parameter(torch.empty(experts, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "b t d"]) -> Routing:
        """Choose experts for every token."""
        wide = torch.promote_types(x.dtype, torch.float32)
        scores = functional.linear(x.to(wide), self.weight.to(wide)).softmax(-1)
        weight, choice = scores.topk(self.active, dim=-1)
        if self.active > 1:
            weight = weight / weight.sum(-1, keepdim=True)
        token, expert = _pairs(choice)
        weight = weight.flatten()
        if self.capacity is not None:
            kept = self._within_capacity(expert)
            token, expert, weight = token[kept], expert[kept], weight[kept]
        return Routing(token, expert, weight, scores, choice)

    def _within_capacity(self, expert: Int[Tensor, "p"]) -> Tensor:
        assert self.capacity is not None
        experts = self.weight.shape[0]
        room = math.ceil(self.capacity * expert.numel() / experts)
        chosen = functional.one_hot(expert, experts)
        place = (chosen.cumsum(0) * chosen).sum(-1)  # 1 for the first token of its expert
        return place <= room


class ExpertChoiceGate(nn.Module):
    """Each expert takes the k = capacity N / E tokens that want it most.

    Not causal; see the head of this file. `muybridge` offers it for comparison only.

    Args:
        width: D.
        experts: E.
        capacity: Experts a token gets on average.
    References:
        Zhou et al., Mixture-of-Experts with Expert Choice Routing, arXiv 2202.09368.
    """

    def __init__(self, width: int, experts: int, capacity: float) -> None:
        super().__init__()
        self.capacity = capacity
        self.weight = nn.Parameter(torch.empty(experts, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "b t d"]) -> Routing:
        """Let every expert choose tokens of the whole batch."""
        wide = torch.promote_types(x.dtype, torch.float32)
        scores = functional.linear(x.to(wide), self.weight.to(wide)).softmax(-1)
        tokens, experts = x.shape[0] * x.shape[1], self.weight.shape[0]
        share = max(1, min(tokens, int(self.capacity * tokens / experts)))
        weight_ek, token_ek = scores.flatten(0, 1).T.topk(share, dim=-1)
        expert = torch.arange(experts, device=x.device).repeat_interleave(share)
        return Routing(token_ek.flatten(), expert, weight_ek.flatten(), scores, None)


def _fractions(routing: Routing) -> Float[Tensor, "b e"]:
    """Share of each sequence's choices that went to each expert; sums to 1."""
    assert routing.choice is not None, "experts that choose are balanced and have no loss"
    batch, _, experts = routing.scores.shape
    chosen = routing.choice.flatten(1)
    counts = torch.zeros(batch, experts, device=chosen.device, dtype=routing.scores.dtype)
    counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=counts.dtype))
    return counts / chosen.shape[1]


def sequence_balance_loss(routing: Routing) -> Float[Tensor, ""]:
    """DeepSeek-V3's loss within each sequence, sum_e f_e P_e, mean over sequences; at balance 1.

    f_e = E / (k T) times the choices of e, P_e = mean_t s_te / sum_e s_te. Multiply by alpha, 1e-4.

    References:
        arXiv 2412.19437, equations 17 to 20.
    """
    fractions = _fractions(routing) * routing.scores.shape[-1]
    shares = routing.scores / routing.scores.sum(-1, keepdim=True)
    return (fractions * shares.mean(1)).sum(-1).mean()


def switch_balance_loss(routing: Routing) -> Float[Tensor, ""]:
    """Switch's loss over the whole batch, E sum_e f_e P_e; at balance 1. Multiply by alpha, 1e-2.

    f counts all choices before any was dropped (Switch has one choice; GShard counts the first).

    References:
        arXiv 2101.03961, equations 4 to 6.
    """
    fractions = _fractions(routing).mean(0)
    return routing.scores.shape[-1] * (fractions * routing.scores.mean((0, 1))).sum()
