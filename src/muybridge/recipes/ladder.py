"""The rungs of `muybridge lm ladder`: from counting to DeepSeek-V3, each within five CPU minutes.

Settings were chosen on tinyshakespeare's characters; docs/ladder.md has what they reach there.
"""

from __future__ import annotations

from dataclasses import replace

from muybridge.language.ladder import Rung
from muybridge.language.model_options import Family, ModelOptions, ReadingOptions
from muybridge.train.options import TrainOptions

__all__ = ["ladder"]

# Small decoders learn most from a minute with orthogonal updates and a mean of the last weights.
DECODER = TrainOptions(
    steps=2000,
    rate=3e-3,
    warmup=50,
    schedule="linear",
    floor=0.0,
    optimiser="muon",
    muon_rate=0.02,
    weight_decay=0.1,
    beta2=0.95,
    average=0.98,
    precision="bfloat16",
    evaluate_every=500,
    save_every=500,
)
OLDER = TrainOptions(steps=2000, weight_decay=0.0, beta2=0.99, evaluate_every=500, save_every=500)


def ladder(effort: float = 1.0) -> tuple[Rung, ...]:
    """All rungs, lowest first.

    Args:
        effort: Steps of the neural rungs, relative to the usual ones.
    """
    return (
        Rung("3-gram", "ngram", order=3),
        Rung("5-gram", "ngram", order=5),
        *(_shorter(rung, effort) for rung in (*_older(), *_decoders())),
    )


def _older() -> tuple[Rung, ...]:
    recurrent = ModelOptions(width=256, layers=1, context=64)
    windows = ReadingOptions(batch=12)
    return (
        Rung(
            "log-linear",
            "log-linear",
            model=ModelOptions(context=64),
            reading=windows,
            training=replace(OLDER, rate=2e-2),
        ),
        Rung(
            "nlm",
            "nlm",
            model=ModelOptions(context=64, width=128),
            reading=windows,
            training=replace(OLDER, rate=2e-3),
        ),
        Rung("rnn", "rnn", model=recurrent, reading=windows, training=replace(OLDER, rate=1e-3)),
        Rung("gru", "gru", model=recurrent, reading=windows, training=replace(OLDER, rate=2e-3)),
        Rung("lstm", "lstm", model=recurrent, reading=windows, training=replace(OLDER, rate=2e-3)),
    )


def _decoders() -> tuple[Rung, ...]:
    return tuple(_decoder(family) for family in ("gpt2", "llama3", "deepseek-v3"))


def _decoder(family: Family) -> Rung:
    size = ModelOptions(width=128, layers=4, heads=4, context=128)
    return Rung(family, family, model=size, reading=ReadingOptions(batch=16), training=DECODER)


def _shorter(rung: Rung, effort: float) -> Rung:
    training = rung.training
    steps = max(1, round(training.steps * effort))
    return replace(
        rung, training=replace(training, steps=steps, warmup=min(training.warmup, steps // 10))
    )
