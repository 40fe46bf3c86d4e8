"""Costs from the configuration alone are those of the modules and of the papers."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from muybridge.language.counts import cost_rows, count_decoder, count_parts
from muybridge.language.decoder import Decoder
from muybridge.language.families import PUBLISHED, Size, make_family
from tests.language.families_tiny import KINDS

PARAMETERS = {
    "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200,
    "gpt3": 174_604_259_328,
    "llama1-7b": 6_738_415_616,
    "llama1-13b": 13_015_864_320,
    "llama1-33b": 32_528_943_616,
    "llama1-65b": 65_285_660_672,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3.1-405b": 405_853_388_800,
    "deepseek-v3": 671_026_404_352,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_sizes_have_their_parameters(name: str) -> None:
    assert count_decoder(PUBLISHED[name]).parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", [*PUBLISHED, *KINDS])
def test_the_count_is_that_of_the_modules(name: str) -> None:
    config = PUBLISHED.get(name) or KINDS[name]
    with torch.device("meta"):
        decoder = Decoder(config)
    further = sum(p.numel() for p in decoder.predictions.parameters())
    counts = count_decoder(config)
    assert counts.parameters == sum(p.numel() for p in decoder.parameters()) - further
    assert counts.prediction == further
    # the gates of prediction modules are theirs
    assert counts.buffers == sum(
        gate.bias.numel() for block in decoder.blocks for gate in _gates(block)
    )


def _gates(block: torch.nn.Module) -> list[torch.nn.Module]:
    return [m for m in block.modules() if type(m).__name__ == "SigmoidGate"]


def test_gpt3_by_kind_of_matrix() -> None:
    """The popular calculation: 175,181,291,520 in matrices, with a head of its own."""
    parts = {part.name: part.parameters for part in count_parts(PUBLISHED["gpt3"])}
    assert parts["embedding"] == 617_558_016
    assert {parts[f"attention.{n}"] for n in ("query", "key", "value", "output")} == {
        14_495_514_624
    }
    assert parts["feedforward.up"] == parts["feedforward.down"] == 57_982_058_496
    assert count_decoder(PUBLISHED["gpt3"]).matrices_untied == 175_181_291_520


def test_deepseek_v3() -> None:
    counts = count_decoder(PUBLISHED["deepseek-v3"])
    assert counts.active == 37_552_282_624
    assert counts.buffers == 14_848
    assert counts.cache_per_token == 61 * 576
    assert 11.5e9 < counts.prediction < 11.7e9


def test_the_cache_is_two_layers_heads_width() -> None:
    counts = count_decoder(PUBLISHED["llama2-70b"])
    assert counts.cache_per_token == 2 * 80 * 8 * 128
    assert counts.cache_bytes(4096) == 2 * 2 * 80 * 8 * 128 * 4096
    multi_head = count_decoder(PUBLISHED["llama1-65b"])
    assert multi_head.cache_per_token == 8 * counts.cache_per_token


def test_flops_are_six_a_parameter_and_attention() -> None:
    """GPT-3 on 300 G tokens: 3.14e23 FLOPs (its paper, table D.1, which leaves attention out)."""
    config = PUBLISHED["gpt3"]
    short = count_decoder(config, tokens=1).total_training_flops(300 * 10**9)
    assert short == pytest.approx(3.14e23, rel=0.01)
    full = count_decoder(config)
    dense = 6 * full.matrices_untied - 6 * config.vocabulary * config.width
    attention = 3 * 2 * 2 * 12288 * (48 * 2048 + 48 * 128)
    assert full.training_flops == dense + attention


def test_flops_are_those_that_torch_counts() -> None:
    for name in ("gpt2", "llama2", "llama3", "deepseek-v3"):
        config, tokens = KINDS[name], torch.zeros(1, 24, dtype=torch.long)
        decoder = Decoder(config)
        # the counter does not know the CPU's flash kernel, but the products of the plain one
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            decoder(tokens)
        expected = 24 * count_decoder(config, tokens=24).forward_flops
        assert counter.get_total_flops() == expected, name


def test_training_memory_of_a_7b() -> None:
    counts = count_decoder(PUBLISHED["llama2-7b"])
    assert counts.optimiser_bytes() == counts.optimiser_bytes(mixed=False) == 16 * 6_738_415_616
    full = counts.activation_bytes(4096)
    kept = counts.activation_bytes(4096, checkpoint=True)
    assert kept < full / 4


@pytest.mark.parametrize("family", ["gpt2", "llama2", "llama3", "deepseek-v3"])
def test_activations_are_what_autograd_keeps(family: str) -> None:
    """Measured: bytes of all tensors saved for the backward pass, weights left out."""
    size = Size(64, 128, 4, 4, 256, experts=8, active=2)
    config = replace(make_family(family, size), predictions=0)
    decoder, tokens, kept = Decoder(config), 64, {}
    weights = {p.untyped_storage().data_ptr() for p in decoder.parameters()}
    held = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # or another tensor could take its place in memory
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        states = decoder.states(torch.zeros(1, tokens, dtype=torch.long))
    assert states.hidden.requires_grad
    estimate = 4 * tokens * count_decoder(config).activation_width
    assert sum(kept.values()) == pytest.approx(estimate, rel=0.15)


def test_the_table_leaves_out_what_is_not_there() -> None:
    names = [row.name for row in cost_rows(PUBLISHED["gpt3"])]
    assert "prediction modules" not in names
    found = cost_rows(PUBLISHED["deepseek-v3"], 14_800 * 10**9, text_tokens=4096)
    rows = {row.name: row for row in found}
    assert rows["prediction modules"].value == 11_610_067_968
    assert rows["run"].value == pytest.approx(6 * 37e9 * 14.8e12, rel=0.3)  # and attention
