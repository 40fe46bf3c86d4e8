"""Logits, gradients, folders and decoding equal Hugging Face transformers (5.23.0) in float32.

Tolerance 2e-6: transformers itself differs by up to 3.6e-7 between its own attention kernels, cache
and number of threads; a wrong layout, epsilon or scale is off by more than 1e-3.
Without transformers these are skipped, and `test_transformers_golden` checks stored figures.
"""

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from muybridge.language.decoder import Decoder
from muybridge.language.generate import (
    BeamOptions,
    SamplingOptions,
    beam_search,
    filter_logits,
    generate,
)
from muybridge.language.hf import config_from_hf, config_to_hf, export_hf, import_hf
from muybridge.language.hf_names import relayout, state_from_hf, state_to_hf
from muybridge.nn.rope import inverse_frequencies
from tests.parity.tiny_models import TINY, VOCABULARY, fill, tokens

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

LOGITS = {"rtol": 0, "atol": 2e-6}
pytestmark = pytest.mark.filterwarnings("ignore")


def _peer(name: str, *, sdpa: bool = False) -> nn.Module:
    """The transformers model of a tiny family, with weights from `fill`."""
    data = config_to_hf(TINY[name])
    config = transformers.AutoConfig.for_model(**data)
    peer = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="sdpa" if sdpa else "eager"
    )
    state = peer.state_dict()
    with torch.no_grad():
        for key, tensor in state.items():
            if key != "lm_head.weight" or not config.tie_word_embeddings:
                tensor.copy_(fill(key, tensor.shape))
    return peer.eval()


def _ours(name: str, peer: nn.Module) -> Decoder:
    config = TINY[name]
    if config.predictions:
        config = config_from_hf(config_to_hf(config) | {"num_nextn_predict_layers": 0})
    state = {k: t.clone() for k, t in peer.state_dict().items()}
    return Decoder.from_state(config, state_from_hf(config, state)).eval()


@pytest.mark.parametrize("name", TINY)
def test_logits_are_equal(name: str) -> None:
    peer = _peer(name)
    with torch.no_grad():
        theirs = peer(tokens()).logits
        ours = _ours(name, peer)(tokens())
    assert theirs.abs().max() > 0.1, "weights too small to tell models apart"
    torch.testing.assert_close(ours, theirs, **LOGITS)


@pytest.mark.parametrize("name", TINY)
def test_gradients_are_equal(name: str) -> None:
    peer = _peer(name)
    ours = _ours(name, peer)
    batch = tokens()
    targets = batch.roll(-1, dims=1)
    peer_loss = nn.functional.cross_entropy(peer(batch).logits.flatten(0, 1), targets.flatten())
    peer_loss.backward()
    loss = ours.loss(batch, targets, balance_weight=0.0)
    loss.backward()
    torch.testing.assert_close(loss, peer_loss, rtol=1e-6, atol=0)
    theirs = {k: p.grad for k, p in peer.named_parameters()}
    theirs |= {  # the routing bias is no parameter of ours or theirs
        k: torch.zeros_like(b) for k, b in peer.named_buffers() if k.endswith("correction_bias")
    }
    mapped = state_from_hf(ours.config, {k: g for k, g in theirs.items() if g is not None})
    for key, parameter in ours.named_parameters():
        assert parameter.grad is not None, key
        # a bias on all keys changes no softmax: its gradient is rounding noise, hence the 1e-8
        error, size = (parameter.grad - mapped[key]).norm(), mapped[key].norm()
        assert error < 1e-5 * size + 1e-8, f"{key}: {error:.1e} of {size:.1e}"


@pytest.mark.parametrize("name", TINY)
def test_folders_go_both_ways(name: str, tmp_path: Path) -> None:
    peer = _peer(name)
    peer.save_pretrained(tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    config["num_nextn_predict_layers"] = 0  # transformers' own files leave the modules out
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config))
    ours = import_hf(tmp_path / "theirs").eval()
    export_hf(ours, tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", dtype=torch.float32
    )
    with torch.no_grad():
        expected = peer(tokens()).logits
        torch.testing.assert_close(ours(tokens()), expected, **LOGITS)
        torch.testing.assert_close(again.eval()(tokens()).logits, expected, rtol=0, atol=0)


