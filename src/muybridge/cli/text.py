"""`muybridge text`: naive Bayes beside the log-linear model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from muybridge.language.classify_texts import Comparison

__all__ = ["Text"]


@dataclass(frozen=True)
class Classify:
    """Compare naive Bayes and the log-linear model on labelled texts."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Lines of 'label <tab> text', or a folder or zip with a file for each class, a text a line."""
    words: int = 2
    """Features: runs of up to so many words."""
    characters: int = 0
    """Features: runs of up to so many characters."""
    min_count: int = 1
    """Leave out features that are rarer."""
    alpha: float = 1.0
    """Added to every count by naive Bayes."""
    l2: float = 1.0
    """Penalty on the weights of the log-linear model."""
    held_out: float = 0.1
    """Share of the texts to test on."""
    folds: int = 0
    """Also cross-validate with so many folds."""
    curve: bool = False
    """Also show accuracy by the number of training texts."""
    seed: int = 0
    """For every random choice."""

    def run(self) -> None:
        """Compare and print the figures."""
        from muybridge.language.classify_features import FeatureTemplates
        from muybridge.language.classify_texts import (
            ClassifyOptions,
            compare_classifiers,
            read_labelled,
        )

        templates = FeatureTemplates(self.words, self.characters, min_count=self.min_count)
        options = ClassifyOptions(
            templates, self.alpha, self.l2, self.held_out, self.folds, self.curve, self.seed
        )
        _show(compare_classifiers(read_labelled(self.data), options))


@dataclass(frozen=True)
class Label:
    """Train on labelled texts and label others: class, probability and text of each line."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Labelled texts, as for `classify`."""
    texts: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TEXTS")]
    """Text file; each line is a text to label."""
    method: Literal["naive-bayes", "log-linear"] = "log-linear"
    """How."""
    words: int = 2
    """Features: runs of up to so many words."""
    characters: int = 0
    """Features: runs of up to so many characters."""

    def run(self) -> None:
        """Train and print a line for each text."""
        from muybridge.language.classify_features import FeatureTemplates
        from muybridge.language.classify_texts import (
            ClassifyOptions,
            read_labelled,
            train_text_classifier,
        )
        from muybridge.language.corpus import read_text

        options = ClassifyOptions(FeatureTemplates(self.words, self.characters))
        lines = [line for line in read_text(self.texts).split("\n") if line.strip()]
        classifier = train_text_classifier(read_labelled(self.data), self.method, options)
        for line, (name, probability) in zip(lines, classifier.predict(lines), strict=True):
            print(f"{name}\t{probability:.4f}\t{line}")


@dataclass(frozen=True)
class Text:
    """Texts: compare classifiers on labelled ones, label others."""

    verb: Annotated[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Classify, tyro.conf.subcommand("classify")]
            | Annotated[Label, tyro.conf.subcommand("label")]
        ],
        tyro.conf.arg(name=""),  # its options stand with the others in --help
    ]

    def run(self) -> None:
        """Run the verb."""
        self.verb.run()


def _show(result: Comparison) -> None:
    from muybridge.cli.progress import console
    from muybridge.language.classify_texts import METHODS

    tested = next(iter(result.scores.values())).matrix.sum()
    console.print(f"trained on {result.trained_on:,} texts, tested on {tested:,}")
    head = f"{'':<14}{'accuracy':>9}{'95 % interval':>18}{'macro P':>9}{'R':>8}{'F1':>8}"
    console.print(head + (f"{'folds':>8}" if result.folds else ""))
    for method in METHODS:
        scores, sure = result.scores[method], result.accuracy[method]
        row = f"{method:<14}{sure.value:9.4f}   [{sure.low:.4f}, {sure.high:.4f}]"
        row += f"{scores.macro_precision:9.4f}{scores.macro_recall:8.4f}{scores.macro_f1:8.4f}"
        folds = f"{result.folds[method].accuracy:8.4f}" if result.folds else ""
        console.print(row + folds, markup=False)
    gap = result.difference
    console.print(
        f"log-linear minus naive Bayes: {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], "
        f"p = {result.p_value:.3f} (paired bootstrap)",
        markup=False,
    )
    _show_classes(result)
    for place, size in enumerate(result.sizes):
        points = "".join(f"{m:>14} {result.curve[m][place]:.4f}" for m in METHODS)
        console.print(f"{size:>8,} texts{points}")


def _show_classes(result: Comparison) -> None:
    from muybridge.cli.progress import console

    width = max(map(len, result.names)) + 2
    for method, scores in result.scores.items():
        console.print(f"\n{method}: rows are true classes, columns what they were called")
        columns = "".join(f"{name:>{max(width, 9)}}" for name in result.names)
        console.print(f"{'':<{width}}{columns}{'P':>9}{'R':>9}{'F1':>9}")
        figures = zip(scores.precision, scores.recall, scores.f1, strict=True)
        for name, row, three in zip(result.names, scores.matrix, figures, strict=True):
            counts = "".join(f"{count:>{max(width, 9)},}" for count in row)
            console.print(f"{name:<{width}}{counts}" + "".join(f"{x:9.4f}" for x in three))
    console.print("")
