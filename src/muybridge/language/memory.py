"""Whether a training fits into memory, said before it begins.

The system hands out memory that it does not have and kills the process later, so an error is too
late. The estimate: weights, gradients and two moments in float32, what autograd keeps of a batch
(from `counts` for decoders, a few dozen numbers a channel for the older models), and the logits.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from muybridge.errors import InputError
from muybridge.language.counts import count_decoder
from muybridge.language.decoder import DecoderConfig
from muybridge.train.options import CheckpointPolicy

__all__ = ["available_memory", "check_memory", "training_bytes"]

MEMINFO = Path("/proc/meminfo")
KEPT = 24  # numbers a channel and layer that recurrent and older models keep of a token, at most


def available_memory() -> int | None:
    """Bytes that the system could still give; None where it does not say."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return int(found[0].split()[1]) * 1024 if found else None


def training_bytes(
    model: Any, batch: int, window: int, checkpoint: CheckpointPolicy = "none"
) -> int:
    """Estimate of what a training step holds at its peak, bytes."""
    return _fixed(model) + batch * _per_row(model, window, checkpoint)


def _fixed(model: Any) -> int:
    return 16 * sum(parameter.numel() for parameter in model.parameters())


def _per_row(model: Any, window: int, checkpoint: CheckpointPolicy) -> int:
    config = model.config
    if isinstance(config, DecoderConfig):
        counts = count_decoder(config, window)
        everything = counts.activation_bytes(window, bytes_each=4)
        logits = 8 * config.vocabulary * window
        inputs = counts.activation_bytes(window, checkpoint=True, bytes_each=4) - logits
        kept, again = _shares(checkpoint, config.layers)
        if checkpoint == "selective":
            return int(kept * (everything - logits)) + logits
        return int(kept * inputs + again * (everything - logits)) + logits
    width = getattr(config, "width", getattr(config, "hidden", 64))
    layers = getattr(config, "layers", 1)
    return 4 * window * (KEPT * width * layers + 2 * config.vocabulary)


def _shares(policy: CheckpointPolicy, layers: int) -> tuple[float, float]:
    """Of all block inputs kept, and of all activations held at once while computed again.

    Selective keeps matrix products and attention: 0.56 of everything for LLaMA, measured.
    """
    if policy == "selective":
        return 0.6, 0.0
    if policy == "none":
        return 0.0, 1.0
    segment = {"every": 1.0, "second": 2.0, "sqrt": math.sqrt(layers)}[policy]
    return 1 / segment, min(1.0, segment / layers)


def check_memory(
    model: Any, batch: int, window: int, checkpoint: CheckpointPolicy = "none"
) -> None:
    """Refuse a training that cannot fit.

    Raises:
        InputError: If the estimate exceeds what is available; names the largest batch that fits.
    """
    free = available_memory()
    needed = training_bytes(model, batch, window, checkpoint)
    if free is None or needed <= free:
        return
    largest = max(0, (free - _fixed(model)) // _per_row(model, window, checkpoint))
    advice = (
        f"take --batch {largest}, with --accumulate for the rest"
        if largest
        else "take a smaller model or --context"
    )
    raise InputError(
        f"expected a training step within the {free / 1e9:.1f} GB of free memory, got an estimate "
        f"of {needed / 1e9:.1f} GB for --batch {batch}; {advice}"
    )