def test_the_interleaved_layout_is_exported_in_the_half_layout(tmp_path: Path) -> None:
    config, state = TINY["llama2-gqa"], Decoder(TINY["llama2-gqa"]).state_dict()
    meta = Decoder.from_state(*relayout(config, state, "interleaved")).eval()
    export_hf(meta, tmp_path)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(peer.eval()(tokens()).logits, meta(tokens()), **LOGITS)


@pytest.mark.parametrize("name", ["llama3.1", "deepseek-v3-yarn", "llama1"])
def test_inverse_frequencies_are_equal(name: str) -> None:
    config = TINY[name]
    assert config.rope is not None
    theirs = _peer(name).model.rotary_emb.inv_freq
    ours = inverse_frequencies(config.rotary_width, config.rope)
    torch.testing.assert_close(ours, theirs, rtol=2e-7, atol=0)


def test_the_published_llama_31_frequencies_are_equal() -> None:
    from muybridge.language.families import PUBLISHED

    for name in ("llama3.1-405b", "deepseek-v3"):
        config = PUBLISHED[name]
        assert config.rope is not None
        theirs = transformers.AutoConfig.for_model(**config_to_hf(config))
        kind = theirs.rope_parameters["rope_type"]
        compute = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind]
        expected, _ = compute(theirs, "cpu")
        found = inverse_frequencies(config.rotary_width, config.rope)
        torch.testing.assert_close(found, expected, rtol=2e-7, atol=0)


def test_the_prediction_modules_are_equal() -> None:
    """transformers keeps them in a model of its own, which shares embedding and head."""
    from transformers.modeling_layers import MtpModel

    name = "deepseek-v3-mtp"
    config, peer = TINY[name], _peer(name)
    mtp = MtpModel(peer, config.predictions).eval()
    state = {k: t.clone() for k, t in peer.state_dict().items()}
    for i, layer in enumerate(mtp.layers):
        for key, tensor in layer.state_dict().items():
            key = key.removeprefix("mtp_block.").replace("post_norm", "shared_head.norm")
            key = f"model.layers.{config.layers + i}.{key}"
            tensor.copy_(fill(key, tensor.shape))
            state[key] = tensor.clone()
    ours = Decoder.from_state(config, state_from_hf(config, state)).eval()
    with torch.no_grad():
        hidden = peer.model(tokens()).last_hidden_state
        found = ours.predict_further(tokens(), ours.states(tokens()).hidden)
        for depth, (further, _) in enumerate(found, start=1):
            later = tokens()[:, depth:]
            positions = torch.arange(later.shape[1])[None]
            hidden = mtp.forward_layer(
                depth - 1, hidden[:, : later.shape[1]], positions, None, input_ids=later
            )
            torch.testing.assert_close(
                ours.logits(further), peer.lm_head(hidden), rtol=0, atol=4e-6
            )


def test_names_lead_back() -> None:
    for name, config in TINY.items():
        state = Decoder(config).state_dict()
        back = state_from_hf(config, state_to_hf(config, state))
        assert back.keys() == state.keys(), name
        assert all(torch.equal(back[key], state[key]) for key in state), name


def test_there_are_enough_tokens_to_choose_from() -> None:
    assert tokens().unique().numel() > VOCABULARY // 2


# -- decoding -----------------------------------------------------------------------------------
PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5]]


def _generated(peer: nn.Module, **options: object) -> list[list[int]]:
    longest = max(map(len, PROMPTS))
    rows = torch.tensor([[0] * (longest - len(p)) + p for p in PROMPTS])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in PROMPTS])
    with torch.no_grad():
        found = peer.generate(
            rows, attention_mask=mask, max_new_tokens=12, pad_token_id=0, do_sample=False, **options
        )
    return found[:, longest:].tolist()


def _trimmed(rows: list[list[int]], stop: int | None) -> list[list[int]]:
    return [row[: row.index(stop) + 1] if stop in row else row for row in rows]


