"""`muybridge lm` and `muybridge text` as a user types them."""

from pathlib import Path

import pytest

from muybridge.cli.lm_train import Smooth
from muybridge.cli.main import main
from muybridge.language.smoothing import Method
from tests.language.texts import made_text


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(made_text())
    return path


def _say(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    main([str(word) for word in words])
    return capsys.readouterr().out


def test_train_eval_generate(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = corpus.parent / "runs" / "a"
    said = _say(capsys, "lm", "train", "--data", corpus, "--out", run, "--order", 2)
    assert "modified-kneser-ney, order 2: 43 /" in said
    said = _say(capsys, "lm", "eval", run, "--data", corpus)
    assert "perplexity" in said
    assert "bits per character" in said
    words = ("lm", "generate", run, "--prompt", "w1 w2", "--count", 3, "--seed", 5)
    first = _say(capsys, *words)
    assert first.count("\n") == 3
    assert all(line.startswith("w1 w2") for line in first.splitlines())
    assert _say(capsys, *words) == first


def test_an_arpa_file_stands_for_a_run(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arpa, run = corpus.parent / "a.arpa.gz", corpus.parent / "a"
    for out in (arpa, run):
        _say(capsys, "lm", "train", "--data", corpus, "--out", out, "--method", "katz")
    figures = [_say(capsys, "lm", "eval", out, "--data", corpus) for out in (arpa, run)]
    assert figures[0] == figures[1]


def test_a_small_text_says_that_the_discounts_are_not_estimated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be\n")
    said = _say(capsys, "lm", "train", "--data", tmp_path / "a.txt", "--out", tmp_path / "run")
    assert "order 1: no 1-gram has a count of 3, so the discount is 0.5, 1, 1.5" in said


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["lm", "train", "--data", "{}/absent", "--out", "{}/run"], "No such file"),
        (["lm", "train", "--data", "{}/empty", "--out", "{}/run"], "empty"),
        (["lm", "train", "--data", "{}/binary", "--out", "{}/run"], "binary"),
        (["lm", "train", "--data", "{}/corpus.txt", "--out", "{}/run", "--order", "0"], "order"),
        (["lm", "train", "--data", "{}/corpus.txt", "--out", "{}/run", "--k", "0"], "k above 0"),
        (
            ["lm", "train", "--data", "{}/corpus.txt", "--out", "{}/a.arpa", "--method", "add-k"],
            "ARPA cannot",
        ),
        (["lm", "eval", "{}/absent", "--data", "{}/corpus.txt"], "lm train"),
        (["lm", "eval", "{}/corpus.txt", "--data", "{}/corpus.txt"], "line"),
        (["text", "classify", "{}/corpus.txt"], "line 1"),
        (["text", "classify", "{}/labelled", "--folds", "1"], "folds"),
        (["text", "classify", "{}/labelled", "--held-out", "1"], "both sides"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], names: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corpus.parent
    (folder / "empty").write_text("")
    (folder / "binary").write_bytes(b"\x00\x01")
    (folder / "labelled").write_text("a\tfine day\nb\tdull day\n" * 9)
    before = sorted(folder.iterdir())
    with pytest.raises(SystemExit) as stop:
        main([word.format(folder) for word in words])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("muybridge: ")
    assert said.count("\n") == 1
    assert names in said
    assert sorted(folder.iterdir()) == before, "nothing is written"


def test_the_command_knows_every_method() -> None:
    assert Smooth == Method


def test_classify_and_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"good\tfine {n} lovely\nbad\tdull {n} poor\n" for n in "abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "films.tsv").write_text("".join(rows))
    (tmp_path / "new.txt").write_text("a lovely film\na poor one\n")
    said = _say(capsys, "text", "classify", tmp_path / "films.tsv", "--folds", 4, "--curve")
    for part in ("naive-bayes", "log-linear", "paired bootstrap", "macro", "folds", "30 texts"):
        assert part in said
    said = _say(capsys, "text", "label", tmp_path / "films.tsv", tmp_path / "new.txt")
    assert [line.split("\t")[0] for line in said.splitlines()] == ["good", "bad"]
