"""The fast step gives what the whole forward pass gives, in float and in 8 bits."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.language.decode_step import turn_for_decoding
from muybridge.language.decoder import Decoder
from muybridge.language.generate import SamplingOptions, generate
from muybridge.language.quantise import quantise_int8
from muybridge.nn.int8 import Int8Linear
from muybridge.nn.row_product import RowProduct
from tests.language.families_tiny import KINDS

SERVED = ["gpt2", "gpt3", "llama1", "llama3", "llama3.1", "llama2 interleaved"]
GREEDY = SamplingOptions(temperature=0.0)
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


def _make(name: str, **changes: object) -> Decoder:
    torch.manual_seed(5)
    decoder = Decoder(replace(KINDS[name], deviation=0.3, **changes)).eval()
    with torch.no_grad():  # norms and biases that are not what they start from
        for parameter in decoder.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn_like(parameter)
    return decoder


def _steps(decoder: Decoder, tokens: list[int]) -> Tensor:
    cache = decoder.make_cache(1, len(tokens))
    decoder(torch.tensor([tokens[:3]]), cache=cache)
    return torch.stack([decoder.step(token, cache) for token in tokens[3:]])


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_each_step_equals_the_forward_pass(name: str, tied: bool) -> None:
    decoder = _make(name, tied=tied).double()
    expected = decoder(torch.tensor([PROMPT]))[0, 3:]
    turn_for_decoding(decoder)
    torch.testing.assert_close(_steps(decoder, PROMPT), expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(decoder(torch.tensor([PROMPT]))[0, 3:], expected)


@torch.no_grad()
def test_float32_is_as_exact_as_the_forward_pass() -> None:
    decoder = _make("llama3")
    expected = decoder(torch.tensor([PROMPT]))[0, 3:]
    turn_for_decoding(decoder)
    scale = expected.abs().max()
    torch.testing.assert_close(_steps(decoder, PROMPT) / scale, expected / scale, rtol=0, atol=2e-6)


def test_generate_runs_the_step_for_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = _make("llama3").double()
    expected = generate(decoder, [PROMPT], 9, GREEDY)
    turn_for_decoding(decoder)
    step, calls = decoder.step, []

    class Counted:
        current = step.current

        def __call__(self, token: int, cache: object) -> Tensor:
            calls.append(token)
            return step(token, cache)

    decoder.step = Counted()
    assert generate(decoder, [PROMPT], 9, GREEDY) == expected
    assert calls == expected[0][:-1]
    assert generate(decoder, [PROMPT, PROMPT[:2]], 9, GREEDY)[0] == expected[0]
    assert len(calls) == 8


def test_changed_weights_are_seen_and_moved_ones_end_the_step() -> None:
    decoder, other = _make("llama1").double(), _make("llama1", tied=True)
    turn_for_decoding(decoder)
    torch.manual_seed(9)
    state = {n: torch.randn_like(t) for n, t in decoder.state_dict().items()}
    fresh = Decoder(decoder.config).double()
    fresh.load_state_dict(state)
    decoder.load_state_dict(state)
    expected = generate(fresh, [PROMPT], 6, GREEDY)
    assert generate(decoder, [PROMPT], 6, GREEDY) == expected
    assert decoder.step is not None
    turn_for_decoding(other)
    other.to(torch.bfloat16)
    generate(other, [PROMPT], 2, GREEDY)
    assert other.step is None


def test_training_after_decoding_is_training() -> None:
    """Fused AdamW runs over memory: matrices side by side in a table would be mixed up."""
    plain, turned = _make("llama1"), _make("llama1")
    turn_for_decoding(turned)
    generate(turned, [PROMPT], 3, GREEDY)
    tokens = torch.tensor([PROMPT])
    for decoder in (plain, turned):
        decoder.train()
        optimiser = torch.optim.AdamW(decoder.parameters(), lr=0.01, fused=True)
        for _ in range(3):
            optimiser.zero_grad()
            decoder.loss(tokens[:, :-1], tokens[:, 1:]).backward()
            optimiser.step()
    assert turned.step is None
    for a, b in zip(plain.parameters(), turned.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["transformer", "deepseek-v3"])
def test_other_decoders_go_on_as_before(name: str) -> None:
    decoder = _make(name).double()
    expected = generate(decoder, [PROMPT], 5, GREEDY)
    turn_for_decoding(decoder)
    assert decoder.step is None
    assert generate(decoder, [PROMPT], 5, GREEDY) == expected


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("inputs", "outputs"), [(5, 8), (48, 33), (1, 1)])
def test_a_row_product_is_a_linear_layer(threads: int, inputs: int, outputs: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        weight, x = torch.randn(outputs, inputs), torch.randn(inputs)
        made = RowProduct(weight.T.contiguous())(x)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(made, weight @ x)


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_8_bits_are_within_half_a_step(bias: bool) -> None:
    linear = nn.Linear(40, 24, bias=bias)
    rounded, x = Int8Linear(linear), torch.randn(6, 40)
    step = (linear.weight.amax(0) - linear.weight.amin(0)) / 255
    assert ((rounded.weight - linear.weight).abs() <= 0.51 * step).all()
    assert (rounded.weight != linear.weight).any()
    error = (rounded(x) - linear(x)).abs()
    assert (error <= 0.51 * (x.abs() @ step)[:, None] + 1e-6).all()
    expected = functional.linear(x, rounded.weight, linear.bias)
    for i, row in enumerate(x):  # a single row takes another kernel
        torch.testing.assert_close(rounded(row[None])[0], expected[i], rtol=1e-5, atol=1e-6)
    assert rounded.table.numel() == 40 * (24 + 8)


@pytest.mark.parametrize("name", [*SERVED, "deepseek-v3"])
@torch.no_grad()
def test_a_decoder_in_8_bits_is_that_of_its_rounded_weights(name: str) -> None:
    decoder = _make(name)
    exact = decoder(torch.tensor([PROMPT]))[0, 3:]
    rounded = quantise_int8(copy.deepcopy(decoder))
    whole = rounded(torch.tensor([PROMPT]))[0, 3:]
    assert 0 < (whole - exact).norm() < 0.1 * exact.norm()
    if rounded.step is not None:
        scale = whole.abs().max()
        torch.testing.assert_close(
            _steps(rounded, PROMPT) / scale, whole / scale, atol=1e-5, rtol=0
        )
    assert len(generate(rounded, [PROMPT], 4, GREEDY)[0]) == 4
    assert isinstance(rounded.head, Int8Linear)


def test_8_bits_need_a_float32_decoder() -> None:
    with pytest.raises(InputError, match="float32"):
        quantise_int8(_make("gpt2").double())
