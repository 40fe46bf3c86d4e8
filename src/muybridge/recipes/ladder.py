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
    steps=1000,
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
OLDER = TrainOptions(average=0.999, floor=0.05, evaluate_every=500, save_every=500)


def ladder(effort: float = 1.0) -> tuple[Rung, ...]:
    """All rungs, lowest first.

    Args:
        effort: Steps of the neural rungs, relative to the usual ones.
    """
    return (
        Rung("3-gram", "ngram", order=3),
        Rung("5-gram", "ngram", order=5),
        Rung("7-gram", "ngram", order=7),
        *(_shorter(rung, effort) for rung in (*_older(), *_decoders())),
    )


def _older() -> tuple[Rung, ...]:
    windows = ReadingOptions(batch=32)
    log_linear = replace(OLDER, steps=1500, rate=1e-2, average=0.998, floor=0.0, weight_decay=0.0)
    nlm = replace(OLDER, steps=4000, rate=4e-3, floor=0.0, weight_decay=0.01)
    size = ModelOptions(context=64)
    return (
        Rung("log-linear", "log-linear", model=size, reading=windows, training=log_linear),
        Rung("nlm", "nlm", model=size, reading=windows, training=nlm),
        _recurrent("rnn", 6000, 2e-3),
        _recurrent("gru", 5000, 3e-3),
        _recurrent("lstm", 6000, 4e-3),
    )


def _recurrent(family: Family, steps: int, rate: float) -> Rung:
    size = ModelOptions(width=256, context=128)
    training = replace(OLDER, steps=steps, rate=rate)
    return Rung(family, family, model=size, reading=ReadingOptions(batch=16), training=training)


def _decoders() -> tuple[Rung, ...]:
    """As many multiplied parameters a token, and the same windows in the same order."""
    size = ModelOptions(width=128, layers=4, heads=4, context=128)
    return (
        _decoder("gpt2", size),
        _decoder("llama3", size),
        _decoder("deepseek-v3", replace(size, inner_width=1024)),
    )


def _decoder(family: Family, size: ModelOptions) -> Rung:
    return Rung(family, family, model=size, reading=ReadingOptions(batch=16), training=DECODER)


def _shorter(rung: Rung, effort: float) -> Rung:
    training = rung.training
    steps = max(1, round(training.steps * effort))
    warmup = None if training.warmup is None else min(training.warmup, steps // 10)
    return replace(rung, training=replace(training, steps=steps, warmup=warmup))
