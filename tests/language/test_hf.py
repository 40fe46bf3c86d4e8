"""Hugging Face folders without transformers: round trips, shards, old keys, and bad input."""

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder, DecoderConfig
from muybridge.language.decoder_folder import read_tensors, write_tensors
from muybridge.language.families import PUBLISHED
from muybridge.language.hf import config_from_hf, config_to_hf, export_hf, hf_kind, import_hf
from muybridge.language.hf_names import links, relayout, state_to_hf
from muybridge.nn.rope import Rope
from tests.language.families_tiny import KINDS
from tests.parity.tiny_models import TINY, tokens


def _exported(name: str, folder: Path) -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(TINY[name]).eval()
    export_hf(decoder, folder)
    return decoder


def _change(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", TINY)
def test_a_folder_brings_back_the_same_decoder(name: str, tmp_path: Path) -> None:
    decoder, again = _exported(name, tmp_path), import_hf(tmp_path)
    assert again.config.attention == decoder.config.attention
    assert again.config.predictions == decoder.config.predictions
    for key, tensor in decoder.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.mark.parametrize("name", ["gpt2", "llama2-70b", "llama3.1-405b", "deepseek-v3"])
def test_published_configurations_lead_back(name: str) -> None:
    config = PUBLISHED[name]
    assert config_from_hf(config_to_hf(config)) == replace(
        config, scale_residual=name == "gpt2", deviation=config.deviation
    )


@pytest.mark.parametrize("name", TINY)
def test_every_tensor_is_linked_once(name: str) -> None:
    ours = [key for link in links(TINY[name]) for key in link.ours]
    theirs = [key for link in links(TINY[name]) for key in link.theirs]
    assert sorted(ours) == sorted(Decoder(TINY[name]).state_dict())
    assert len(set(theirs)) == len(theirs)


@pytest.mark.parametrize("name", ["llama2-gqa", "deepseek-v3", "deepseek-v2-queries"])
def test_the_other_layout_is_the_same_model(name: str) -> None:
    config, state = TINY[name], Decoder(TINY[name]).double().state_dict()
    assert config.rope is not None
    other = "half" if config.rope.layout == "interleaved" else "interleaved"
    moved, moved_state = relayout(config, state, other)
    back, back_state = relayout(moved, moved_state, config.rope.layout)
    assert back == config
    assert all(torch.equal(back_state[key], state[key]) for key in state)
    with torch.no_grad():
        expected = Decoder.from_state(config, state)(tokens())
        found = Decoder.from_state(moved, moved_state)(tokens())
        wrong = Decoder.from_state(moved, state)(tokens())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    assert (wrong - expected).abs().max() > 1e-6


def test_shards_are_read(tmp_path: Path) -> None:
    decoder = _exported("llama1", tmp_path)
    whole = read_tensors(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(whole)
    places = {key: f"model-{i % 2 + 1:05}-of-00002.safetensors" for i, key in enumerate(names)}
    for place in set(places.values()):
        write_tensors(tmp_path / place, {k: whole[k] for k in names if places[k] == place})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    with torch.no_grad():
        assert torch.equal(import_hf(tmp_path)(tokens()), decoder(tokens()))
    index.write_text(json.dumps({"weight_map": {names[0]: "../secret.safetensors"}}))
    with pytest.raises(InputError, match="shards beside"):
        import_hf(tmp_path)


def test_the_keys_of_transformers_4_are_read() -> None:
    new = config_to_hf(PUBLISHED["llama3.1-8b"])
    scaling = new.pop("rope_parameters")
    theta = scaling.pop("rope_theta")
    old = new | {"rope_theta": theta, "rope_scaling": scaling}
    assert config_from_hf(old) == PUBLISHED["llama3.1-8b"]
    del old["rope_scaling"], old["rope_theta"]
    assert config_from_hf(old).rope == Rope()


def test_openais_own_gpt2_file_has_no_prefix(tmp_path: Path) -> None:
    decoder = _exported("gpt2", tmp_path)
    bare = {
        key.removeprefix("transformer."): tensor
        for key, tensor in state_to_hf(decoder.config, decoder.state_dict()).items()
    }
    bare["h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()  # the mask that old files carry
    write_tensors(tmp_path / "model.safetensors", bare)
    with torch.no_grad():
        assert torch.equal(import_hf(tmp_path)(tokens()), decoder(tokens()))


@pytest.mark.parametrize("name", ["gpt3", "transformer", "softmax", "expert_choice"])
def test_what_no_peer_computes_is_not_exported(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Hugging Face model"):
        hf_kind(KINDS[name])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("llama1", {"model_type": "mamba"}, "not supported"),
        ("llama1", {"hidden_act": "gelu"}, "not supported"),
        ("llama1", {"hidden_size": "16"}, "to be a usable int"),
        ("llama1", {"hidden_size": None}, "expected 'hidden_size'"),
        ("llama1", {"num_hidden_layers": 3}, "expected a tensor model.layers.2"),
        ("llama1", {"num_hidden_layers": 1}, "only tensors that the model has"),
        ("llama1", {"intermediate_size": 25}, "not of one model"),
        ("llama2-gqa", {"num_key_value_heads": 3}, "whole groups"),
        ("llama3.1", {"rope_parameters": {"rope_type": "longrope"}}, "not supported"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "not supported"),
        ("deepseek-v3", {"topk_method": "greedy"}, "not supported"),
        ("deepseek-v3", {"n_group": 3}, "equal groups"),
        ("deepseek-v3", {"num_experts_per_tok": 7}, "1 to 4 active"),
    ],
)
def test_a_configuration_that_contradicts_is_refused(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    _exported(name, tmp_path)
    _change(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        import_hf(tmp_path)


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file"):
        import_hf(tmp_path)
    _exported("gpt2", tmp_path)
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (b"", content[:50], content[:-3], b"\xff" * 200):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match="safetensors"):
            import_hf(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match="got no file"):
        import_hf(tmp_path)
    for damaged in (b"", b"[1]", b"{", b"\xff\xfe"):
        (tmp_path / "config.json").write_bytes(damaged)
        with pytest.raises(InputError, match="JSON"):
            import_hf(tmp_path)


VALUES = st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(max_size=4)
VALUES = VALUES | st.dictionaries(st.sampled_from(["rope_type", "factor", "rope_theta"]), VALUES)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(["gpt2", "llama3.1", "deepseek-v3-yarn"]), data=st.data())
def test_any_change_of_a_configuration_is_read_or_refused(name: str, data: st.DataObject) -> None:
    plain = config_to_hf(TINY[name])
    for _ in range(data.draw(st.integers(1, 3))):
        plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(VALUES)
    with contextlib.suppress(InputError):  # and nothing else may be raised
        assert isinstance(config_from_hf(plain), DecoderConfig)


def test_language_comes_without_cameras_or_motion() -> None:
    code = "import sys, muybridge.language.hf, muybridge.language.generate; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    unwanted = {"cv2", "av", "viser", "muybridge.motion", "muybridge.capture", "scipy"}
    assert not unwanted & set(loaded)
