"""Learning to predict a stream of tokens: windows drawn at random, a held-out end of the stream.

The windows of a step follow from seed and step alone, so that a training can go on anywhere.
Validation slides a window by half its length, so that every token but the first few is predicted
with at least half a window of history: the same protocol for every model.

B batch, T window, N tokens of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.routing import SigmoidGate

__all__ = ["TextTask", "Windows", "stream_loss", "stream_nats"]

VALIDATE = 32_768  # tokens that a validation during training reads; all are read at the end by eval
BALANCE_RATE = 1e-3  # of DeepSeek-V3's routing biases


@dataclass(frozen=True)
class Windows:
    """One batch: tokens, the token that follows each, and where each window begins."""

    tokens: Int[Tensor, "b t"]
    targets: Int[Tensor, "b t"]
    starts: tuple[int, ...]


class TextTask:
    """A model and its text, as `train.loop` asks for them.

    Args:
        model: Any language model.
        stream: Token ids to learn.
        held: Token ids to validate on, or None.
        window: T.
        batch: B.
        accumulate: Batches of a step.
        seed: Of the windows.
    Raises:
        InputError: If the stream is shorter than one window and the token after it, or holds ids
            outside the vocabulary.
    """

    def __init__(
        self,
        model: Any,
        stream: Int[Tensor, "n"],
        held: Int[Tensor, "m"] | None,
        *,
        window: int,
        batch: int,
        accumulate: int = 1,
        seed: int = 0,
    ) -> None:
        if len(stream) < window + 1:
            raise InputError(
                f"expected a text of more than {window} tokens, the window, got {len(stream)}; "
                "give a longer text or a smaller --context"
            )
        vocabulary = model.config.vocabulary
        for ids in (stream, held) if held is not None else (stream,):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
                raise InputError(
                    f"expected token ids from 0 to {vocabulary - 1}, got {int(ids.min())} to "
                    f"{int(ids.max())}; encode the text with the model's own tokenizer"
                )
        self.model, self.stream, self.held = model, stream, held
        self.window, self.batch, self.accumulate, self.seed = window, batch, accumulate, seed
        self.gates = [m for m in model.modules() if isinstance(m, SigmoidGate)]
        self.loads: dict[int, Tensor] = {}
        for number, gate in enumerate(self.gates):
            gate.register_forward_hook(self._watch(number))

    def _watch(self, number: int) -> Any:
        """Adds up where a gate sends the tokens of a step."""

        def hook(gate: nn.Module, _: object, routing: Any) -> None:
            if gate.training:
                held = self.loads.get(number)
                self.loads[number] = routing.load if held is None else held + routing.load

        return hook

    def batches(self, step: int) -> Sequence[Windows]:
        """The windows of a step."""
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        places = torch.randint(
            len(self.stream) - self.window, (self.accumulate, self.batch), generator=random
        )
        ahead = torch.arange(self.window + 1)
        made = []
        for starts in places:
            both = self.stream[starts[:, None] + ahead]
            made.append(Windows(both[:, :-1], both[:, 1:], tuple(starts.tolist())))
        return made

    def count(self, batch: Windows) -> int:
        """Tokens that are predicted."""
        return batch.targets.numel()

    def loss(self, batch: Windows) -> Tensor:
        """Mean cross-entropy in nats, with what the model adds for its routers."""
        return self.model.loss(batch.tokens, batch.targets)

    def validate(self) -> float | None:
        """Nats a token on the held-out stream, or on its beginning if it is long."""
        if self.held is None or len(self.held) < 2:
            return None
        return stream_loss(self.model, self.held[:VALIDATE], self.window)[0]

    def after_step(self) -> None:
        """Move the routing biases towards equal load, and forget the step's loads."""
        for number, load in self.loads.items():
            self.gates[number].balance(load, BALANCE_RATE)
        self.loads.clear()

    def describe(self, batch: Windows) -> str:
        """Where the windows lie in the stream."""
        return f"in the windows at tokens {', '.join(map(str, batch.starts[:8]))}"


def stream_loss(
    model: Any, stream: Int[Tensor, "n"], window: int, batch: int = 32
) -> tuple[float, int]:
    """Mean nats a token of a stream, and how many tokens were predicted: see `stream_nats`."""
    nats = stream_nats(model, stream, window, batch)
    return nats.double().mean().item(), len(nats)


@torch.no_grad()
def stream_nats(
    model: Any, stream: Int[Tensor, "n"], window: int, batch: int = 32
) -> Float[Tensor, "m"]:
    """-log p of every token of a stream but the first, in nats.

    Windows of T tokens begin T / 2 apart; of each but the first, the last T / 2 predictions count.

    Args:
        model: Any language model; its mode is left as it is.
        stream: Token ids.
        window: T.
        batch: Windows read at once.
    """
    window = min(window, len(stream) - 1)
    half = max(1, window // 2)
    last = len(stream) - 1 - window
    starts = [*range(0, last, half), last]
    made, done = [], 0
    for first in range(0, len(starts), batch):
        places = torch.tensor(starts[first : first + batch])
        both = stream[places[:, None] + torch.arange(window + 1)]
        logits = model(both[:, :-1]).float().transpose(1, 2)
        nats = functional.cross_entropy(logits, both[:, 1:], reduction="none")
        for place, row in zip(places.tolist(), nats, strict=True):
            made.append(row[done - place :])
            done = place + window
    return torch.cat(made)
