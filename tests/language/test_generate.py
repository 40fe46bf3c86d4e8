"""Decoding: batched equals alone, filters keep what they say, beams find what search finds."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.decoder_folder import load_decoder, save_decoder
from muybridge.language.generate import (
    BeamOptions,
    SamplingOptions,
    beam_search,
    filter_logits,
    generate,
    turn_for_decoding,
)
from tests.language.families_tiny import CAUSAL

PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5]]
GREEDY = SamplingOptions(temperature=0.0)


def _make(name: str, vocabulary: int = 31) -> Decoder:
    torch.manual_seed(3)
    config = replace(CAUSAL[name], deviation=0.3, vocabulary=vocabulary)
    return Decoder(config).double().eval()


@pytest.mark.parametrize("name", CAUSAL)
def test_greedy_is_the_best_token_of_the_full_forward_pass(name: str) -> None:
    decoder = _make(name)
    found = generate(decoder, PROMPTS, 8, GREEDY)
    decoder.absorb()
    assert generate(decoder, PROMPTS, 8, GREEDY) == found
    decoder.absorb(False)
    for prompt, new in zip(PROMPTS, found, strict=True):
        text = list(prompt)
        for token in new:
            with torch.no_grad():
                assert decoder(torch.tensor([text]))[0, -1].argmax().item() == token
            text.append(token)


@pytest.mark.parametrize("name", ["gpt2", "llama3", "deepseek-v3"])
def test_a_batch_is_its_prompts_alone(name: str) -> None:
    decoder = _make(name)
    together = generate(decoder, PROMPTS, 6, GREEDY)
    assert together == [generate(decoder, [prompt], 6, GREEDY)[0] for prompt in PROMPTS]
    beams = beam_search(decoder, PROMPTS, 6, BeamOptions(3), stop=7)
    alone = [beam_search(decoder, [p], 6, BeamOptions(3), stop=7)[0] for p in PROMPTS]
    assert beams == alone


def test_a_stop_ends_each_text_of_its_own() -> None:
    decoder = _make("llama3")
    free = generate(decoder, PROMPTS, 10, GREEDY)
    stop = free[0][4]
    for long, short in zip(free, generate(decoder, PROMPTS, 10, GREEDY, stop=stop), strict=True):
        assert short == (long[: long.index(stop) + 1] if stop in long else long)


def test_draws_follow_the_distribution_and_the_seed() -> None:
    decoder, count = _make("llama2", vocabulary=5), 4000
    with torch.no_grad():
        expected = decoder(torch.tensor([[1, 2]]))[0, -1].softmax(-1)
    drawn = generate(decoder, [[1, 2]] * count, 1, SamplingOptions(seed=5))
    again = generate(decoder, [[1, 2]] * count, 1, SamplingOptions(seed=5))
    assert drawn == again
    shares = torch.bincount(torch.tensor(drawn).flatten(), minlength=5) / count
    assert (shares - expected).abs().max() < 4 * 0.5 / math.sqrt(count)


def test_each_filter_keeps_what_it_says() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.2, 0.15, 0.1, 0.05]]))

    def kept(options: SamplingOptions) -> list[int]:
        return filter_logits(logits, options)[0].isfinite().nonzero().flatten().tolist()

    assert kept(SamplingOptions(top_k=2)) == [0, 1]
    assert kept(SamplingOptions(top_k=99)) == [0, 1, 2, 3, 4]
    assert kept(SamplingOptions(top_p=0.6)) == [0, 1]  # the token that crosses 0.6 stays
    assert kept(SamplingOptions(top_p=0.01)) == [0]
    assert kept(SamplingOptions(min_p=0.25)) == [0, 1, 2]
    assert kept(SamplingOptions(temperature=0.5, min_p=0.25)) == [0]
    # filters act one after another: after top-k 2 the shares are 5/7 and 2/7
    assert kept(SamplingOptions(top_k=2, top_p=0.7)) == [0]


def test_the_penalty_counts_what_was_said_and_no_padding() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0, 0.5]])
    seen, padding = torch.tensor([[3, 0, 1, 0]]), torch.tensor([1])
    found = filter_logits(logits, SamplingOptions(repetition_penalty=2.0), seen, padding)
    assert found.tolist() == [[1.0, -4.0, 1.0, 0.5]]


def _likelihood(decoder: Decoder, prompt: list[int], new: tuple[int, ...]) -> float:
    text = torch.tensor([[*prompt, *new]])
    with torch.no_grad():
        logarithms = decoder(text[:, :-1]).log_softmax(-1)[0, len(prompt) - 1 :]
    return logarithms.gather(1, torch.tensor(new)[:, None]).sum().item()


def test_a_wide_beam_finds_the_best_of_all_texts() -> None:
    decoder = _make("llama3", vocabulary=4)
    best = max(
        itertools.product(range(4), repeat=4),
        key=lambda new: _likelihood(decoder, [1, 3], new),
    )
    assert beam_search(decoder, [[1, 3]], 4, BeamOptions(64)) == [list(best)]


def test_one_beam_is_greedy() -> None:
    decoder = _make("gpt2")
    assert beam_search(decoder, PROMPTS, 7, BeamOptions(1)) == generate(decoder, PROMPTS, 7, GREEDY)


def test_tokens_are_told_as_they_come() -> None:
    told: list[torch.Tensor] = []
    found = generate(_make("gpt2"), PROMPTS, 5, GREEDY, on_token=told.append)
    assert torch.stack(told, dim=1).tolist() == found


@pytest.mark.parametrize(
    ("prompts", "message"),
    [([], "a token in every"), ([[1], []], "a token in every"), ([[1, 31]], "from 0 to 30"),
     ([[-1]], "from 0 to 30"), ([[1] * 45], "within the context of 48")],
)  # fmt: skip
def test_bad_prompts_are_refused(prompts: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(_make("llama3"), prompts, 8)


@pytest.mark.parametrize(
    "bad",
    [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}, {"min_p": 2.0},
     {"repetition_penalty": 0.0}, {"temperature": math.nan}],
)  # fmt: skip
def test_bad_options_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        SamplingOptions(**bad)


@pytest.mark.parametrize("name", ["gpt2", "deepseek-v3"])
def test_turning_the_matrices_changes_no_value(name: str, tmp_path: Path) -> None:
    decoder, tokens = _make(name), torch.arange(12)[None]
    with torch.no_grad():
        before = decoder(tokens)
        turn_for_decoding(decoder)
        torch.testing.assert_close(decoder(tokens), before, rtol=0, atol=1e-11)
        assert decoder.head_weight.stride() == (1, 31)
        save_decoder(decoder, tmp_path)
        again = load_decoder(tmp_path)
        torch.testing.assert_close(again(tokens), before, rtol=0, atol=1e-11)
        assert again.head_weight.is_contiguous()
    decoder.loss(tokens, tokens).backward()
