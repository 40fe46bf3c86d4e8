"""Neural models from the command line: every family, broken off and gone on with, and bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from muybridge.cli.main import main
from muybridge.language import memory
from muybridge.language.model_options import Family
from muybridge.language.neural_run import load_neural_run
from tests.language.texts import made_text

SMALL = ["--width", "16", "--layers", "2", "--heads", "2", "--context", "16", "--batch", "4"]
SHORT = ["--steps", "6", "--warmup", "1", "--evaluate-every", "3", "--save-every", "2"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    path.write_text(made_text())
    return path


def train(corpus: Path, out: Path, family: str, *more: str) -> list[str]:
    words = ["lm", "train", "--family", family, "--data", str(corpus), "--out", str(out)]
    return [*words, *SMALL, *SHORT, *more]


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "llama"
    main(train(corpus, out, "llama3"))
    return out


@pytest.mark.parametrize("family", get_args(Family))
def test_every_family_trains_is_measured_and_writes(
    family: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    main(train(corpus, out, family))
    main(["lm", "eval", str(out), "--data", str(corpus)])
    said = capsys.readouterr().out
    assert f"{family}: " in said
    assert "bits per character" in said
    words = ["lm", "generate", str(out), "--prompt", "w1 ", "--longest", "30", "--seed", "3"]
    texts = []
    for _ in range(2):
        main(words)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].startswith("w1 ")
    assert len(texts[0]) == len("w1 ") + 30 + 1
    files = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert files == {
        "config.json", "last.safetensors", "log.jsonl", "model.safetensors", "run.json",
        "tokenizer.json",
    }  # fmt: skip


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "bpe"])
def test_tokenizers_by_name_and_from_a_file(tokenizer: str, corpus: Path, tmp_path: Path) -> None:
    main(train(corpus, tmp_path / "a", "gpt2", "--tokenizer", tokenizer, "--vocabulary", "300"))
    kept = str(tmp_path / "a" / "tokenizer.json")
    main(train(corpus, tmp_path / "b", "gpt2", "--tokenizer", kept))
    a, b = load_neural_run(tmp_path / "a"), load_neural_run(tmp_path / "b")
    assert a.tokenizer.encode("w1 w2\n") == b.tokenizer.encode("w1 w2\n")
    assert a.evaluate("w1 w2 w3\n" * 9) == b.evaluate("w1 w2 w3\n" * 9)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is Unix's")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_training_goes_on_to_the_same_weights(
    end: signal.Signals, corpus: Path, tmp_path: Path
) -> None:
    steps = ("--steps", "60", "--save-every", "5")
    words = train(corpus, tmp_path / "killed", "gru", *steps)
    command = [sys.executable, "-m", "muybridge", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ.copy()
    )
    while not (tmp_path / "killed" / "last.safetensors").is_file() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(end)
    said = process.communicate()[1].decode()
    if end == signal.SIGINT and process.returncode:
        assert process.returncode == 2
        assert "run the same command again" in said
    main(words)
    main(train(corpus, tmp_path / "whole", "gru", *steps))
    for name in ("model.safetensors", "last.safetensors"):
        whole = load_file(tmp_path / "whole" / name)
        gone_on = load_file(tmp_path / "killed" / name)
        assert all(torch.equal(whole[key], gone_on[key]) for key in whole), name
    lines = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 61))


def refused(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence that a command ends with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    said = capsys.readouterr().err
    assert stop.value.code == 2, said
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (("--context", "999999"), "text of more than 999999 tokens"),
        (("--width", "15", "--heads", "2"), "multiple of the heads"),
        (("--width", "0", "--heads", "0"), "width from 1"),
        (("--layers", "2000000000"), "layers from 1"),
        (("--held-out", "nan"), "held-out share"),
        (("--tokenizer", "absent.json"), "tokenizer's file"),
        (("--held-out", "1.5"), "held-out share"),
        (("--rate", "-1"), "rate"),
        (("--muon-rate", "-1"), "muon_rate"),
        (("--order", "4"), "n-gram models"),
        (("--family", "ngram"), "neural models"),
        (("--family", "gru", "--checkpoint", "sqrt"), "decoder"),
        (("--steps", "0"), "steps"),
        (("--batch", "0"), "batch"),
        (("--rate", "900", "--clip", "0", "--optimiser", "adamw", "--steps", "60"), "finite"),
    ],
)
def test_options_that_cannot_be_used(
    more: tuple[str, ...],
    names: str,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert names in refused(train(corpus, tmp_path / "run", "llama3", *more), capsys)


def test_a_text_shorter_than_the_context(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short.txt").write_text("hello\n")
    said = refused(train(tmp_path / "short.txt", tmp_path / "run", "gpt2"), capsys)
    assert "expected a text of more than 16 tokens" in said


def test_too_little_memory_is_said_before_it_begins(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 2_000_000)
    said = refused(train(corpus, tmp_path / "run", "llama3", "--batch", "512"), capsys)
    largest = int(said.split("take --batch ")[1].split(",")[0])
    assert 0 < largest < 512
    main(train(corpus, tmp_path / "run", "llama3", "--batch", str(largest)))
    more = str(largest + 1)
    refused(train(corpus, tmp_path / "other", "llama3", "--batch", more), capsys)


def test_another_model_in_the_folder_is_left_alone(
    corpus: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    for words in (train(corpus, run, "gpt2"), train(corpus, run, "llama3", "--rate", "0.5")):
        assert "new folder" in refused(words, capsys)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_counting_and_learning_do_not_overwrite_each_other(
    corpus: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    count = ["lm", "train", "--data", str(corpus), "--out"]
    assert "another --out" in refused([*count, str(run)], capsys)
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    main([*count, str(tmp_path / "ngram")])
    assert "another --out" in refused(train(corpus, tmp_path / "ngram", "llama3"), capsys)


def test_lost_weights_are_written_again(corpus: Path, tmp_path: Path) -> None:
    main(train(corpus, tmp_path, "gru", "--evaluate-every", "0"))
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    main(train(corpus, tmp_path, "gru", "--evaluate-every", "0"))
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_a_prompt_longer_than_the_context(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(["lm", "generate", str(run), "--prompt", "w" * 17], capsys)
    assert "at most 16 tokens" in said


def test_eight_bits_write_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lm", "generate", str(run), "--prompt", "w1 ", "--longest", "9", "--temperature", "0"]
    main([*words, "--int8"])
    assert len(capsys.readouterr().out) == len("w1 ") + 9 + 1


def test_eight_bits_are_for_decoders(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(train(corpus, tmp_path / "gru", "gru"))
    assert "--int8" in refused(["lm", "generate", str(tmp_path / "gru"), "--int8"], capsys)
    main(["lm", "train", "--data", str(corpus), "--out", str(tmp_path / "ngram")])
    assert "--int8" in refused(["lm", "generate", str(tmp_path / "ngram"), "--int8"], capsys)


def test_unknown_characters_are_charged_apart(run: Path) -> None:
    kept = load_neural_run(run)
    one, other = kept.evaluate("w1 w2 w3 w4\n"), kept.evaluate("w1 w2 w3 w4é")
    assert (one.unknown, other.unknown) == (0, 1)
    assert one.bits_known == one.bits
    assert other.bits_known < other.bits
    assert other.bits_known + one.bits - one.bits_known <= one.bits


def test_a_folder_that_went_out_and_came_back_writes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["lm", "export", str(run), "--out", str(tmp_path / "hf")])
    main(["lm", "import", str(tmp_path / "hf"), "--out", str(tmp_path / "back")])
    texts = []
    for folder in (run, tmp_path / "back"):
        capsys.readouterr()
        main(["lm", "generate", str(folder), "--prompt", "w1", "--longest", "20"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def _damage(name: str, folder: Path) -> None:
    """One way to spoil a run."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    if name == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif name == "foreign weights":
        save_file({"x": torch.zeros(3)}, weights)
    elif name == "weights that are no numbers":
        tensors = load_file(weights)
        save_file({key: tensor * float("nan") for key, tensor in tensors.items()}, weights)
    elif name == "smaller tokenizer":
        (folder / "tokenizer.json").write_text('{"type": "characters", "characters": "w1"}')
    elif name == "no weights":
        weights.unlink()
    elif name == "config of another width":
        data = json.loads(config.read_text())
        config.write_text(json.dumps(data | {"width": 24}))
    elif name == "config is no JSON":
        config.write_text("{")
    elif name == "config of nothing known":
        config.write_text('{"type": "Toaster"}')
    elif name == "tokenizer of another size":
        data = {"type": "characters", "characters": "".join(map(chr, range(200, 400)))}
        (folder / "tokenizer.json").write_text(json.dumps(data))
    elif name == "tokenizer is no JSON":
        (folder / "tokenizer.json").write_bytes(b"\xff\x00{")
    else:
        (folder / "tokenizer.json").write_text('{"type": "characters", "characters": [1, 2]}')


@pytest.mark.parametrize(
    "name",
    [
        "weights that are no numbers", "smaller tokenizer",
        "truncated weights", "foreign weights", "no weights", "config of another width",
        "config is no JSON", "config of nothing known", "tokenizer of another size",
        "tokenizer is no JSON", "tokenizer of numbers",
    ],
)  # fmt: skip
def test_a_damaged_run_is_named(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _damage(name, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for words in (
        ["lm", "generate", str(tmp_path)],
        ["lm", "export", str(tmp_path), "--out", str(tmp_path / "hf")],
    ):
        if words[1] == "export" and "tokenizer" in name:
            continue
        assert "expected" in refused(words, capsys)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
