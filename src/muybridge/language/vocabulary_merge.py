"""A new language for an old model: pieces appended to its tokenizer, rows to its embedding.

As Chinese-LLaMA did with the 32,000 pieces of LLaMA. Every old id keeps its piece and its row, so
that old texts and weights stay good; a new row begins as the mean of the rows that spelled its
piece before.

What differs from the reference: new pieces rank behind all old ones, where Chinese-LLaMA's score of
0 puts them in front; so a text without new pieces is encoded as before.

V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.language.bpe_merge import ranks_by_token
from muybridge.language.decoder import Decoder
from muybridge.language.sentencepiece_bpe import SentencePieceBpe

__all__ = ["extend_decoder", "merge_vocabularies", "old_spelling"]

NewRows = Literal["spelling", "mean", "random"]


def merge_vocabularies(base: SentencePieceBpe, added: SentencePieceBpe) -> SentencePieceBpe:
    """Append to a vocabulary the pieces that only another has.

    Args:
        base: Keeps its ids, its special and byte pieces, and what it does with blanks.
        added: Gives characters and merged pieces, in the order of their ids.
    Returns:
        The union. Base merges go first, then those of `added` in their order.
    References:
        Cui, Yang & Yao 2023, arXiv 2304.08177, section 2.2.
    """
    known = set(base.pieces)
    new = [piece for piece in added.plain_ids if piece not in known]
    size = base.size
    ids = dict(base.plain_ids) | {piece: size + place for place, piece in enumerate(new)}
    ranks = _ranks(base, added)
    more = {
        pair: made
        for pair, made in ranks_by_token({p: r for p, r in ranks.items() if p in ids}, ids).items()
        if max(*pair, made[1]) >= size  # pairs of old pieces alone stay as they were
    }
    return replace(base, pieces=(*base.pieces, *new), merges={**more, **base.merges})


def _ranks(base: SentencePieceBpe, added: SentencePieceBpe) -> Mapping[str, int]:
    """Rank of each merged piece: its own in `base`, else behind, in the order of `added`."""
    old, new = _best_ranks(base), _best_ranks(added)
    behind = max(old.values(), default=-1) + 1 - min(new.values(), default=0)
    return {piece: behind + rank for piece, rank in new.items()} | old


def _best_ranks(tokenizer: SentencePieceBpe) -> dict[str, int]:
    best: dict[str, int] = {}
    for rank, joined in tokenizer.merges.values():
        piece = tokenizer.pieces[joined]
        best[piece] = min(rank, best.get(piece, rank))
    return best


def old_spelling(base: SentencePieceBpe, merged: SentencePieceBpe) -> list[list[int]]:
    """How the old vocabulary spells each new piece: in shorter pieces, or in bytes.

    Raises:
        InputError: If `merged` does not begin with the pieces of `base`.
    """
    if merged.pieces[: base.size] != base.pieces:
        raise InputError(
            f"expected a vocabulary that begins with the {base.size} old pieces, got another; make "
            "it by merge_vocabularies"
        )
    return [base.encode_piece(piece) for piece in merged.pieces[base.size :]]


@torch.no_grad()
def extend_decoder(
    decoder: Decoder, spelling: Sequence[Sequence[int]], rows: NewRows = "spelling"
) -> Decoder:
    """A decoder with more tokens; its logits of the old ones are the same.

    Args:
        decoder: V tokens; it is not changed.
        spelling: Old ids of each new token, see `old_spelling`.
        rows: How new rows of embedding and head begin: the mean of the rows of the token's old
            spelling, the mean of all rows, or drawn as in a new model.
    Returns:
        A decoder of V + len(spelling) tokens with copies of all weights.
    Raises:
        InputError: If an id is no token of the decoder, or a spelling is empty.
    """
    size = decoder.config.vocabulary
    wrong = next((s for s in spelling if not s or not 0 <= min(s) <= max(s) < size), None)
    if wrong is not None:
        raise InputError(
            f"expected spellings in the decoder's {size} tokens, got {list(wrong)}; decoder and "
            "tokenizer are not of one model"
        )
    config = replace(decoder.config, vocabulary=size + len(spelling))
    state = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    for name in ("embedding.weight", "head.weight"):
        if name in state:
            new = _new_rows(state[name], spelling, rows, config.deviation)
            state[name] = torch.cat((state[name], new))
    return Decoder.from_state(config, state).train(decoder.training)


def _new_rows(
    old: Float[Tensor, "v d"], spelling: Sequence[Sequence[int]], rows: NewRows, deviation: float
) -> Float[Tensor, "n d"]:
    if rows == "random":
        return torch.randn(len(spelling), old.shape[1]).to(old) * deviation
    if rows == "mean":
        return old.mean(0).expand(len(spelling), -1)
    means = [old[torch.tensor(ids)].mean(0) for ids in spelling]
    return torch.stack(means) if means else old[:0]
