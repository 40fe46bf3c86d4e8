"""Documents of any length in one row without padding: packing, flat batches, remove-padding.

`next_fit` and `best_fit_decreasing` say which documents share a batch; `flatten` makes of them one
row, with where each ends, so that a model can keep them apart (`Decoder(..., lengths=)`);
`stream` does both for documents that come one by one. `unpad` and `pad` go from padded rows to a
flat row and back.

Traps: what lmms-engine calls "first_fit" is next-fit, it never looks back. What is padding is said
by a mask or by lengths, never by `ids != pad_id`: a pad or end token inside a text would vanish.
The last token of each document has no target, or it would learn the first of the next one.
A loss over flat batches is weighed by `predicted`, not by batch.

B rows, T time, N tokens of the flat row, M documents.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from jaxtyping import Bool, Int, Int32, Shaped
from torch import Tensor
from torch.nn import functional

from muybridge.errors import InputError

__all__ = [
    "NO_TARGET",
    "FlatBatch",
    "Overlong",
    "Unpadded",
    "best_fit_decreasing",
    "flatten",
    "mask_of_lengths",
    "next_fit",
    "pad",
    "stream",
    "unpad",
]

NO_TARGET = -100  # torch's cross-entropy leaves it out
Overlong = Literal["drop", "alone"]


@dataclass(frozen=True)
class FlatBatch:
    """Documents in one row.

    Attributes:
        tokens: All documents, one after another.
        targets: The token that follows each within its document; NO_TARGET at its end.
        lengths: Tokens of each document.
        cu_seqlens: Where each document begins, and where the last ends (flash-attn's name).
        positions: Place of each token in its own document, from 0.
    """

    tokens: Int[Tensor, "1 n"]
    targets: Int[Tensor, "1 n"]
    lengths: tuple[int, ...]
    cu_seqlens: Int32[Tensor, "m_and_1"]
    positions: Int[Tensor, "1 n"]

    @property
    def predicted(self) -> int:
        """Tokens that are learned: what a mean loss is over."""
        return int((self.targets != NO_TARGET).sum())


@dataclass(frozen=True)
class Unpadded:
    """Padded rows without their padding.

    Attributes:
        values: What was real, row by row.
        indices: Where each came from, in the flattened rows.
        lengths: Real entries of each row.
        cu_seqlens: Where each row begins, and where the last ends.
        positions: Place of each among the real entries of its row, from 0.
    """

    values: Shaped[Tensor, "n *rest"]
    indices: Int[Tensor, "n"]
    lengths: tuple[int, ...]
    cu_seqlens: Int32[Tensor, "m_and_1"]
    positions: Int[Tensor, "n"]


def next_fit(
    lengths: Iterable[int], room: int, *, overlong: Overlong = "drop"
) -> Iterator[list[int]]:
    """Fill one batch after another in the order of the documents, never looking back.

    Args:
        lengths: Tokens of each document; may be endless.
        room: Tokens of a batch.
        overlong: Drop a document that fits nowhere, or give it a batch of its own.
    Yields:
        The numbers of the documents of a batch.
    References:
        Johnson, Near-optimal bin packing algorithms, 1973; EvolvingLMMs-Lab/lmms-engine, where a
        buffer is flushed when the next document would overflow it.
    """
    _check_room(room)
    batch: list[int] = []
    used = 0
    for number, length in enumerate(lengths):
        if length > room and overlong == "drop":
            continue
        if batch and used + length > room:
            yield batch
            batch, used = [], 0
        batch.append(number)
        used += length
    if batch:
        yield batch


def best_fit_decreasing(
    lengths: Sequence[int], room: int, *, overlong: Overlong = "drop"
) -> list[list[int]]:
    """Longest document first, each into the batch that it fills best.

    Uses at most 11/9 of the least number of batches, plus one. Needs all lengths beforehand.

    Args:
        lengths: Tokens of each document.
        room: Tokens of a batch.
        overlong: Drop a document that fits nowhere, or give it a batch of its own.
    Returns:
        The numbers of the documents of each batch, ascending.
    References:
        Johnson, 1973; Ding et al., Fewer Truncations Improve Language Modeling, arXiv 2404.10830.
    """
    _check_room(room)
    batches: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (room left, batch), ascending
    for number in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[number]
        if length > room and overlong == "drop":
            continue
        place = bisect_left(free, (length, 0))
        if place == len(free):
            batches.append([])
            left, batch = room, len(batches) - 1
        else:
            left, batch = free.pop(place)
        batches[batch].append(number)
        insort(free, (left - length, batch))
    return [sorted(batch) for batch in batches]


def _check_room(room: int) -> None:
    if room < 1:
        raise InputError(f"expected room for at least 1 token, got {room}; give a larger batch")


def _starts(lengths: Sequence[int]) -> Int32[Tensor, "m_and_1"]:
    ends = torch.tensor(lengths, dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return functional.pad(ends, (1, 0))


def flatten(documents: Sequence[Sequence[int]]) -> FlatBatch:
    """Put documents into one row.

    Args:
        documents: Token ids, none empty.
    Raises:
        InputError: If there is no document, or an empty one.
    """
    lengths = tuple(len(document) for document in documents)
    if not lengths or not min(lengths):
        raise InputError(
            f"expected documents of at least one token, got lengths {lengths[:9]}; leave empty "
            "ones out"
        )
    tokens = torch.tensor([token for document in documents for token in document])
    starts = _starts(lengths)
    targets = tokens.roll(-1)
    targets[starts[1:].long() - 1] = NO_TARGET
    positions = torch.cat([torch.arange(n) for n in lengths])
    return FlatBatch(tokens[None], targets[None], lengths, starts, positions[None])


def stream(
    documents: Iterable[Sequence[int]], room: int, *, pool: int = 1, overlong: Overlong = "drop"
) -> Iterator[FlatBatch]:
    """Flat batches from documents that come one by one.

    Args:
        documents: Token ids; may be endless. Empty ones are passed over.
        room: Tokens of a batch.
        pool: Documents that are held back and packed together by `best_fit_decreasing`; 1 keeps
            their order, by `next_fit`.
        overlong: Drop a document that fits nowhere, or give it a batch of its own.
    """
    _check_room(room)
    filled = (document for document in documents if len(document))
    if pool > 1:
        while held := list(islice(filled, pool)):
            for batch in best_fit_decreasing([len(d) for d in held], room, overlong=overlong):
                yield flatten([held[i] for i in batch])
        return
    seen: dict[int, Sequence[int]] = {}

    def lengths() -> Iterator[int]:
        for number, document in enumerate(filled):
            if len(document) <= room or overlong == "alone":
                seen[number] = document
            yield len(document)

    for batch in next_fit(lengths(), room, overlong=overlong):
        yield flatten([seen.pop(i) for i in batch])


def mask_of_lengths(lengths: Sequence[int], time: int) -> Bool[Tensor, "b t"]:
    """True where a row that is padded on the right to `time` is real."""
    return torch.arange(time) < torch.tensor(lengths)[:, None]


def unpad(padded: Shaped[Tensor, "b t *rest"], real: Bool[Tensor, "b t"]) -> Unpadded:
    """Keep what is real; padding may be on either side, or between.

    Args:
        padded: Ids, states or anything else of rows.
        real: What is no padding. Not made from the ids: see the head of this file.
    """
    indices = real.flatten().nonzero()[:, 0]
    lengths = tuple(real.sum(1).tolist())
    positions = (real.cumsum(1) - 1).flatten()[indices]
    return Unpadded(padded.flatten(0, 1)[indices], indices, lengths, _starts(lengths), positions)


def pad(
    values: Shaped[Tensor, "n *rest"], indices: Int[Tensor, "n"], rows: int, time: int
) -> Shaped[Tensor, "b t *rest"]:
    """Put values back to where `unpad` found them; the rest is 0.

    Args:
        values: One a real entry.
        indices: Of `Unpadded`.
        rows: B.
        time: T.
    """
    padded = values.new_zeros(rows * time, *values.shape[1:])
    return padded.index_copy(0, indices, values).unflatten(0, (rows, time))
