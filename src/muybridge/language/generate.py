"""Writing on: greedy, sampled, and by beam search, for a batch of prompts of any lengths.

Prompts are padded on the left, so that the last token of all is in the last column; the cache is
allocated once for the longest text that may come. Filters act in the order of Hugging Face's
generate: repetition penalty, temperature, top-k, top-p, min-p.

Traps of the references: a repetition penalty must divide positive and multiply negative logits, and
counts the prompt too; top-p keeps the token that crosses p; min-p is relative to the best token;
beam scores are divided by length^alpha only when a beam is finished, of the new tokens alone.

B batch, T time, V vocabulary, W beams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.errors import InputError
from muybridge.language.decode_step import turn_for_decoding
from muybridge.language.decoder import Decoder, DecoderCache

__all__ = [
    "BeamOptions",
    "SamplingOptions",
    "beam_search",
    "filter_logits",
    "generate",
    "turn_for_decoding",
]

Padded = tuple[Tensor, Tensor]  # tokens (B, T) and how many on the left of each row are none


@dataclass(frozen=True)
class SamplingOptions:
    """How the next token is drawn.

    Attributes:
        temperature: Logits are divided by it; 0 is greedy.
        top_k: Keep this many tokens; None: all.
        top_p: Keep the fewest tokens whose probabilities reach this; 1: all.
        min_p: Keep tokens at least this probable, relative to the best; 0: all.
        repetition_penalty: Above 1, tokens that occurred become less likely.
        seed: Of the draws.
    References:
        Holtzman et al., top-p, arXiv 1904.09751; Nguyen et al., min-p, arXiv 2407.01082;
        Keskar et al., CTRL (repetition penalty), arXiv 1909.05858.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("temperature", self.temperature or 1.0, 1e-4, 1e6),
            ("top_k", self.top_k if self.top_k is not None else 1, 1, math.inf),
            ("top_p", self.top_p, 1e-9, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 1e-9, 1e9),
            ("seed", self.seed, 0, 2**62),
        ):
            if not low <= value <= high:
                raise InputError(
                    f"expected {name} from {low:g} to {high:g}, got {value}; choose another"
                )


@dataclass(frozen=True)
class BeamOptions:
    """Beam search: how many, and how much longer texts are favoured.

    Attributes:
        beams: W.
        length_penalty: A finished beam's score is log p / length^this.
    """

    beams: int = 4
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise InputError(f"expected at least one beam, got {self.beams}; use 1 for greedy")


def filter_logits(
    logits: Float[Tensor, "b v"],
    options: SamplingOptions,
    seen: Int[Tensor, "b t"] | None = None,
    padding: Int[Tensor, "b"] | None = None,
) -> Float[Tensor, "b v"]:
    """Logits of what may be drawn; -inf elsewhere.

    Args:
        logits: Of the next token.
        options: Which filters.
        seen: The text so far, for the repetition penalty.
        padding: Tokens on the left of `seen` that are none.
    """
    if options.repetition_penalty != 1.0 and seen is not None:
        logits = _penalise(logits, seen, padding, options.repetition_penalty)
    if options.temperature not in (0.0, 1.0):
        logits = logits / options.temperature
    if options.top_k is not None and options.top_k < logits.shape[-1]:
        least = logits.topk(options.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if options.top_p < 1.0:
        logits = _keep_top_p(logits, options.top_p)
    if options.min_p > 0.0:
        probabilities = logits.softmax(-1)
        least = options.min_p * probabilities.amax(-1, keepdim=True)
        logits = logits.masked_fill(probabilities < least, -math.inf)
    return logits


def _penalise(logits: Tensor, seen: Tensor, padding: Tensor | None, penalty: float) -> Tensor:
    if padding is not None:
        place = torch.arange(seen.shape[1], device=seen.device)
        # padding stands for the row's last token, which is no new one
        seen = torch.where(place < padding[:, None], seen[:, -1:], seen)
    values = logits.gather(-1, seen)
    values = torch.where(values < 0, values * penalty, values / penalty)
    return logits.scatter(-1, seen, values)


def _keep_top_p(logits: Float[Tensor, "b v"], p: float) -> Float[Tensor, "b v"]:
    """Drop the tail of the sorted tokens, as long as what is dropped sums to at most 1 - p."""
    ascending, order = logits.sort(dim=-1)
    dropped = ascending.softmax(-1).cumsum(-1) <= 1 - p
    dropped[:, -1] = False
    return logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)


