"""How a training runs, as plain data that needs no torch: the command line reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from muybridge.errors import InputError

__all__ = ["CheckpointPolicy", "Precision", "ScheduleName", "TrainOptions"]

ScheduleName = Literal["cosine", "linear", "constant", "inverse_root", "warmup_stable_decay"]
CheckpointPolicy = Literal["none", "every", "second", "sqrt", "selective"]
Precision = Literal["float32", "fast", "bfloat16"]


@dataclass(frozen=True)
class TrainOptions:
    """How a training runs; what it learns, and from what, is the task's."""

    steps: int = 1000
    """Optimiser steps."""
    rate: float = 1e-3
    """Peak learning rate."""
    warmup: int | None = None
    """Steps over which the rate rises to its peak; 100, or a tenth of a short training."""
    schedule: ScheduleName = "cosine"
    """How the rate falls after that."""
    floor: float = 0.1
    """Where cosine and linear end, relative to the peak."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """AdamW for all, or Muon for the inner matrices and AdamW for the rest."""
    muon_rate: float = 0.02
    """Muon's own peak rate."""
    weight_decay: float = 0.1
    """Decay of matrices, relative to the rate; norms and biases have none."""
    beta1: float = 0.9
    """Memory of the gradient's mean."""
    beta2: float = 0.99
    """Memory of the gradient's square."""
    clip: float = 1.0
    """Longest gradient; 0: any."""
    average: float = 0.0
    """Decay of the running mean of the weights, which is what is kept; 0: no mean."""
    precision: Precision = "fast"
    """float32; the same by a faster product where it proves as exact; or bfloat16 products."""
    evaluate_every: int = 250
    """Steps between two validations; 0: only at the end."""
    save_every: int = 250
    """Steps between two checkpoints."""
    seed: int = 0
    """Of the first weights and of what is read when."""

    @property
    def warmup_steps(self) -> int:
        """Steps of the warm-up."""
        return min(100, self.steps // 10) if self.warmup is None else self.warmup

    def check(self) -> None:
        """Refuse what no training can use.

        Not when it is made: the command line would bury the sentence.

        Raises:
            InputError: If a number is out of its range.
        """
        for name, low, high in (
            ("steps", 1, math.inf), ("rate", 1e-12, 1e3), ("warmup_steps", 0, math.inf),
            ("muon_rate", 1e-12, 1e3),
            ("floor", 0, 1), ("weight_decay", 0, math.inf), ("clip", 0, math.inf),
            ("average", 0, 1 - 1e-9), ("beta1", 0, 1 - 1e-9), ("beta2", 0, 1 - 1e-9),
            ("save_every", 1, math.inf), ("evaluate_every", 0, math.inf), ("seed", 0, 2**62),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(
                    f"expected {name} from {low:g} to {high:g}, got {value}; choose another"
                )
