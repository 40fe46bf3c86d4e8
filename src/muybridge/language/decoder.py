"""One decoder class for every family, from the GPT-2 to DeepSeek-V3; a family is only data.

    x = embed(tokens) [+ position]
    for each block:  x = x + attention(norm(x));  x = x + feedforward(norm(x))
    logits = head(norm(x))

What differs from the reference implementations: one class with switches instead of one file a
family; the key/value cache is allocated once and has no copies; a flat batch (`lengths`) runs many
documents in one row without padding; multi-token prediction is part of the model, and the losses of
the routers come back from `states` as values, not through hidden state of the layers.

B batch, T time, S keys, D width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.language.decoder_config import DecoderConfig
from muybridge.nn.attention import Attention
from muybridge.nn.cache import LayerCache
from muybridge.nn.cross_entropy import linear_cross_entropy
from muybridge.nn.feedforward import FeedForward
from muybridge.nn.latent import LatentAttention, MultiHeadLatentAttention
from muybridge.nn.moe import MixtureOfExperts, balance_loss
from muybridge.nn.norm import make_norm
from muybridge.nn.position import sinusoids
from muybridge.nn.reach import Reach, reach
from muybridge.nn.rope import Rotation, inverse_frequencies, rotation, score_scale
from muybridge.nn.routing import Routing, SigmoidGate

__all__ = ["Block", "Decoder", "DecoderCache", "DecoderConfig", "States"]


@dataclass
class DecoderCache:
    """The caches of all blocks, and the left padding of each row."""

    layers: list[LayerCache]
    padding: Int[Tensor, "b"] | None = None

    @property
    def length(self) -> int:
        """Tokens held, padding included."""
        return self.layers[0].length

    def keep_rows(self, rows: Int[Tensor, "b"]) -> None:
        """Let row b continue what row `rows[b]` held."""
        for layer in self.layers:
            layer.keep_rows(rows)
        if self.padding is not None:
            self.padding = self.padding[rows]


@dataclass(frozen=True)
class States:
    """What the blocks made of a text.

    Attributes:
        hidden: After the last norm, what the head reads.
        routings: Where each block with experts sent the tokens.
    """

    hidden: Float[Tensor, "b t d"]
    routings: tuple[Routing, ...]


class Block(nn.Module):
    """Attention and feed-forward, each with its norm and its residual sum."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.place = config.norm_place
        self.attention_norm = make_norm(config.norm, config.width, config.norm_epsilon)
        if isinstance(config.attention, LatentAttention):
            gain = score_scale(config.rope)
            self.attention: nn.Module = MultiHeadLatentAttention(
                config.width, config.attention, gain
            )
        else:
            self.attention = Attention(config.width, config.attention)
        self.feedforward_norm = make_norm(config.norm, config.width, config.norm_epsilon)
        mixture = config.mixture_of(layer)
        if mixture is None:
            self.feedforward: nn.Module = FeedForward(config.width, config.feedforward)
        else:
            self.feedforward = MixtureOfExperts(config.width, mixture)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        over: Reach,
        turned: Rotation | None = None,
        cache: LayerCache | None = None,
    ) -> tuple[Float[Tensor, "b t d"], Routing | None]:
        """The residual stream after this block, and its routing."""
        if self.place == "after":
            x = self.attention_norm(x + self.attention(x, over, turned, cache))
            y, routing = self._feed(x)
            return self.feedforward_norm(x + y), routing
        x = x + self.attention(self.attention_norm(x), over, turned, cache)
        y, routing = self._feed(self.feedforward_norm(x))
        return x + y, routing

    def _feed(self, x: Tensor) -> tuple[Tensor, Routing | None]:
        made = self.feedforward(x)
        return made if isinstance(made, tuple) else (made, None)


