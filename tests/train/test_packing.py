"""Packing loses and mixes nothing: packed equals separate, flat equals padded."""

from dataclasses import replace
from itertools import combinations, count, islice, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.train.packing import (
    NO_TARGET,
    FlatBatch,
    best_fit_decreasing,
    flatten,
    mask_of_lengths,
    next_fit,
    pad,
    stream,
    unpad,
)
from tests.language.families_tiny import KINDS

ROOM = 20
SIZES = st.lists(st.integers(1, 30), max_size=40)


def _documents(lengths: tuple[int, ...] = (5, 1, 12, 7, 3)) -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, 31, (n,), generator=generator).tolist() for n in lengths]


@given(SIZES, st.sampled_from(["drop", "alone"]))
@settings(deadline=None, max_examples=60)
def test_every_document_is_packed_once(lengths: list[int], overlong: str) -> None:
    kept = [i for i, n in enumerate(lengths) if n <= ROOM or overlong == "alone"]
    for packed in (
        list(next_fit(lengths, ROOM, overlong=overlong)),  # type: ignore[arg-type]
        best_fit_decreasing(lengths, ROOM, overlong=overlong),  # type: ignore[arg-type]
    ):
        assert sorted(i for batch in packed for i in batch) == kept
        for batch in packed:
            assert len(batch) == 1 or sum(lengths[i] for i in batch) <= ROOM


@given(SIZES)
@settings(deadline=None, max_examples=60)
def test_how_well_they_fill(lengths: list[int]) -> None:
    lengths = [n for n in lengths if n <= ROOM]
    best = [sum(lengths[i] for i in batch) for batch in best_fit_decreasing(lengths, ROOM)]
    assert all(one + two > ROOM for one, two in combinations(best, 2)), "two would fit in one"
    in_order = list(next_fit(lengths, ROOM))
    assert [i for batch in in_order for i in batch] == list(range(len(lengths)))
    for one, two in pairwise(in_order):
        assert sum(lengths[i] for i in one) + lengths[two[0]] > ROOM, "flushed too early"


def test_known_packings() -> None:
    lengths = [12, 9, 8, 11, 21, 4]
    assert list(next_fit(lengths, ROOM)) == [[0], [1, 2], [3, 5]]
    assert list(next_fit(lengths, ROOM, overlong="alone")) == [[0], [1, 2], [3], [4], [5]]
    assert best_fit_decreasing(lengths, ROOM) == [[0, 2], [1, 3], [5]]


def test_a_flat_batch() -> None:
    flat = flatten([[7, 8, 9], [5], [1, 2]])
    assert flat.tokens.tolist() == [[7, 8, 9, 5, 1, 2]]
    assert flat.targets.tolist() == [[8, 9, NO_TARGET, NO_TARGET, 2, NO_TARGET]]
    assert flat.positions.tolist() == [[0, 1, 2, 0, 0, 1]]
    assert flat.lengths == (3, 1, 2)
    assert flat.cu_seqlens.tolist() == [0, 3, 4, 6]
    assert flat.cu_seqlens.dtype == torch.int32
    assert flat.predicted == 3 == int((flat.targets != NO_TARGET).sum())


def test_streams_are_lazy_and_whole() -> None:
    endless = ([number] * (1 + number % 7) for number in count())
    batches = list(islice(stream(endless, ROOM), 50))
    assert all(batch.tokens.shape[1] <= ROOM for batch in batches)
    firsts = [int(t) for b in batches for t in b.tokens[0, b.cu_seqlens[:-1].long()]]
    assert firsts == list(range(len(firsts)))
    documents = [[i] * n for i, n in enumerate((12, 9, 0, 8, 11, 21, 4))]
    pooled = list(stream(documents, ROOM, pool=7))
    assert sorted(t for b in pooled for t in b.tokens[0].tolist()) == sorted(
        t for d in documents if len(d) <= ROOM for t in d
    )
    assert [b.lengths for b in pooled] == [(12, 8), (9, 11), (4,)]
    assert [b.lengths for b in stream(documents, ROOM, overlong="alone")][-2:] == [(21,), (4,)]


def _loss(decoder: Decoder, flat: FlatBatch, lengths: tuple[int, ...] | None) -> Tensor:
    logits = decoder(flat.tokens, lengths=lengths)[0]
    return functional.cross_entropy(logits, flat.targets[0], reduction="sum")


