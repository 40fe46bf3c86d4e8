"""The neural probabilistic language model of 2003: the last n words, embedded, through tanh.

    x = [C(w_{t-n+1}); ...; C(w_t)];   y = b + W x + U tanh(d + H x)

Embeddings made words comparable for the first time; the fixed window is what recurrent networks and
then attention removed. W (the direct links) is optional: in the paper they sped up training but did
not help in the end.

One pass answers for all windows of a text: each token is embedded once and read by N windows.
Traps: before the text stands a vector of its own, learned, not the embedding of token 0; the first
E columns of H belong to the OLDEST token of the window, as in the concatenation.

B batch, T time, N window, E embedding width, D hidden width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError

__all__ = ["NeuralConfig", "NeuralModel"]


@dataclass(frozen=True)
class NeuralConfig:
    """Size of the model.

    Attributes:
        vocabulary: V.
        context: Length of the texts it is trained on.
        window: N, how many tokens it sees.
        width: E.
        hidden: D.
        direct: Links from the embeddings straight to the logits.
        dropout: Of the hidden units, in training.
    """

    vocabulary: int
    context: int
    window: int = 8
    width: int = 32
    hidden: int = 256
    direct: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.window < 1:
            raise InputError(f"expected a window of one token or more, got {self.window}; take 8")


class NeuralModel(nn.Module):
    """Bengio's network over all windows of a text at once.

    Args:
        config: Its size.
    References:
        Bengio et al., A neural probabilistic language model, JMLR 3, 2003, equation 1.
    """

    def __init__(self, config: NeuralConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.start = nn.Parameter(torch.zeros(config.width))
        self.hidden = nn.Linear(config.window * config.width, config.hidden)
        self.output = nn.Linear(config.hidden, config.vocabulary)
        if config.direct:
            self.direct = nn.Linear(config.window * config.width, config.vocabulary, bias=False)
            nn.init.zeros_(self.direct.weight)
        nn.init.normal_(self.embedding.weight, std=1.0)

    def windows(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t x"]:
        """x of each position: the embeddings of the window that ends there, oldest first."""
        config, embedded = self.config, self.embedding(tokens)
        start = self.start.expand(len(tokens), config.window - 1, config.width)
        padded = torch.cat((start, embedded), dim=1)
        return padded.unfold(1, config.window, 1).transpose(2, 3).flatten(2)

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Logits of the token that follows each position."""
        x = self.windows(tokens)
        hidden = functional.dropout(torch.tanh(self.hidden(x)), self.config.dropout, self.training)
        logits: Tensor = self.output(hidden)
        return logits + self.direct(x) if self.config.direct else logits

    def loss(self, tokens: Int[Tensor, "b t"], targets: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
        """Mean nats of the targets; -100 is no target."""
        return functional.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())

    def extra_repr(self) -> str:
        """Size."""
        return f"parameters={sum(p.numel() for p in self.parameters()):,}"
