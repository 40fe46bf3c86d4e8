"""An n-gram model together with how its text was cut: train, evaluate, generate, keep.

A run is a folder: `config.json` (how the text is cut, the words) and `model.safetensors` (sorted
keys, logarithms, weights). An ARPA file may stand in for a folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from muybridge.atomic import replacing, write_text
from muybridge.errors import InputError
from muybridge.language.arpa import read_arpa
from muybridge.language.corpus import SPELLED, Span, Unit, encode, join_tokens, split_text
from muybridge.language.ngram import NgramModel, Table
from muybridge.language.ngram_counts import count_ngrams
from muybridge.language.perplexity import Perplexity, measure
from muybridge.language.smoothing import Smoothing, estimate
from muybridge.language.vocabulary import START_ID, Vocabulary, collect

__all__ = ["NgramRun", "check_folder", "is_ngram_run", "load_run", "save_run", "train_ngram"]

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class NgramRun:
    """A trained model that takes and gives plain text.

    Attributes:
        model: The model.
        unit: What a token is.
        span: What a sentence is.
    """

    model: NgramModel
    unit: Unit = "words"
    span: Span = "line"

    def evaluate(self, text: str) -> Perplexity:
        """How well the model predicts a text."""
        sentences = split_text(text, self.unit, self.span)
        return measure(self.model, encode(sentences, self.model.vocabulary, text))

    def generate(
        self, prompt: str = "", *, seed: int = 0, longest: int = 200, temperature: float = 1.0
    ) -> str:
        """The prompt and what the model adds to it, up to the end of the sentence.

        Args:
            prompt: How the text begins.
            seed: The same seed gives the same text.
            longest: Most tokens to add.
            temperature: 1 samples the model, 0 takes the likeliest token each time.
        Raises:
            InputError: If seed, length or temperature is negative.
        """
        if not 0 <= temperature < float("inf"):
            raise InputError(f"expected a temperature of 0 or more, got {temperature}; 1 is usual")
        if seed < 0 or longest < 0:
            raise InputError(
                f"expected a seed and a length of 0 or more, got {seed} and {longest}; "
                "leave them out for the usual ones"
            )
        begun = split_text(prompt, self.unit, self.span)[-1] if prompt else []
        history = [START_ID, *self.model.vocabulary.encode(begun)]
        random = np.random.default_rng(seed)
        added = self.model.sample(random, history, longest=longest, temperature=temperature)
        return join_tokens([*begun, *self.model.vocabulary.decode(added)], self.unit)


def train_ngram(
    text: str,
    order: int = 3,
    smoothing: Smoothing | None = None,
    *,
    unit: Unit = "words",
    span: Span = "line",
    min_count: int = 1,
    closed: bool = False,
) -> NgramRun:
    """Train a model on a text.

    Args:
        text: The text.
        order: Longest history plus one.
        smoothing: Modified Kneser-Ney where None.
        unit: What a token is.
        span: What a sentence is: a line, or all of the text.
        min_count: Rarer words become `<unk>`.
        closed: Give `<unk>` no probability.
    Raises:
        InputError: If the text holds no word, or the order is below 1.
    """
    sentences = split_text(text, unit, span)
    vocabulary = collect(sentences, min_count=min_count, closed=closed)
    counts = count_ngrams(encode(sentences, vocabulary, text), vocabulary, order)
    return NgramRun(estimate(counts, smoothing), unit, span)


def save_run(folder: Path, run: NgramRun) -> None:
    """Write a run; each file is whole or absent, and the config comes last.

    Raises:
        InputError: If the folder holds a neural run.
    """
    check_folder(folder, neural=False)
    arrays = {}
    for order, table in enumerate(run.model.tables, start=1):
        arrays[f"keys.{order}"] = table.keys
        arrays[f"log_probability.{order}"] = table.log_probability
        arrays[f"log_weight.{order}"] = table.log_weight
    config = {
        "family": "ngram",
        "order": run.model.order,
        "method": run.model.method,
        "unseen": run.model.unseen,
        "notes": run.model.notes,
        "unit": run.unit,
        "span": run.span,
        "closed": run.model.vocabulary.closed,
        "words": run.model.vocabulary.words,
    }
    with replacing(folder / WEIGHTS) as temporary:
        save_file(arrays, temporary)
    write_text(folder / CONFIG, json.dumps(config, ensure_ascii=False, indent=1) + "\n")


def is_ngram_run(path: Path) -> bool:
    """Whether a path is no neural run: an ARPA file, a folder of ours, or nothing at all."""
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # `load_run` says what is wrong with it
    return not isinstance(config, dict) or "type" not in config


def check_folder(folder: Path, *, neural: bool) -> None:
    """Refuse to write a run over one of the other kind.

    Args:
        folder: Where to write.
        neural: What is to be written.
    Raises:
        InputError: If there is a counted run and a neural one is to be written, or the reverse.
    """
    present = (folder / CONFIG).is_file() or (folder / "run.json").is_file()
    counted = is_ngram_run(folder) and not (folder / "run.json").is_file()
    if present and counted == neural:
        kind = "an n-gram model" if counted else "a neural model"
        raise InputError(
            f"expected a new folder or a run of the same kind in {folder}, got {kind}; name "
            "another --out"
        )


def load_run(path: Path) -> NgramRun:
    """Read a run's folder, or an ARPA file.

    Raises:
        InputError: If something is missing, damaged, or does not fit together.
    """
    if path.is_file():
        model = read_arpa(path)
        return NgramRun(model, _guess_unit(model.vocabulary))
    config = _config(path / CONFIG)
    try:
        vocabulary = Vocabulary(tuple(config["words"]), bool(config["closed"]))
        run = NgramRun(_model(path / WEIGHTS, config, vocabulary), config["unit"], config["span"])
    except (KeyError, TypeError, AssertionError) as error:
        raise InputError(
            f"{path}: expected the config of an n-gram run, found {type(error).__name__}: {error}; "
            "train again"
        ) from error
    if run.unit not in get_args(Unit) or run.span not in get_args(Span):
        raise InputError(f"{path}: expected a known unit and span, got {run.unit}; train again")
    return run


def _guess_unit(vocabulary: Vocabulary) -> Unit:
    """Characters, where all words are and a blank is spelled as ours."""
    single = all(len(word) == 1 for word in vocabulary.words[3:])
    return "characters" if single and SPELLED[" "] in vocabulary.index else "words"


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            f"expected a run's folder or an ARPA file, found no {path}; "
            "make one by: muybridge lm train --data FILE --out FOLDER"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got an error ({error}); train again") from error
    if not isinstance(config, dict) or config.get("family") != "ngram":
        raise InputError(f"{path}: expected a run of family ngram, found another; check the path")
    return config


def _model(path: Path, config: dict[str, Any], vocabulary: Vocabulary) -> NgramModel:
    try:
        arrays = load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise InputError(
            f"{path}: expected whole safetensors data, got an error ({error}); train again"
        ) from error
    tables = tuple(
        Table(*(arrays[f"{part}.{n}"] for part in ("keys", "log_probability", "log_weight")))
        for n in range(1, int(config["order"]) + 1)
    )
    below = 1
    for table in tables:
        _check(path, table, below, len(vocabulary))
        below = len(table)
    return NgramModel(
        vocabulary, tables, config["unseen"], str(config["method"]), tuple(config["notes"])
    )


def _check(path: Path, table: Table, below: int, size: int) -> None:
    """A table's keys must ascend and name rows of the order below, which has `below` rows."""
    keys = table.keys
    fits = len(keys) > 0 and bool(np.all(keys[1:] > keys[:-1]))
    fits = fits and keys[0] >= 0 and keys[-1] < below * size and (below > 1 or len(keys) == size)
    if not fits or table.log_probability.shape != keys.shape:
        raise InputError(
            f"{path}: expected tables that fit the config's {size} words, found one that does not; "
            "the two files are not of one run, train again"
        )
