"""The ladder trains each rung once, on the same text, and says what each reached."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from muybridge.cli.lm_ladder import Ladder
from muybridge.errors import InputError
from muybridge.language.ladder import Result, climb, read_results
from muybridge.language.neural_run import load_neural_run, split_stream
from muybridge.recipes.ladder import ladder
from tests.language.texts import made_text

TEXT = made_text()
RUNGS = tuple(r for r in ladder(0.005) if r.name in ("3-gram", "log-linear", "lstm", "llama3"))


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Result]]:
    folder = tmp_path_factory.mktemp("ladder")
    return folder, climb(TEXT, folder, RUNGS)


def test_every_rung_learns_and_is_judged_on_the_held_out_end(
    climbed: tuple[Path, list[Result]],
) -> None:
    folder, results = climbed
    symbols = len(set(TEXT))
    for result in results:
        assert 0 < result.nats < math.log(symbols), result.name  # better than any guess
        assert result.bits_per_character == pytest.approx(result.nats / math.log(2), rel=2e-3)
        assert 0 < result.active <= result.parameters
    held = split_stream(TEXT, 0.1)[1]
    again = load_neural_run(folder / "lstm").evaluate(held)
    assert results[2].nats == again.nats_per_token
    assert read_results(folder) == sorted(results, key=lambda result: result.nats)


def test_a_finished_rung_is_not_trained_again(climbed: tuple[Path, list[Result]]) -> None:
    folder, results = climbed
    begun: list[str] = []
    again = climb(TEXT, folder, RUNGS, started=lambda rung: begun.append(rung.name))
    assert again == results
    assert not begun
    (folder / "lstm" / "result.json").unlink()  # as if killed before it was judged
    again = climb(TEXT, folder, RUNGS, started=lambda rung: begun.append(rung.name))
    assert begun == ["lstm"]
    assert again == results


def test_another_text_or_rung_is_refused(climbed: tuple[Path, list[Result]]) -> None:
    folder, _ = climbed
    with pytest.raises(InputError, match="another training there"):
        climb(TEXT + "x", folder, RUNGS[:1])
    with pytest.raises(InputError, match="another training there"):
        climb(TEXT, folder, [replace(RUNGS[0], order=2)])
    with pytest.raises(InputError, match="another training there"):
        climb(TEXT, folder, RUNGS[1:2], tokenizer="bytes")
    with pytest.raises(InputError, match="leave counting out"):
        climb(TEXT, folder, RUNGS, tokenizer="bytes")


def test_the_recipes_are_whole() -> None:
    rungs = ladder()
    assert len({rung.name for rung in rungs}) == len(rungs)
    assert {"ngram", "log-linear", "nlm", "lstm", "gpt2", "llama3", "deepseek-v3"} <= {
        rung.family for rung in rungs
    }
    for short, whole in zip(ladder(0.5), rungs, strict=True):
        if short.family != "ngram":
            assert short.training.steps == whole.training.steps // 2


def test_the_command_writes_table_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "text.txt"
    data.write_text(TEXT)
    out = tmp_path / "out"
    Ladder(data, out, ("3-gram", "nlm"), effort=0.002).run()
    said = capsys.readouterr().out
    assert "nats/token" in said
    rows = json.loads((out / "ladder.json").read_text())
    assert [row["name"] for row in rows] == ["3-gram", "nlm"]
    assert (out / "ladder.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="rungs among"):
        Ladder(data, out, ("lstn",)).run()
    with pytest.raises(InputError, match="effort"):
        Ladder(data, out, effort=0.0).run()
