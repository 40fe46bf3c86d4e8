"""The ladder as a picture: what each rung reaches, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from muybridge.atomic import replacing
from muybridge.language.ladder import Result

__all__ = ["plot_ladder"]

COLOURS = {"ngram": "#b08d57", "log-linear": "#7a9e7e", "decoder": "#35618f", "older": "#8c7aa9"}
OLDER = ("nlm", "rnn", "lstm", "gru")


def plot_ladder(path: Path, results: Sequence[Result]) -> None:
    """Draw a bar a rung, in the order given, and write it as PNG.

    Args:
        path: File to write.
        results: From `ladder.climb`.
    """
    figure = Figure(figsize=(8.0, 0.9 + 0.34 * len(results)), layout="constrained")
    axes = figure.subplots()
    names = [result.name for result in results]
    nats = [result.nats for result in results]
    axes.barh(names, nats, color=[_colour(result.family) for result in results], height=0.7)
    for place, result in enumerate(results):
        note = f" {result.nats:.3f}   {_size(result.parameters)}, {result.cpu_seconds:,.0f} s"
        axes.text(result.nats, place, note, va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(nats))
    axes.set_xlabel("nats a token on the held-out end (parameters, processor seconds)")
    axes.axvline(min(nats), color="0.6", linewidth=0.8, linestyle=":")
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)


def _colour(family: str) -> str:
    return COLOURS.get(family, COLOURS["older" if family in OLDER else "decoder"])


def _size(count: int) -> str:
    """968,064 as 968k."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return str(count)
