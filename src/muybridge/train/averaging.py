"""Averages of weights: over checkpoints, and running along a training.

Mean of checkpoints: theta = sum_i theta_i / n. Running: theta' = d theta' + (1 - d) theta a step;
`Ema` starts from the weights it finds and lets d grow as (1 + n) / (10 + n) up to `decay`, so that
the first steps are forgotten soon.

Traps: sums are float32 or wider, since bfloat16 would swallow 1 - d = 1e-3; integers (counters) and
booleans are taken from the last state, not averaged; tied weights are averaged once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from muybridge.errors import InputError

__all__ = ["Ema", "average_states"]


def average_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of checkpoints, tensor by tensor, in the type they were stored in.

    Args:
        states: State dictionaries of one model; the last gives what is not averaged.
    Raises:
        InputError: If there are none, or they are not of one model.
    References:
        Izmailov et al., Averaging Weights Leads to Wider Optima, arXiv 1803.05407; Llama 3 averages
        the checkpoints of its annealing, arXiv 2407.21783, section 3.4.3.
    """
    if not states:
        raise InputError("expected checkpoints to average, got none; give at least one")
    shapes = {name: tensor.shape for name, tensor in states[0].items()}
    for number, state in enumerate(states[1:], start=2):
        if {name: tensor.shape for name, tensor in state.items()} != shapes:
            raise InputError(
                f"expected checkpoints of one model, got other names or shapes in number {number}; "
                "leave it out"
            )
    return {name: _mean([state[name] for state in states]) for name in shapes}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    last = tensors[-1]
    if not last.is_floating_point():
        return last.clone()
    total = torch.zeros_like(last, dtype=_wide(last))
    for tensor in tensors:
        total += tensor
    return (total / len(tensors)).to(last.dtype)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


class Ema:
    """Exponential moving average of a model's parameters.

    Args:
        model: Whose parameters are followed; call `update` after each optimiser step.
        decay: d; 0.999 remembers about a thousand steps.
        warmup: Let d grow from 0.1 at first.
    Raises:
        InputError: If `decay` is not in [0, 1).
    References:
        Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999, *, warmup: bool = True) -> None:
        if not 0.0 <= decay < 1.0:
            raise InputError(f"expected a decay from 0 to below 1, got {decay}; 0.999 is usual")
        self.model, self.decay, self.warmup = model, decay, warmup
        self.updates = 0
        self.average = {n: p.detach().to(_wide(p)).clone() for n, p in self._parameters()}

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return self.model.named_parameters()

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's present weights."""
        self.updates += 1
        ramp = (1 + self.updates) / (10 + self.updates)
        decay = min(self.decay, ramp) if self.warmup else self.decay
        for name, parameter in self._parameters():
            average = self.average[name]
            average.lerp_(parameter.detach().to(average), 1.0 - decay)

    @contextmanager
    def swap(self) -> Iterator[nn.Module]:
        """Within it, the model has the averaged weights; afterwards its own, bit for bit."""
        own = {name: parameter.detach().clone() for name, parameter in self._parameters()}
        try:
            self._put(self.average)
            yield self.model
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters():
            parameter.copy_(values[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The averages and the number of updates, to go on after a break."""
        return {**self.average, "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Undo `state_dict`.

        Raises:
            InputError: If the names or shapes are not this model's.
        """
        wanted = {name: tensor.shape for name, tensor in self.average.items()}
        found = {name: tensor.shape for name, tensor in state.items() if name != "updates"}
        if found != wanted or "updates" not in state:
            raise InputError(
                f"expected averages of the {len(wanted)} tensors of this model, got others; give "
                "the checkpoint of the same training"
            )
        self.updates = int(state["updates"])
        for name, average in self.average.items():
            average.copy_(state[name])