@pytest.mark.parametrize("stop", [None, 11])
@pytest.mark.parametrize("name", ["gpt2", "llama2-gqa", "llama3.1", "deepseek-v3-yarn"])
def test_greedy_decoding_is_equal(name: str, stop: int | None) -> None:
    peer = _peer(name)
    options = SamplingOptions(temperature=0.0, repetition_penalty=1.3)
    ours = generate(_ours(name, peer), PROMPTS, 12, options, stop=stop)
    theirs = _generated(peer, eos_token_id=stop, repetition_penalty=1.3)
    assert ours == _trimmed(theirs, stop)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("stop", [None, 11, 5, 20])
@pytest.mark.parametrize("name", ["gpt2", "llama2-gqa", "deepseek-v3"])
def test_beam_search_is_equal(name: str, stop: int | None, penalty: float) -> None:
    peer = _peer(name)
    ours = beam_search(_ours(name, peer), PROMPTS, 12, BeamOptions(4, penalty), stop=stop)
    theirs = _generated(peer, eos_token_id=stop, num_beams=4, length_penalty=penalty)
    assert ours == _trimmed(theirs, stop)


def test_filters_are_equal() -> None:
    process = transformers.generation.logits_process
    torch.manual_seed(0)
    logits, seen = torch.randn(50, VOCABULARY) * 3, torch.randint(0, VOCABULARY, (50, 6))
    cases = (
        (SamplingOptions(repetition_penalty=1.7), process.RepetitionPenaltyLogitsProcessor(1.7)),
        (SamplingOptions(temperature=0.7), process.TemperatureLogitsWarper(0.7)),
        (SamplingOptions(top_k=5), process.TopKLogitsWarper(5)),
        (SamplingOptions(top_p=0.8), process.TopPLogitsWarper(0.8)),
        (SamplingOptions(min_p=0.1), process.MinPLogitsWarper(0.1)),
    )
    for options, theirs in cases:
        torch.testing.assert_close(filter_logits(logits, options, seen), theirs(seen, logits))


def test_the_band_is_gpt_neos() -> None:
    """transformers has no GPT-3; its GPT-Neo alternates dense and banded layers in the same way.

    GPT-Neo does not divide scores by sqrt(K), so the queries' weights are made smaller by that;
    its queries, keys and values have no bias.
    """
    config = replace(TINY["gpt2"], window=4)
    peer = transformers.GPTNeoForCausalLM(
        transformers.GPTNeoConfig(
            vocab_size=VOCABULARY, hidden_size=16, num_layers=2, num_heads=2, window_size=4,
            attention_types=[[["global", "local"], 1]], max_position_embeddings=64,
        )
    )  # fmt: skip
    decoder = Decoder(config)
    theirs = peer.state_dict()
    for key, tensor in decoder.state_dict().items():
        tensor.copy_(fill(key, tensor.shape))
        if "attention." in key and key.endswith("bias") and "output" not in key:
            tensor.zero_()
        if key.startswith("blocks."):
            name = f"transformer.h.{key.removeprefix('blocks.')}"
            for mine, other in _NEO.items():
                name = name.replace(mine, other)
            scale = 8**-0.5 if "query" in key else 1.0
            if name in theirs:
                theirs[name].copy_(tensor * scale)
    theirs["transformer.wte.weight"].copy_(decoder.embedding.weight)
    theirs["transformer.wpe.weight"].copy_(decoder.position.weight)
    theirs["transformer.ln_f.weight"].copy_(decoder.norm.weight)
    theirs["transformer.ln_f.bias"].copy_(decoder.norm.bias)
    with torch.no_grad():
        expected = peer.eval()(tokens()).logits
        torch.testing.assert_close(decoder(tokens()), expected, **LOGITS)
        dense = Decoder.from_state(TINY["gpt2"], decoder.state_dict())
        assert (dense(tokens()) - expected).abs().max() > 1e-3


_NEO = {
    "attention_norm": "ln_1",
    "feedforward_norm": "ln_2",
    "attention.query": "attn.attention.q_proj",
    "attention.key": "attn.attention.k_proj",
    "attention.value": "attn.attention.v_proj",
    "attention.output": "attn.attention.out_proj",
    "feedforward.up": "mlp.c_fc",
    "feedforward.down": "mlp.c_proj",
}