@pytest.mark.parametrize("name", ["gpt2", "gpt3", "llama3", "deepseek-v3"])
def test_packed_loss_is_the_sum_of_separate_ones(name: str) -> None:
    decoder = Decoder(replace(KINDS[name], deviation=0.2))
    documents = _documents()
    flat = flatten(documents)
    packed = _loss(decoder, flat, flat.lengths)
    separate = torch.stack(
        [_loss(decoder, one, None) for one in map(flatten, ([d] for d in documents))]
    ).sum()
    assert packed.item() == pytest.approx(separate.item(), rel=1e-6)
    mixed = _loss(decoder, flat, None)
    assert abs(mixed.item() / separate.item() - 1) > 1e-3, "without boundaries it is another loss"
    gradients = [torch.autograd.grad(x, decoder.embedding.weight)[0] for x in (packed, separate)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama3", "deepseek-v3"])
def test_the_decoders_own_loss_takes_a_flat_batch(name: str) -> None:
    """Further predictions, too, never cross from one document into the next."""
    config = replace(KINDS[name], deviation=0.2, predictions=2 * (name == "deepseek-v3"))
    decoder = Decoder(config).double()
    flat = flatten(_documents((5, 12, 4, 7, 4)))

    def loss(part: FlatBatch, further: float) -> float:
        return decoder.loss(
            part.tokens,
            part.targets,
            lengths=part.lengths,
            balance_weight=0.0,
            prediction_weight=further,
        ).item()

    parts = [flatten([document]) for document in _documents((5, 12, 4, 7, 4))]
    separate = sum(loss(part, 0.0) * part.predicted for part in parts) / flat.predicted
    assert loss(flat, 0.0) == pytest.approx(separate, rel=1e-12)
    if config.predictions:
        one = [_further(decoder, flat, depth) for depth in (1, 2)]
        assert loss(flat, 1.0) - loss(flat, 0.0) == pytest.approx(sum(one) / 2, rel=1e-12)


def _further(decoder: Decoder, flat: FlatBatch, depth: int) -> float:
    """Mean loss `depth` tokens further on, of the documents one by one."""
    total, count = 0.0, 0
    for tokens in flat.tokens[0].split(flat.lengths):
        states = decoder.states(tokens[None]).hidden
        hidden, _ = list(decoder.predict_further(tokens[None], states))[depth - 1]
        logits, aim = decoder.logits(hidden)[0, :-1], tokens[depth + 1 :]
        total += functional.cross_entropy(logits, aim, reduction="sum").item()
        count += len(aim)
    return total / count


def test_positions_end_within_a_document() -> None:
    config = replace(KINDS["gpt2"], context=8)
    flat = flatten(_documents((8, 5, 8)))
    assert Decoder(config)(flat.tokens, lengths=flat.lengths).shape[1] == 21
    with pytest.raises(InputError, match="at most 8 tokens"):
        Decoder(config)(torch.zeros(1, 12, dtype=torch.long), lengths=(9, 3))


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
@pytest.mark.parametrize("left", [False, True])
def test_flat_logits_equal_the_padded_run(name: str, left: bool) -> None:
    decoder = Decoder(replace(KINDS[name], deviation=0.2)).double()
    documents = _documents()
    lengths, time = [len(d) for d in documents], 12
    real = mask_of_lengths(lengths, time)
    if left:
        real = real.flip(1)
    rows = torch.full((len(documents), time), 3)  # the padding token occurs in the texts, too
    rows[real] = torch.tensor([t for d in documents for t in d])
    assert any(3 in d for d in documents)
    flat = unpad(rows, real)
    assert flat.lengths == tuple(lengths)
    assert torch.equal(flat.positions, flatten(documents).positions[0])
    padding = time - torch.tensor(lengths) if left else None
    padded = decoder(rows, padding=padding)
    ours = decoder(flat.values[None], lengths=flat.lengths)[0]
    back = pad(ours, flat.indices, *rows.shape)
    torch.testing.assert_close(back[real], padded[real], rtol=0, atol=1e-10)
    assert not back[~real].any()


def test_flops_fall_by_the_ratio_of_real_tokens() -> None:
    decoder = Decoder(KINDS["llama3"])
    flat = flatten(_documents())
    rows = torch.zeros(5, 12, dtype=torch.long)
    flops = []  # of the linear layers; torch does not count its attention kernel on a CPU
    for tokens, lengths in ((rows, None), (flat.tokens, flat.lengths)):
        with FlopCounterMode(display=False) as counter:
            decoder(tokens, lengths=lengths)
        counts = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
        flops.append(sum(n for op, n in counts.items() if op in ("aten.mm", "aten.addmm")))
    ratio = flat.tokens.numel() / rows.numel()
    assert flops[1] / flops[0] == pytest.approx(ratio, rel=1e-12)


def test_unusable_inputs_are_refused() -> None:
    for work in (
        lambda: flatten([]),
        lambda: flatten([[1], []]),
        lambda: list(next_fit([1], 0)),
        lambda: best_fit_decreasing([1], 0),
    ):
        with pytest.raises(InputError):
            work()
