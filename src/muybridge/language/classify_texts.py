"""Labelled texts: read them, and compare naive Bayes and the log-linear model on them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64

from muybridge.errors import InputError
from muybridge.language.classify import (
    LinearClassifier,
    Trainer,
    train_log_linear,
    train_naive_bayes,
)
from muybridge.language.classify_features import FeatureTemplates, TextFeatures, learn_features
from muybridge.language.corpus import decode_text
from muybridge.language.evaluate import Scores, confusion
from muybridge.language.evaluate_resample import (
    Interval,
    bootstrap_interval,
    cross_validate,
    fold_samples,
    learning_curve,
    paired_bootstrap,
    split_samples,
)

__all__ = [
    "METHODS",
    "ClassifyOptions",
    "Comparison",
    "LabelledTexts",
    "TextClassifier",
    "compare_classifiers",
    "read_labelled",
    "train_text_classifier",
]

Method = Literal["naive-bayes", "log-linear"]
METHODS: tuple[Method, ...] = get_args(Method)
CURVE = 30  # training samples of the first point of a learning curve


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their classes.

    Attributes:
        texts: The texts.
        classes: Class of each, its place in `names`.
        names: Names of the classes.
    """

    texts: tuple[str, ...]
    classes: Int64[np.ndarray, "n"]
    names: tuple[str, ...]


@dataclass(frozen=True)
class ClassifyOptions:
    """Settings of a comparison.

    Attributes:
        templates: Features of a text.
        alpha: Added to every count by naive Bayes.
        l2: Penalty on the weights of the log-linear model.
        held_out: Share of the texts to test on.
        folds: Also cross-validate with so many folds; 0 does not.
        curve: Also train on 30, 60, 120, ... texts.
        seed: For every random choice.
    """

    templates: FeatureTemplates = field(default_factory=FeatureTemplates)
    alpha: float = 1.0
    l2: float = 1.0
    held_out: float = 0.1
    folds: int = 0
    curve: bool = False
    seed: int = 0

    def trainer(self, method: Method) -> Trainer:
        """The method with these settings."""
        if method == "naive-bayes":
            return partial(train_naive_bayes, alpha=self.alpha)
        return partial(train_log_linear, l2=self.l2)


@dataclass(frozen=True)
class Comparison:
    """Both methods on the same split.

    Attributes:
        names: Names of the classes.
        trained_on: Number of training texts.
        scores: Figures of each method on the held-out texts.
        accuracy: Accuracy of each with its bootstrap interval.
        difference: Accuracy of the log-linear model minus that of naive Bayes.
        p_value: Of that difference.
        folds: Figures of each from cross-validation over all texts; empty where not asked for.
        sizes: Training sizes of the learning curve; empty where not asked for.
        curve: Accuracy of each at these sizes.
    """

    names: tuple[str, ...]
    trained_on: int
    scores: dict[Method, Scores]
    accuracy: dict[Method, Interval]
    difference: Interval
    p_value: float
    folds: dict[Method, Scores]
    sizes: tuple[int, ...]
    curve: dict[Method, Float64[np.ndarray, "s"]]


