"""The first artificial neurons: McCulloch and Pitts's threshold unit, Rosenblatt's perceptron.

A unit fires where w . x + b > 0. The perceptron learns by adding a misclassified sample to its
weights. If some unit vector u separates the classes by a margin gamma, and no sample is longer
than R, it errs at most (R / gamma)^2 times, whatever the order; where no line separates, as for
XOR, it errs for ever.

Trap: the bound is for weights through the origin. A bias is the weight of a constant 1 appended
to x, so R and gamma are of the appended samples.

N samples, D inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = [
    "Perceptron",
    "ThresholdUnit",
    "Training",
    "append_one",
    "mistake_bound",
    "train_perceptron",
]


@dataclass(frozen=True)
class ThresholdUnit:
    """Fires if enough excitatory inputs do and no inhibitory one does; nothing is learned.

    Attributes:
        excitatory: Which inputs excite.
        inhibitory: Which inputs veto.
        threshold: How many exciting inputs it takes.

    References:
        McCulloch & Pitts, A Logical Calculus of the Ideas Immanent in Nervous Activity, 1943.
    """

    excitatory: tuple[int, ...]
    inhibitory: tuple[int, ...]
    threshold: int

    def __call__(self, inputs: Bool[Tensor, "*n d"]) -> Bool[Tensor, "*n"]:
        """Whether the unit fires."""
        excited = inputs[..., list(self.excitatory)].sum(-1) >= self.threshold
        return excited & ~inputs[..., list(self.inhibitory)].any(-1)


@dataclass(frozen=True)
class Perceptron:
    """Weights through the origin; append a 1 to the samples for a bias."""

    weight: Float[Tensor, "d"]

    def __call__(self, samples: Float[Tensor, "*n d"]) -> Bool[Tensor, "*n"]:
        """Which samples are of the positive class."""
        return samples @ self.weight > 0


@dataclass(frozen=True)
class Training:
    """What the rule came to.

    Attributes:
        perceptron: With the last weights.
        mistakes: Updates made.
        errors: Mistakes in each pass over the samples; 0 in the last one if it converged.
    """

    perceptron: Perceptron
    mistakes: int
    errors: tuple[int, ...]

    @property
    def converged(self) -> bool:
        """Whether a whole pass went by without a mistake."""
        return self.errors[-1] == 0


def append_one(samples: Float[Tensor, "n d"]) -> Float[Tensor, "n d1"]:
    """Samples with a constant input, whose weight is the bias."""
    return torch.cat([samples, torch.ones_like(samples[:, :1])], dim=1)


def train_perceptron(
    samples: Float[Tensor, "n d"], positive: Bool[Tensor, "n"], passes: int = 100
) -> Training:
    """Rosenblatt's rule from zero weights: on a mistake, w += y x with y = +1 or -1.

    Args:
        samples: Inputs, in the order in which they are shown.
        positive: Which are of the positive class.
        passes: Most passes over the samples.
    Returns:
        The weights and the course of the mistakes.
    Raises:
        InputError: If there is no sample or no pass.
    References:
        Rosenblatt, The Perceptron, 1958; Novikoff, On Convergence Proofs on Perceptrons, 1962.
    """
    if len(samples) == 0 or passes < 1:
        raise InputError(
            f"expected samples and passes, got {len(samples)} and {passes}; both must be 1 or more"
        )
    signed = torch.where(positive, 1.0, -1.0).to(samples.dtype)[:, None] * samples
    weight = torch.zeros_like(samples[0])
    errors = []
    for _ in range(passes):
        errors.append(0)
        for sample in signed:
            if sample @ weight <= 0:
                weight = weight + sample
                errors[-1] += 1
        if errors[-1] == 0:
            break
    return Training(Perceptron(weight), sum(errors), tuple(errors))


def mistake_bound(
    samples: Float[Tensor, "n d"], positive: Bool[Tensor, "n"], separator: Float[Tensor, "d"]
) -> float:
    """(R / gamma)^2, gamma being the margin that `separator` keeps; infinite if it keeps none.

    References:
        Novikoff 1962.
    """
    signed = torch.where(positive, 1.0, -1.0).to(samples.dtype)[:, None] * samples
    margin = float((signed @ separator / separator.norm()).min())
    radius = float(samples.norm(dim=1).max())
    return (radius / margin) ** 2 if margin > 0 else float("inf")