class Prediction(nn.Module):
    """One depth of multi-token prediction: from h_t and the next token, a state for t + 2.

    h'_t = W [norm(embed(token_{t+1})); norm(h_t)], then one full block and a norm; embedding and
    head are the main model's. Trap: the paper's equation 21 writes [h; embed], checkpoints store W
    for [embed; h], as here; the main model's h is taken after its last norm.

    References:
        DeepSeek-V3, arXiv 2412.19437, section 2.2.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.token_norm = make_norm(config.norm, config.width, config.norm_epsilon)
        self.hidden_norm = make_norm(config.norm, config.width, config.norm_epsilon)
        self.join = nn.Linear(2 * config.width, config.width, bias=False)
        self.block = Block(config, config.layers)
        self.norm = make_norm(config.norm, config.width, config.norm_epsilon)

    def forward(
        self,
        hidden: Float[Tensor, "b t d"],
        embedded: Float[Tensor, "b t d"],
        over: Reach,
        turned: Rotation | None,
    ) -> tuple[Float[Tensor, "b t d"], Routing | None]:
        """States for one token further, and the block's routing."""
        both = torch.cat((self.token_norm(embedded), self.hidden_norm(hidden)), dim=-1)
        x, routing = self.block(self.join(both), over, turned)
        return self.norm(x), routing


BlockRunner = Callable[..., tuple[Tensor, Routing | None]]


class Step(Protocol):
    """One more token of a single text, read without `Decoder.forward` (see `decode_step`)."""

    def __call__(self, token: int, cache: DecoderCache) -> Tensor:
        """Logits of the next token, (V)."""
        ...

    def current(self, decoder: Decoder) -> bool:
        """Whether it still reads the weights of `decoder`."""
        ...


def _run(block: nn.Module, *arguments: object) -> tuple[Tensor, Routing | None]:
    return block(*arguments)


