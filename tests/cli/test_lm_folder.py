"""Folders go out and come back with the same logits; foreign and damaged ones are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from muybridge.cli.lm_folder import Export, Import
from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.decoder_folder import load_decoder, save_decoder
from muybridge.language.hf import export_hf
from tests.language.families_tiny import KINDS
from tests.parity.tiny_models import TINY, tokens


def _folder(name: str, folder: Path) -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(TINY[name]).eval()
    export_hf(decoder, folder)
    return decoder


def _refused(verb: Import | Export) -> None:
    with pytest.raises(InputError):
        verb.run()
    assert not verb.out.exists() or not list(verb.out.glob("config.json"))


@pytest.mark.parametrize("name", ["gpt2", "llama2-gqa", "deepseek-v3"])
def test_there_and_back(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoder = _folder(name, tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_bytes(b'{"type":\r\n"bytes"}')
    Import(tmp_path / "theirs", tmp_path / "new" / "ours").run()
    ours = tmp_path / "new" / "ours"
    assert (ours / "tokenizer.json").read_bytes() == b'{"type":\r\n"bytes"}'
    said = capsys.readouterr().out
    assert f"{sum(p.numel() for p in decoder.parameters()):,} parameters" in said
    Export(ours, tmp_path / "again").run()
    Import(tmp_path / "again", tmp_path / "twice").run()
    with torch.no_grad():
        expected = decoder(tokens())
        for folder in (ours, tmp_path / "twice"):
            torch.testing.assert_close(load_decoder(folder)(tokens()), expected, rtol=0, atol=2e-6)


def test_half_precision_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_hf(Decoder(TINY["llama2-gqa"]).bfloat16(), tmp_path / "theirs")
    Import(tmp_path / "theirs", tmp_path / "ours").run()
    assert load_decoder(tmp_path / "ours").embedding.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "bert"},
        {"hidden_size": 32},
        {"num_hidden_layers": 3},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0}},
        {"vocab_size": 5},
    ],
)
def test_foreign_and_contradicting_configurations_are_refused(
    change: dict[str, Any], tmp_path: Path
) -> None:
    _folder("llama2-gqa", tmp_path / "theirs")
    file = tmp_path / "theirs" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    _refused(Import(tmp_path / "theirs", tmp_path / "ours"))


@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_cut_weights_are_refused(kept: int, tmp_path: Path) -> None:
    _folder("gpt2", tmp_path / "theirs")
    file = tmp_path / "theirs" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    _refused(Import(tmp_path / "theirs", tmp_path / "ours"))


def test_nothing_there_and_the_same_folder_are_refused(tmp_path: Path) -> None:
    _refused(Import(tmp_path / "none", tmp_path / "ours"))
    _refused(Export(tmp_path / "none", tmp_path / "theirs"))
    _folder("gpt2", tmp_path / "both")
    with pytest.raises(InputError):
        Import(tmp_path / "both", tmp_path / "new" / ".." / "both").run()


def test_what_hugging_face_does_not_have_is_refused(tmp_path: Path) -> None:
    save_decoder(Decoder(KINDS["transformer"]), tmp_path / "ours")
    _refused(Export(tmp_path / "ours", tmp_path / "theirs"))


def test_a_tokenizer_that_is_none_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _folder("gpt2", tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_bytes(b"\xff\xfe")
    Import(tmp_path / "theirs", out=tmp_path / "ours").run()
    assert "left out" in capsys.readouterr().out
    assert not (tmp_path / "ours" / "tokenizer.json").exists()


def test_a_training_is_not_overwritten(tmp_path: Path) -> None:
    _folder("gpt2", tmp_path / "theirs")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    for verb in (Import, Export):
        with pytest.raises(InputError, match="training of its own"):
            verb(tmp_path / "theirs", out=tmp_path / "run").run()
