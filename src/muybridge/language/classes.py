"""Softmax over many words: in two steps through classes, or against a sample.

    p(w | h) = p(class of w | h) p(w | h, class of w)

costs the classes and one class's members instead of V; with sqrt(V) classes of equal mass that is
about 2 sqrt(V). It is an exact distribution, but another model than the full softmax. The sampled
softmax is the full model with an estimated sum: for training only.

Traps: classes must partition the vocabulary; sampled logits need -log q (expected count) or the
model learns p / q; a sampled negative that is the target must be hidden, or it fights itself.

N tokens, D width, V vocabulary, K classes, S samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError

__all__ = ["ClassSoftmax", "frequency_classes", "sampled_softmax_loss"]


def frequency_classes(counts: Sequence[float | int], classes: int) -> list[int]:
    """Class of each word, from frequent to rare, so that each class has about equal mass.

    The mass is of the square roots of the counts: by the counts themselves the frequent words
    would have classes of their own and the last class nearly all of the vocabulary.

    Args:
        counts: How often each word occurs.
        classes: K, at most V.
    Raises:
        InputError: If there are more classes than words.
    References:
        Mikolov et al., Extensions of recurrent neural network language model, 2011.
    """
    if not 1 <= classes <= len(counts):
        raise InputError(
            f"expected 1 to {len(counts)} classes, as many as words at most, got {classes}; "
            "take about the square root of the vocabulary"
        )
    mass = [math.sqrt(c) + 1e-9 for c in counts]
    order = sorted(range(len(counts)), key=lambda w: -counts[w])
    result, before, total, current = [0] * len(counts), 0.0, sum(mass), 0
    for place, word in enumerate(order):
        wanted = int(classes * before / total)
        left = classes - (len(order) - place)  # never leave more classes than words
        current = max(min(wanted, current + 1), left, current) if place else 0
        result[word] = current
        before += mass[word]
    return result


class ClassSoftmax(nn.Module):
    """An output layer in two steps.

    Args:
        width: D.
        classes: Class of each word, 0 to K - 1, none of them empty.
    Raises:
        InputError: If a class has no word.
    References:
        Goodman, Classes for fast maximum entropy training, 2001.
    """

    kind: Tensor
    row: Tensor

    def __init__(self, width: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("kind", torch.tensor(list(classes)))
        sizes = self.kind.bincount().tolist()
        if 0 in sizes:
            raise InputError(
                f"expected words in all of {len(sizes)} classes, got {sizes.index(0)} empty; "
                "number the classes without gaps"
            )
        # rows of a class lie together, so that a class is a slice and no copy
        self.register_buffer("row", self.kind.argsort(stable=True).argsort())
        self.sizes = sizes
        self.classes = nn.Linear(width, len(sizes))
        self.words = nn.Parameter(torch.randn(len(classes), width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(len(classes)))

    def loss(self, hidden: Float[Tensor, "n d"], targets: Int[Tensor, "n"]) -> Float[Tensor, ""]:
        """Mean nats, from the classes and the targets' own classes alone; -100 is no target."""
        hidden, targets = hidden[targets >= 0], targets[targets >= 0]
        kind = self.kind[targets]
        total = functional.cross_entropy(self.classes(hidden), kind, reduction="sum")
        order = kind.argsort()
        tokens = kind.bincount(minlength=len(self.sizes)).tolist()
        first = 0
        parts = (hidden[order].split(tokens), self.row[targets[order]].split(tokens))
        for size, mine, rows, words, bias in zip(self.sizes, *parts, *self._slices(), strict=True):
            if len(mine):
                logits = functional.linear(mine, words, bias)
                total = total + functional.cross_entropy(logits, rows - first, reduction="sum")
            first += size
        return total / len(targets)

    def _slices(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Words and biases by class, by one split: the gradient of K slices is K full tensors."""
        return self.words.split(self.sizes), self.bias.split(self.sizes)

    def log_probabilities(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """Of all words: as dear as a full softmax."""
        within = [
            functional.linear(hidden, words, bias).log_softmax(dim=-1)
            for words, bias in zip(*self._slices(), strict=True)
        ]
        classes = self.classes(hidden).log_softmax(dim=-1)
        return torch.cat(within, dim=-1)[:, self.row] + classes[:, self.kind]


def sampled_softmax_loss(
    hidden: Float[Tensor, "n d"],
    weight: Float[Tensor, "v d"],
    targets: Int[Tensor, "n"],
    proposal: Float[Tensor, "v"],
    samples: int,
) -> Float[Tensor, ""]:
    """Cross-entropy of the targets against S words drawn from `proposal`, shared by all tokens.

    Args:
        hidden: States.
        weight: The output matrix.
        targets: The words.
        proposal: Probabilities of the words to draw, such as their frequencies.
        samples: S; drawn with replacement.
    References:
        Bengio & Senecal, Quick training of probabilistic neural nets by importance sampling, 2003.
    """
    drawn = torch.multinomial(proposal, samples, replacement=True)
    # each draw stands for 1 / (S q) words of its kind; the target stands for itself
    negative = hidden @ weight[drawn].T - (samples * proposal[drawn]).log()
    negative = negative.masked_fill(drawn == targets[:, None], -torch.inf)
    positive = (hidden * weight[targets]).sum(dim=-1, keepdim=True)
    logits = torch.cat((positive, negative), dim=-1)
    return -logits.log_softmax(dim=-1)[:, 0].mean()
