"""Softmax over many words: in two steps through classes, or against a sample.

    p(w | h) = p(class of w | h) p(w | h, class of w)

costs the classes and one class's members instead of V; with sqrt(V) classes of equal mass that is
about 2 sqrt(V). It is an exact distribution, but another model than the full softmax. The sampled
softmax is the full model with an estimated sum: for training only.

Traps: classes must partition the vocabulary; sampled logits need -log q (expected count) or the
model learns p / q; a sampled negative that is the target must be hidden, or it fights itself.

N tokens, D width, V vocabulary, K classes, M members of the largest class, S samples.
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

    member: Tensor
    place: Tensor
    kind: Tensor

    def __init__(self, width: int, classes: Sequence[int]) -> None:
        super().__init__()
        groups: list[list[int]] = [[] for _ in range(max(classes) + 1)]
        for word, kind in enumerate(classes):
            groups[kind].append(word)
        if not all(groups):
            raise InputError(
                f"expected words in all of {len(groups)} classes, got {groups.index([])} empty; "
                "number the classes without gaps"
            )
        largest = max(map(len, groups))
        places = {word: i for group in groups for i, word in enumerate(group)}
        members = torch.tensor([g + [-1] * (largest - len(g)) for g in groups])
        self.register_buffer("member", members)  # -1 where a class is smaller than the largest
        self.register_buffer("place", torch.tensor([places[w] for w in range(len(classes))]))
        self.register_buffer("kind", torch.tensor(list(classes)))
        self.classes = nn.Linear(width, len(groups))
        self.words = nn.Parameter(torch.randn(len(groups), largest, width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(len(groups), largest))

    def loss(self, hidden: Float[Tensor, "n d"], targets: Int[Tensor, "n"]) -> Float[Tensor, ""]:
        """Mean nats, from the classes and the targets' own classes alone; -100 is no target."""
        hidden, targets = hidden[targets >= 0], targets[targets >= 0]
        kind = self.kind[targets]
        classes = functional.cross_entropy(self.classes(hidden), kind)
        total = hidden.new_zeros(())
        for k in kind.unique():  # one product a class: no copy of the words for each token
            mine = kind == k
            logits = self._within(hidden[mine], k)
            total = total + functional.cross_entropy(
                logits, self.place[targets[mine]], reduction="sum"
            )
        return classes + total / len(targets)

    def _within(self, hidden: Tensor, kind: Tensor) -> Float[Tensor, "n m"]:
        size = int((self.member[kind] >= 0).sum())
        return functional.linear(hidden, self.words[kind, :size], self.bias[kind, :size])

    def log_probabilities(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """Of all words: as dear as a full softmax."""
        logits = torch.einsum("nd,kmd->nkm", hidden, self.words) + self.bias
        within = logits.masked_fill(self.member < 0, -torch.inf).log_softmax(dim=-1)
        both = within + self.classes(hidden).log_softmax(dim=-1)[..., None]
        return both[:, self.kind, self.place]


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