def _pad(decoder: Decoder, prompts: Sequence[Sequence[int]], new_tokens: int) -> Padded:
    """Prompts as one tensor, the short ones filled on the left; checked against the model."""
    vocabulary, context = decoder.config.vocabulary, decoder.config.context
    longest = max((len(prompt) for prompt in prompts), default=0)
    if not prompts or min(len(prompt) for prompt in prompts) == 0:
        raise InputError("expected a token in every prompt, got none; begin with a start token")
    wrong = [t for prompt in prompts for t in prompt if not 0 <= t < vocabulary]
    if wrong:
        raise InputError(
            f"expected token ids from 0 to {vocabulary - 1}, got {wrong[0]}; the tokenizer is not "
            "this model's"
        )
    if longest + new_tokens > context:
        raise InputError(
            f"expected prompt and new tokens within the context of {context}, got {longest} and "
            f"{new_tokens}; shorten one of them"
        )
    rows = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    device = decoder.embedding.weight.device
    padding = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
    return torch.tensor(rows, device=device), padding


def _begin(decoder: Decoder, padded: Padded, room: int) -> tuple[DecoderCache, Tensor]:
    """A filled cache, and the logits after each prompt."""
    tokens, padding = padded
    cache = decoder.make_cache(tokens.shape[0], room, padding if padding.any() else None)
    hidden = decoder.states(tokens, cache=cache).hidden[:, -1:]
    return cache, decoder.logits(hidden)[:, 0].float()


@torch.no_grad()
def generate(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    options: SamplingOptions | None = None,
    *,
    stop: int | None = None,
    on_token: Callable[[Int[Tensor, "b"]], None] | None = None,
) -> list[list[int]]:
    """Continue every prompt by at most `new_tokens` tokens.

    Args:
        decoder: In evaluation mode; a single text is fastest after `turn_for_decoding(decoder)`,
            latent attention with `decoder.absorb()`.
        prompts: Token ids, of any lengths; none empty.
        new_tokens: At most so many.
        options: How to draw; None: as the model says, temperature 1.
        stop: A token that ends a text; it is kept.
        on_token: Told each step's tokens, to show them as they come.
    Returns:
        The new tokens of each prompt, without the prompt.
    Raises:
        InputError: If a prompt is empty, has an unknown token, or the context is too short.
    """
    options = options or SamplingOptions()
    seen, padding = _pad(decoder, prompts, new_tokens)
    start = seen.shape[1]
    draws = torch.Generator(seen.device).manual_seed(options.seed)
    cache, logits = _begin(decoder, (seen, padding), start + new_tokens)
    if decoder.step is not None and not decoder.step.current(decoder):
        decoder.step = None  # the model was moved or converted since
    done = torch.zeros_like(padding, dtype=torch.bool)
    for step in range(new_tokens):
        token = _draw(filter_logits(logits, options, seen, padding), options, draws)
        seen = torch.cat((seen, token[:, None]), dim=1)
        if on_token is not None:
            on_token(token)
        done |= token == (-1 if stop is None else stop)
        if done.all() or step == new_tokens - 1:
            break
        logits = _next(decoder, token, cache)
    return [_until(row, stop) for row in seen[:, start:].tolist()]


def _next(decoder: Decoder, token: Int[Tensor, "b"], cache: DecoderCache) -> Tensor:
    """Logits after one more token of each text."""
    if decoder.step is not None and len(token) == 1:
        return decoder.step(int(token), cache)[None].float()
    return decoder(token[:, None], cache=cache)[:, -1].float()


def _draw(logits: Tensor, options: SamplingOptions, draws: torch.Generator) -> Int[Tensor, "b"]:
    if options.temperature == 0.0:
        return logits.argmax(-1)
    return torch.multinomial(logits.softmax(-1), 1, generator=draws)[:, 0]


def _until(row: list[int], stop: int | None) -> list[int]:
    return row[: row.index(stop) + 1] if stop in row else row


