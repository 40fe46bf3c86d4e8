"""What the older models reach on tinyshakespeare's characters, beside counting on one stream."""

from dataclasses import replace
from pathlib import Path

import pytest

from muybridge.language.model_options import Family
from muybridge.language.neural_run import split_stream, train_neural
from muybridge.language.ngram_run import train_ngram
from muybridge.language.smoothing import Smoothing
from muybridge.recipes.ladder import ladder
from tests.language.texts import shared

RUNGS = {rung.family: rung for rung in ladder()}


def _reach(family: Family, text: str, folder: Path, steps: int) -> float:
    """Nats a character of the held-out tenth, after so many steps."""
    rung = RUNGS[family]
    options = replace(rung.training, steps=steps, warmup=5, average=0.9, evaluate_every=0)
    run, _ = train_neural(text, folder, family, rung.model, rung.reading, options)
    return run.evaluate(split_stream(text, rung.reading.held_out)[1]).nats_per_token


def _count(text: str, order: int) -> float:
    learn, held = split_stream(text, 0.1)
    smoothing = Smoothing("modified-kneser-ney")
    run = train_ngram(learn, order, smoothing, unit="characters", span="text")
    return run.evaluate(held).nats_per_token


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "steps", "most"),
    [("log-linear", 400, 1.76), ("nlm", 600, 1.90), ("lstm", 800, 1.95)],
)
def test_a_part_of_the_steps_goes_most_of_the_way(
    family: Family, steps: int, most: float, tmp_path: Path
) -> None:
    """All steps reach 1.580, 1.675 and 1.563, in one to three minutes."""
    text = shared("tinyshakespeare.txt").read_text(encoding="utf-8")
    assert _reach(family, text, tmp_path, steps) < most < _count(text, 3)
    assert abs(_count(text, 5) - 1.5613) < 1e-4, "what is still ahead"


@pytest.mark.parametrize(
    ("family", "steps"), [("log-linear", 60), ("nlm", 60), ("rnn", 40), ("lstm", 40), ("gru", 40)]
)
def test_a_few_steps_beat_counting_single_characters(
    family: Family, steps: int, tmp_path: Path
) -> None:
    text = shared("tinyshakespeare.txt").read_text(encoding="utf-8")[:150_000]
    nats = _reach(family, text, tmp_path, steps)
    assert nats < _count(text, 1)
