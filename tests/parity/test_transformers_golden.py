"""Stored figures of transformers 5.23.0 for tiny models; needs no transformers.

`scripts/golden_transformers.py` made the file. Weights come from names and shapes, so the table of
names, the configuration and the mathematics are all checked on every machine.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from muybridge.language.decoder import Decoder
from muybridge.language.hf import config_from_hf, config_to_hf
from muybridge.language.hf_names import state_from_hf
from tests.parity.tiny_models import TINY, fill, tokens

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "transformers.json").read_text())
NAMES = [name for name in TINY if name in GOLDEN]


def _ours(name: str) -> Decoder:
    config = config_from_hf(GOLDEN[name]["config"])
    state = {key: fill(key, shape) for key, shape in GOLDEN[name]["shapes"].items()}
    return Decoder.from_state(config, state_from_hf(config, state)).eval()


def test_all_families_are_stored() -> None:
    assert len(NAMES) == 9
    assert GOLDEN["transformers"] == "5.23.0"


@pytest.mark.parametrize("name", NAMES)
def test_configurations_lead_back(name: str) -> None:
    assert config_to_hf(config_from_hf(GOLDEN[name]["config"])) == GOLDEN[name]["config"]
    assert config_from_hf(GOLDEN[name]["config"]).attention == TINY[name].attention


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_as_stored(name: str) -> None:
    decoder, batch, stored = _ours(name), tokens(), GOLDEN[name]
    logits = decoder(batch)[:, GOLDEN["positions"]].flatten()
    expected = torch.tensor(stored["logits"])
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-6)
    loss = decoder.loss(batch, batch.roll(-1, dims=1), balance_weight=0.0)
    loss.backward()
    norms = [p.grad for p in decoder.parameters() if p.grad is not None]
    assert loss.item() == pytest.approx(stored["loss"], rel=1e-6)
    total = torch.nn.utils.get_total_norm(norms).item()
    assert total == pytest.approx(stored["gradient_norm"], rel=1e-5)


def test_another_layout_epsilon_or_scale_would_be_seen() -> None:
    """The tolerance separates right from wrong: each slip moves logits by 100 times more."""
    data = GOLDEN["llama3.1"]["config"]
    expected = torch.tensor(GOLDEN["llama3.1"]["logits"])
    rope = data["rope_parameters"]
    for slip in (
        {"rope_parameters": rope | {"rope_type": "default"}},
        {"rope_parameters": rope | {"rope_theta": 1e4}},
        {"rms_norm_eps": 1e-4},
        {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    ):
        config = config_from_hf(data | slip)
        state = {key: fill(key, s) for key, s in GOLDEN["llama3.1"]["shapes"].items()}
        decoder = Decoder.from_state(config, state_from_hf(config, state))
        with torch.no_grad():
            found = decoder(tokens())[:, GOLDEN["positions"]].flatten()
        assert (found - expected).abs().max() > 2e-4, slip