@dataclass(frozen=True)
class _Beams:
    """The W open beams of every prompt, flattened to rows, best first within a prompt."""

    tokens: Int[Tensor, "n t"]
    scores: Float[Tensor, "b w"]


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    options: BeamOptions | None = None,
    *,
    stop: int | None = None,
) -> list[list[int]]:
    """The most probable continuation that a beam of width W finds, for every prompt.

    A prompt is finished when W of its texts are and no open one would beat the worst of them at
    its present score (Hugging Face's `early_stopping=False`), or after `new_tokens`.

    Args:
        decoder: In evaluation mode.
        prompts: Token ids, of any lengths; none empty.
        new_tokens: At most so many.
        options: Width and length penalty.
        stop: A token that ends a text; it is kept.
    Returns:
        The new tokens of each prompt's best beam.
    Raises:
        InputError: As `generate`.
    """
    options = options or BeamOptions()
    width = options.beams
    tokens, padding = _pad(decoder, prompts, new_tokens)
    rows = torch.arange(len(prompts), device=tokens.device).repeat_interleave(width)
    padded = tokens[rows], padding[rows]
    cache, logits = _begin(decoder, padded, tokens.shape[1] + new_tokens)
    scores = logits.new_full((len(prompts), width), -math.inf)
    scores[:, 0] = 0.0  # all beams of a prompt are one at first
    beams = _Beams(tokens.new_empty(len(rows), 0), scores)
    pools = [_Finished(width, options.length_penalty) for _ in prompts]
    for step in range(1, new_tokens + 1):
        found = _candidates(beams, logits.log_softmax(-1))
        ends = found.token == (-1 if stop is None else stop)
        _collect(beams, found, ends | (step == new_tokens), pools)
        beams, kept = _continue(beams, found, ends)
        for pool, best in zip(pools, beams.scores[:, 0].tolist(), strict=True):
            pool.close(best, step)
        if step == new_tokens or all(pool.closed for pool in pools):
            break
        cache.keep_rows(kept)
        logits = decoder(beams.tokens[:, -1:], cache=cache)[:, -1].float()
    return [pool.best() for pool in pools]


class _Finished:
    """The best W finished texts of one prompt."""

    def __init__(self, room: int, length_penalty: float) -> None:
        self.room, self.length_penalty = room, length_penalty
        self.texts: list[tuple[float, list[int]]] = []
        self.closed = False

    def add(self, tokens: list[int], score: float) -> None:
        """Keep a text if it is among the best and the search is still open."""
        if not self.closed:
            self.texts.append((score / len(tokens) ** self.length_penalty, tokens))
            self.texts = sorted(self.texts, key=lambda text: -text[0])[: self.room]

    def close(self, best_open: float, length: int) -> None:
        """Close when all places are taken and no open beam would enter at its present score."""
        full = len(self.texts) == self.room
        if full and self.texts[-1][0] >= best_open / length**self.length_penalty:
            self.closed = True

    def best(self) -> list[int]:
        """The best text."""
        return self.texts[0][1]


@dataclass(frozen=True)
class _Candidates:
    """The best 2 W continuations of every prompt: enough for W that do not end."""

    row: Int[Tensor, "b c"]
    token: Int[Tensor, "b c"]
    score: Float[Tensor, "b c"]


def _candidates(beams: _Beams, logarithms: Float[Tensor, "n v"]) -> _Candidates:
    batch, width = beams.scores.shape
    vocabulary = logarithms.shape[-1]
    total = (beams.scores.flatten()[:, None] + logarithms).view(batch, width * vocabulary)
    score, index = total.topk(2 * width, dim=-1)
    first = torch.arange(batch, device=index.device)[:, None] * width
    return _Candidates(index // vocabulary + first, index % vocabulary, score)


def _collect(beams: _Beams, found: _Candidates, ends: Tensor, pools: Sequence[_Finished]) -> None:
    """Finish candidates that end, but only among the W best."""
    for b, rank in ends[:, : beams.scores.shape[1]].nonzero().tolist():
        text = [*beams.tokens[found.row[b, rank]].tolist(), int(found.token[b, rank])]
        pools[b].add(text, found.score[b, rank].item())


def _continue(beams: _Beams, found: _Candidates, ends: Tensor) -> tuple[_Beams, Int[Tensor, "n"]]:
    """The best W candidates that do not end, and the rows they continue."""
    rank = torch.arange(ends.shape[1], device=ends.device)
    open_first = (ends * ends.shape[1] + rank).argsort(dim=-1)[:, : beams.scores.shape[1]]
    rows = found.row.gather(1, open_first).flatten()
    tokens = found.token.gather(1, open_first).flatten()
    grown = torch.cat((beams.tokens[rows], tokens[:, None]), dim=1)
    return _Beams(grown, found.score.gather(1, open_first)), rows
