"""Recurrent language models: the whole past in one state of fixed size.

    x = embed(token);  h = recurrent(x, h before);  logits = head(h)

Unlike every other rung it has no longest context: `states` carries the state from one piece of
text to the next, for generation, for evaluation, and for truncated back-propagation through time
(detach what it returned, go on). Windows that start from zeros are scored worse, because their
first tokens have no past; a figure must say which was done. The forget gate starts open (bias 1):
otherwise a fresh LSTM halves its cell at each step and learns long lags late.

B batch, T time, E embedding width, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.recurrent import CellKind, Recurrent, ResetKind, State

__all__ = ["RecurrentConfig", "RecurrentModel", "detach"]


@dataclass(frozen=True)
class RecurrentConfig:
    """Everything that tells one recurrent model from another.

    Attributes:
        vocabulary: V.
        context: Length of the windows it is trained on; the model itself knows no limit.
        width: D.
        layers: Recurrent layers.
        cell: Kind.
        embedding: E; None for D. A small one saves work: characters need few channels.
        dropout: After the embedding, between layers and before the head.
        tied: The head is the embedding; asks for E = D.
        reset: Of the GRU.
        forget: Initial bias of the LSTM's forget gate.
    """

    vocabulary: int
    context: int
    width: int
    layers: int = 1
    cell: CellKind = "lstm"
    embedding: int | None = None
    dropout: float = 0.0
    tied: bool = False
    reset: ResetKind = "after"
    forget: float = 1.0

    def __post_init__(self) -> None:
        sizes = (self.vocabulary, self.context, self.width, self.layers, self.inputs)
        if min(sizes) < 1 or not 0 <= self.dropout < 1:
            raise InputError(
                f"expected sizes of at least 1 and a dropout from 0 to below 1, got {sizes} and "
                f"{self.dropout}; correct the configuration"
            )
        if self.tied and self.inputs != self.width:
            raise InputError(
                f"expected embedding and width alike in a tied model, got {self.inputs} and "
                f"{self.width}; leave out the embedding's width or untie"
            )

    @property
    def inputs(self) -> int:
        """E."""
        return self.width if self.embedding is None else self.embedding


def detach(state: State) -> State:
    """The same state without its past: here back-propagation through time stops."""
    return tuple(tensor.detach() for tensor in state)


class RecurrentModel(nn.Module):
    """A language model whose memory is the state of its recurrent layers.

    Args:
        config: Kind and size.
    References:
        Mikolov et al., Recurrent neural network based language model, 2010.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.inputs)
        self.recurrent = Recurrent(
            config.cell,
            config.inputs,
            config.width,
            config.layers,
            dropout=config.dropout,
            reset=config.reset,
        )
        self.head = nn.Linear(config.width, config.vocabulary)
        if config.tied:
            self.head.weight = self.embedding.weight
        self._initialise()

    def _initialise(self) -> None:
        config = self.config
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5 if config.tied else 0.5)
        nn.init.zeros_(self.head.bias)
        if config.cell == "lstm":
            for layer in range(config.layers):
                _, _, bias, other = self.recurrent.weights(layer)  # their sum is what counts
                nn.init.constant_(bias[config.width : 2 * config.width], config.forget)
                nn.init.zeros_(other[config.width : 2 * config.width])

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Logits of the token that follows each position of a text that starts here."""
        return self.logits(self.states(tokens)[0])

    def states(
        self, tokens: Int[Tensor, "b t"], state: State | None = None
    ) -> tuple[Float[Tensor, "b t d"], State]:
        """What the head reads, and the state to go on from.

        Args:
            tokens: Text, or what follows the text that made `state`.
            state: None at the start of a text.
        """
        dropout, training = self.config.dropout, self.training
        x = functional.dropout(self.embedding(tokens), dropout, training)
        hidden, state = self.recurrent(x, state)
        return functional.dropout(hidden, dropout, training), state

    def logits(self, hidden: Float[Tensor, "b t d"]) -> Float[Tensor, "b t v"]:
        """The head."""
        return self.head(hidden)

    def loss(self, tokens: Int[Tensor, "b t"], targets: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
        """Mean nats of the targets; -100 is no target."""
        return functional.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())

    def extra_repr(self) -> str:
        """Size."""
        return f"parameters={sum(p.numel() for p in self.parameters()):,}"