@dataclass(frozen=True)
class TextClassifier:
    """A classifier that takes plain text."""

    features: TextFeatures
    classifier: LinearClassifier
    names: tuple[str, ...]

    def predict(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Name and probability of the likeliest class of each text."""
        logs = self.classifier.log_probability(self.features.count(texts))
        best = logs.argmax(axis=1)
        return [(self.names[k], float(np.exp(row[k]))) for k, row in zip(best, logs, strict=True)]


def train_text_classifier(
    labelled: LabelledTexts,
    method: Method = "log-linear",
    options: ClassifyOptions | None = None,
) -> TextClassifier:
    """Train one method on all texts."""
    options = options or ClassifyOptions()
    features = learn_features(labelled.texts, options.templates)
    samples = features.count(labelled.texts)
    trained = options.trainer(method)(samples, labelled.classes, len(labelled.names))
    return TextClassifier(features, trained, labelled.names)


def compare_classifiers(
    labelled: LabelledTexts, options: ClassifyOptions | None = None
) -> Comparison:
    """Train naive Bayes and the log-linear model on one part, test them on the other."""
    options = options or ClassifyOptions()
    number, classes = len(labelled.names), labelled.classes
    train, test = split_samples(len(classes), options.held_out, options.seed)
    features = learn_features([labelled.texts[row] for row in train], options.templates)
    samples = features.count(labelled.texts)
    given = {
        m: options.trainer(m)(samples[train], classes[train], number).predict(samples[test])
        for m in METHODS
    }
    right = {m: given[m] == classes[test] for m in METHODS}
    seed = options.seed
    difference, p_value = paired_bootstrap(right["log-linear"], right["naive-bayes"], seed=seed)
    sizes = _sizes(len(train)) if options.curve else ()
    parts = (samples[train], samples[test]), (classes[train], classes[test])
    return Comparison(
        names=labelled.names,
        trained_on=len(train),
        scores={m: Scores(confusion(classes[test], given[m], number)) for m in METHODS},
        accuracy={m: bootstrap_interval(right[m], seed=seed) for m in METHODS},
        difference=difference,
        p_value=p_value,
        folds=_folds(labelled, options) if options.folds else {},
        sizes=sizes,
        curve={m: learning_curve(options.trainer(m), *parts, number, sizes) for m in METHODS},
    )


def _sizes(largest: int) -> tuple[int, ...]:
    doubled = [CURVE * 2**step for step in range(30) if CURVE * 2**step < largest]
    return (*doubled, largest)


def _folds(labelled: LabelledTexts, options: ClassifyOptions) -> dict[Method, Scores]:
    """Each text is judged by a model that never saw it; only the list of features is of all."""
    number = len(labelled.names)
    parts = fold_samples(len(labelled.texts), options.folds, options.seed)
    features = learn_features(labelled.texts, options.templates)
    samples = features.count(labelled.texts)
    return {
        m: Scores(
            confusion(
                labelled.classes,
                cross_validate(samples, labelled.classes, number, options.trainer(m), parts),
                number,
            )
        )
        for m in METHODS
    }


# -- reading -----------------------------------------------------------------------------------
def read_labelled(path: Path) -> LabelledTexts:
    """Read labelled texts.

    Args:
        path: A table of lines `label <tab> text`; or a folder or zip archive with one file for each
            class (its name is the class's, README files aside), one text a line.
    Raises:
        InputError: If there are not two classes with texts, or a file is not text.
    """
    if path.is_dir():
        files = {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.is_file()}
        labelled = _of_files(path, files)
    elif zipfile.is_zipfile(path):
        labelled = _of_files(path, _unzip(path))
    else:
        labelled = _of_lines(path)
    names = tuple(sorted({label for label, _ in labelled}))
    if len(names) < 2:
        raise InputError(
            f"{path}: expected texts of at least two classes, found {len(names)}; give lines of "
            "'label <tab> text', or a folder or zip with a file for each class"
        )
    classes = np.array([names.index(label) for label, _ in labelled], dtype=np.int64)
    return LabelledTexts(tuple(text for _, text in labelled), classes, names)


def _unzip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            return {Path(m.filename).name: archive.read(m) for m in members}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{path}: expected a whole zip archive, got an error ({error}); copy it again"
        ) from error


def _of_files(path: Path, files: dict[str, bytes]) -> list[tuple[str, str]]:
    kept = {n: d for n, d in files.items() if not n.lower().startswith(("readme", "."))}
    return [
        (name, line)
        for name, data in kept.items()
        for line in decode_text(data, path / name).split("\n")
        if line.strip()
    ]


def _of_lines(path: Path) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(decode_text(path.read_bytes(), path).split("\n"), start=1):
        label, tab, text = line.rstrip("\r").partition("\t")
        if line.strip() and not tab:
            raise InputError(
                f"{path}: expected 'label <tab> text' at line {number}, found no tab; "
                "put one after the label"
            )
        if tab:
            rows.append((label.strip(), text))
    return rows