class Decoder(nn.Module):
    """A causal language model over tokens of any kind.

    Args:
        config: Its family and size.
    References:
        See `families`; the parts name their own papers.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.run_block: BlockRunner = _run  # a trainer may checkpoint or count here
        self.step: Step | None = None  # set by turn_for_decoding and quantise_int8
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        if config.position == "learned":
            self.position = nn.Embedding(config.context, config.width)
        self._make_tables()
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.layers))
        self.norm = (
            make_norm(config.norm, config.width, config.norm_epsilon)
            if config.norm_place == "before"
            else nn.Identity()
        )
        if not config.tied:
            self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self.predictions = nn.ModuleList(Prediction(config) for _ in range(config.predictions))
        self._initialise()

    @classmethod
    def from_state(
        cls, config: DecoderConfig, state: Mapping[str, Tensor], dtype: torch.dtype | None = None
    ) -> Decoder:
        """A decoder that takes over the tensors of `state`, without a copy or a first draw.

        Args:
            config: Family and size.
            state: Tensors by name.
            dtype: Type of the weights; None keeps theirs. Routing biases keep their own.
        Raises:
            InputError: If a name or a shape differs from what `config` asks for.
        """
        with torch.device("meta"):
            decoder = cls(config)
        wanted = decoder.state_dict()
        wrong = sorted(state.keys() ^ wanted.keys())
        wrong += [n for n in state.keys() & wanted.keys() if state[n].shape != wanted[n].shape]
        if wrong:
            raise InputError(
                f"expected the {len(wanted)} tensors that the configuration asks for, got "
                f"{len(wrong)} that are missing, unknown or of another shape, first {wrong[0]}; "
                "configuration and weights are not of one model"
            )
        if dtype is not None:
            state = {n: t if n.endswith("gate.bias") else t.to(dtype) for n, t in state.items()}
        decoder.load_state_dict(state, assign=True)
        return decoder

    def _make_tables(self) -> None:
        """Constants that follow from the configuration.

        Plain tensors, not buffers: `decoder.to(bfloat16)` would round the frequencies, and then
        position 1,000 would be off by up to two radians.
        """
        config = self.config
        if config.position == "sinusoidal":
            self.table = sinusoids(config.context, config.width)
        if config.rope is not None:
            self.frequencies = inverse_frequencies(config.rotary_width, config.rope)

    def _initialise(self) -> None:
        config = self.config
        small = config.deviation / math.sqrt(2 * config.layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                residual = config.scale_residual and name.endswith(
                    ("attention.output.weight", "down.weight", "experts.down")
                )
                nn.init.normal_(parameter, std=small if residual else config.deviation)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def train(self, mode: bool = True) -> Decoder:
        """Training or evaluation mode; training needs the matrices as they were made."""
        if mode:
            self.step = None
            for parameter in self.parameters():
                if not parameter.is_contiguous():
                    parameter.data = parameter.data.contiguous()
        return super().train(mode)

    @property
    def head_weight(self) -> Float[Tensor, "v d"]:
        """What turns states into logits: the head's own matrix, or the embedding."""
        return self.embedding.weight if self.config.tied else self.head.weight

    @property
    def gates(self) -> list[SigmoidGate]:
        """Gates that are balanced by a bias, in the order of `States.routings`."""
        return [m for m in self.modules() if isinstance(m, SigmoidGate)]

    def absorb(self, yes: bool = True) -> None:
        """Let latent attention read the latents directly (decoding) or expand them (training)."""
        for module in self.modules():
            if isinstance(module, MultiHeadLatentAttention):
                module.absorb = yes

    def make_cache(
        self, batch: int, room: int, padding: Int[Tensor, "b"] | None = None
    ) -> DecoderCache:
        """Room for `room` tokens in each of `batch` rows, the first `padding` of them unseen."""
        weight = self.embedding.weight
        layers = [
            LayerCache(batch, room, self.config.attention.cache_shapes, weight.dtype, weight.device)
            for _ in self.blocks
        ]
        return DecoderCache(layers, padding)

    def forward(
        self,
        tokens: Int[Tensor, "b t"],
        *,
        cache: DecoderCache | None = None,
        padding: Int[Tensor, "b"] | None = None,
        lengths: tuple[int, ...] | None = None,
    ) -> Float[Tensor, "b t v"]:
        """Logits of the token that follows each position.

        Args:
            tokens: Text, or what follows the text held by `cache`.
            cache: Remembers this call's tokens for the next; needs `torch.no_grad`.
            padding: Tokens on the left of each row that are none; with a cache, it knows them.
            lengths: Flat batch (B = 1): tokens of each document, which never see one another.
        Raises:
            InputError: If learned or tabled positions end before the text does.
        """
        return self.logits(
            self.states(tokens, cache=cache, padding=padding, lengths=lengths).hidden
        )

    def logits(self, hidden: Float[Tensor, "b t d"]) -> Float[Tensor, "b t v"]:
        """The head."""
        if hasattr(self, "head"):
            return self.head(hidden)
        return functional.linear(hidden, self.embedding.weight)

    def states(
        self,
        tokens: Int[Tensor, "b t"],
        *,
        cache: DecoderCache | None = None,
        padding: Int[Tensor, "b"] | None = None,
        lengths: tuple[int, ...] | None = None,
    ) -> States:
        """What `forward` gives to the head, and the routings; the arguments are the same."""
        past = cache.length if cache is not None else 0
        padding = cache.padding if cache is not None else padding
        positions = self._positions(tokens, past, padding, lengths)
        x = self._embed(tokens, positions)
        turned = self._rotation(positions, x.dtype)
        reaches = self._reaches(tokens, past, padding, lengths)
        routings = []
        for i, block in enumerate(self.blocks):
            held = cache.layers[i] if cache is not None else None
            x, routing = self.run_block(block, x, reaches[i % 2], turned, held)
            if routing is not None:
                routings.append(routing)
        return States(self.norm(x), tuple(routings))

    def _reaches(
        self,
        tokens: Tensor,
        past: int,
        padding: Tensor | None,
        lengths: tuple[int, ...] | None,
    ) -> tuple[Reach, Reach]:
        """Reach of even blocks and of odd ones, which may be banded."""
        if lengths is not None:
            flat = Reach(lengths=lengths)
            return flat, replace(flat, window=self.config.window)
        time = tokens.shape[1]
        dense = reach(time, past + time, padding, device=tokens.device)
        if self.config.window is None:
            return dense, dense
        return dense, reach(time, past + time, padding, self.config.window, tokens.device)

    def _positions(
        self,
        tokens: Tensor,
        past: int,
        padding: Tensor | None,
        lengths: tuple[int, ...] | None,
    ) -> Int[Tensor, "b t"]:
        """Each token's place in its own text, from 0; padding is at 0 too."""
        end = past + tokens.shape[1]
        if lengths is not None:
            positions = torch.cat([torch.arange(n) for n in lengths]).to(tokens.device)[None]
        else:
            positions = torch.arange(past, end, device=tokens.device)[None]
        if padding is not None:
            positions = (positions - padding[:, None]).clamp(min=0)
        longest = end if lengths is None else max(lengths)
        if self.config.position != "rotary" and longest > self.config.context:
            raise InputError(
                f"expected at most {self.config.context} tokens, the context of this model, "
                f"got {longest}; shorten the text"
            )
        return positions

    def _embed(self, tokens: Tensor, positions: Tensor) -> Float[Tensor, "b t d"]:
        x = self.embedding(tokens)
        if self.config.position == "learned":
            return x + self.position(positions)
        if self.config.position == "sinusoidal":
            # the paper scales embeddings up to the size of the sinusoids
            return x * math.sqrt(self.config.width) + self.table.to(x)[positions]
        return x

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> Rotation | None:
        if self.config.rope is None:
            return None
        frequencies = self.frequencies.to(positions.device)
        return rotation(positions, frequencies, self.config.rope, dtype)

    def predict_further(
        self,
        tokens: Int[Tensor, "b t"],
        hidden: Float[Tensor, "b t d"],
        lengths: tuple[int, ...] | None = None,
    ) -> Iterator[tuple[Float[Tensor, "b s d"], Routing | None]]:
        """States for 2, 3, ... tokens ahead, one pair a prediction module.

        Depth k gives T - k states; the state at t is for token t + k + 1.

        Args:
            tokens: The text, whole.
            hidden: Of `states` for the same tokens.
            lengths: Flat batch: tokens of each document, of which the last k states mean nothing.
        """
        for depth, module in enumerate(self.predictions, start=1):
            time = tokens.shape[1] - depth
            kept = _first(time, lengths)
            positions = self._positions(tokens[:, :time], 0, None, kept)
            embedded = self._embed(tokens[:, depth:], positions)
            turned = self._rotation(positions, hidden.dtype)
            over, _ = self._reaches(tokens[:, :time], 0, None, kept)
            hidden, routing = self.run_block(module, hidden[:, :time], embedded, over, turned)
            yield hidden, routing

    def loss(
        self,
        tokens: Int[Tensor, "b t"],
        targets: Int[Tensor, "b t"],
        *,
        lengths: tuple[int, ...] | None = None,
        balance_weight: float = 1e-4,
        prediction_weight: float = 0.3,
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats, plus the routers' balance and the further predictions.

        Args:
            tokens: The text.
            targets: The token that follows each position; -100 where none is learned.
            lengths: Flat batch (B = 1): tokens of each document; the balance is that of the row.
            balance_weight: Of each router's balance loss (alpha).
            prediction_weight: Of the mean loss of the prediction modules (lambda).
        """
        states = self.states(tokens, lengths=lengths)
        total = linear_cross_entropy(states.hidden, self.head_weight, targets)
        routings = list(states.routings)
        for depth, (further, routing) in enumerate(
            self.predict_further(tokens, states.hidden, lengths), start=1
        ):
            aim = _further(targets, depth, lengths)
            part = linear_cross_entropy(further, self.head_weight, aim)
            total = total + prediction_weight / len(self.predictions) * part
            routings += [routing] if routing is not None else []
        if self.config.mixture is not None:
            gate = self.config.mixture.gate
            total = total + balance_weight * sum(balance_loss(r, gate) for r in routings)
        return total

    def extra_repr(self) -> str:
        """Size in parameters."""
        return f"parameters={sum(p.numel() for p in self.parameters()):,}"


def _first(time: int, lengths: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Lengths of the documents of a flat row, of which only `time` tokens are left."""
    if lengths is None:
        return None
    left = [min(n, time - sum(lengths[:i])) for i, n in enumerate(lengths)]
    return tuple(n for n in left if n > 0)


def _further(targets: Tensor, depth: int, lengths: tuple[int, ...] | None) -> Int[Tensor, "b s"]:
    """Targets `depth` tokens further on, where they are of the same document."""
    if lengths is None:
        return targets[:, depth:]
    sizes = torch.tensor(lengths, device=targets.device)
    document = torch.arange(len(lengths), device=targets.device).repeat_interleave(sizes)
    return targets[:, depth:].masked_fill(document[depth:] != document[:-depth], -100)
