"""Softmax through classes, and against a sample."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.language.classes import ClassSoftmax, frequency_classes, sampled_softmax_loss

COUNTS = [5, 3, 2, 2, 1, 1, 40, 7, 1, 1, 9]


def test_classes_partition_the_words_from_frequent_to_rare() -> None:
    classes = frequency_classes(COUNTS, 4)
    assert sorted(set(classes)) == [0, 1, 2, 3]
    by_rank = [classes[w] for w in sorted(range(len(COUNTS)), key=lambda w: -COUNTS[w])]
    assert by_rank == sorted(by_rank)
    zipf = [1000 / rank for rank in range(1, 1001)]
    mass = [0.0] * 30
    for word, kind in enumerate(frequency_classes(zipf, 30)):
        mass[kind] += math.sqrt(zipf[word])
    assert max(mass) < 2 * min(mass)


@pytest.mark.parametrize("classes", [1, 2, 10, 11])
def test_there_are_as_many_classes_as_asked_for(classes: int) -> None:
    assert len(set(frequency_classes(COUNTS, classes))) == classes
    assert len(set(frequency_classes([1] * 11, classes))) == classes
    assert len(set(frequency_classes([0] * 10 + [1e9], classes))) == classes


def test_probabilities_sum_to_one_and_give_the_loss() -> None:
    layer = ClassSoftmax(6, frequency_classes(COUNTS, 4)).double()
    hidden, targets = torch.randn(50, 6).double(), torch.randint(11, (50,))
    logs = layer.log_probabilities(hidden)
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(50).double(), rtol=0, atol=1e-12)
    wanted = -logs[torch.arange(50), targets].mean()
    torch.testing.assert_close(layer.loss(hidden, targets), wanted, rtol=0, atol=1e-12)
    targets[20:] = -100
    wanted = -logs[torch.arange(20), targets[:20]].mean()
    torch.testing.assert_close(layer.loss(hidden, targets), wanted, rtol=0, atol=1e-12)


def _copy(layer: ClassSoftmax, full: nn.Linear, one_class: bool) -> None:
    """Lay a full softmax into one class of all words, or into classes of one word each."""
    with torch.no_grad():
        if one_class:
            layer.words.copy_(full.weight)
            layer.bias.copy_(full.bias)
        else:
            layer.classes.load_state_dict(full.state_dict())


@pytest.mark.parametrize("one_class", [True, False])
def test_one_class_or_one_word_a_class_is_the_full_softmax(one_class: bool) -> None:
    full = nn.Linear(6, 11)
    layer = ClassSoftmax(6, [0] * 11 if one_class else list(range(11)))
    _copy(layer, full, one_class)
    hidden, targets = torch.randn(40, 6), torch.randint(11, (40,))
    wanted = functional.cross_entropy(full(hidden), targets)
    torch.testing.assert_close(layer.loss(hidden, targets), wanted, rtol=0, atol=1e-6)
    logs = full(hidden).log_softmax(-1)
    torch.testing.assert_close(layer.log_probabilities(hidden), logs, rtol=0, atol=1e-6)


def test_it_learns_any_distribution() -> None:
    """With one history, classes restrict nothing: the optimum is the relative frequencies."""
    layer = ClassSoftmax(1, frequency_classes(COUNTS, 4)).double()
    words = torch.repeat_interleave(torch.arange(11), torch.tensor(COUNTS))
    hidden = torch.ones(len(words), 1).double()
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=500, tolerance_grad=1e-9)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = layer.loss(hidden, words)
        value.backward()
        return value

    optimiser.step(loss)
    wanted = torch.tensor(COUNTS).double() / sum(COUNTS)
    found = layer.log_probabilities(hidden[:1])[0].exp()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_sampled_gradient_points_along_the_full_one() -> None:
    weight = torch.randn(300, 16, requires_grad=True)
    hidden, targets = torch.randn(64, 16), torch.randint(300, (64,))
    (full,) = torch.autograd.grad(functional.cross_entropy(hidden @ weight.T, targets), weight)
    proposal = torch.ones(300) / 300

    def distance(samples: int, draws: int) -> float:
        total = torch.zeros_like(full)
        for _ in range(draws):
            loss = sampled_softmax_loss(hidden, weight, targets, proposal, samples)
            total += torch.autograd.grad(loss, weight)[0] / draws
        return ((total - full).norm() / full.norm()).item()

    assert distance(20_000, 1) < 0.05, "with all words in the sample it is the full sum"
    assert distance(100, 200) < 0.5 * distance(100, 1), "what is left is noise"


def test_the_proposal_is_corrected_for() -> None:
    """A model of one history, trained with samples that favour some words, learns p, not p / q."""
    wanted = torch.tensor([0.5, 0.2, 0.2, 0.1])
    proposal = torch.tensor([0.1, 0.6, 0.1, 0.2])
    weight = torch.zeros(4, 1, requires_grad=True)
    optimiser = torch.optim.Adam([weight], 0.02)
    for step in range(600):
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * (1 - step / 600)
        targets = torch.multinomial(wanted, 256, replacement=True)
        loss = sampled_softmax_loss(torch.ones(256, 1), weight, targets, proposal, 200)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(weight[:, 0].softmax(0), wanted, rtol=0, atol=0.02)


def test_it_says_what_is_wrong() -> None:
    with pytest.raises(InputError, match="expected 1 to 2 classes"):
        frequency_classes([1, 1], 3)
    with pytest.raises(InputError, match="expected words in all of 3 classes, got 1 empty"):
        ClassSoftmax(4, [0, 2, 2])
