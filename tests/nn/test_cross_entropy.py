"""The fused head and loss equal torch's two calls, and hold the logits of one chunk at most."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from muybridge.nn.cross_entropy import linear_cross_entropy
from tests.live_bytes import LiveBytes


def _inputs(
    tokens: int = 37, width: int = 12, vocabulary: int = 50, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(tokens, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.randint(0, vocabulary, (tokens,))


def _theirs(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    logits = functional.linear(hidden, weight).flatten(0, -2)
    wide = torch.promote_types(logits.dtype, torch.float32)
    return functional.cross_entropy(logits.to(wide), targets.flatten())


@pytest.mark.parametrize("chunk", [1, 8, 37, 100, None])
def test_equals_torch_in_value_and_gradient(chunk: int | None) -> None:
    hidden, weight, targets = _inputs()
    ours = linear_cross_entropy(hidden, weight, targets, chunk=chunk)
    theirs = _theirs(hidden, weight, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    for a, b in zip(
        torch.autograd.grad(3 * ours, (hidden, weight)),
        torch.autograd.grad(3 * theirs, (hidden, weight)),
        strict=True,
    ):
        assert (a - b).norm() < 1e-5 * b.norm()


def test_a_large_vocabulary_goes_through_blocks() -> None:
    hidden, weight, targets = _inputs(20, 8, 5003)
    ours = linear_cross_entropy(hidden, weight, targets, chunk=7)
    torch.testing.assert_close(ours, _theirs(hidden, weight, targets), rtol=1e-6, atol=1e-6)
    found = torch.autograd.grad(ours, (hidden, weight))
    expected = torch.autograd.grad(_theirs(hidden, weight, targets), (hidden, weight))
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() < 1e-5 * b.norm()


def test_gradcheck() -> None:
    hidden, weight, targets = _inputs(5, 3, 4, torch.float64)
    targets[1] = -100
    assert torch.autograd.gradcheck(
        lambda h, w: linear_cross_entropy(h, w, targets, chunk=2), (hidden, weight)
    )


def test_tokens_without_a_target_count_for_nothing() -> None:
    hidden, weight, targets = _inputs()
    targets[5:20] = -100
    ours, theirs = (f(hidden, weight, targets) for f in (linear_cross_entropy, _theirs))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    gradient = torch.autograd.grad(ours, hidden)[0]
    assert not gradient[5:20].any()
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs, hidden)[0])
    assert math.isnan(linear_cross_entropy(hidden, weight, torch.full_like(targets, -100)).item())


def test_logits_of_any_size_give_finite_losses() -> None:
    hidden, weight, targets = _inputs()
    with torch.no_grad():
        hidden *= 300.0  # improbable targets, whose softmax is 0 in float32
    ours = linear_cross_entropy(hidden, weight, targets)
    torch.testing.assert_close(ours, _theirs(hidden, weight, targets), rtol=1e-6, atol=0)
    assert ours > 500


def test_any_leading_shape_and_only_the_gradients_that_are_wanted() -> None:
    hidden, weight, targets = _inputs(24)
    shaped = hidden.detach().view(2, 3, 4, 12).requires_grad_()
    linear_cross_entropy(shaped, weight.detach(), targets.view(2, 3, 4)).backward()
    expected = torch.autograd.grad(_theirs(hidden, weight, targets), hidden)[0]
    torch.testing.assert_close(shaped.grad.flatten(0, 2), expected)
    with torch.no_grad():
        assert not linear_cross_entropy(hidden, weight, targets).requires_grad


@pytest.mark.parametrize("target", [50, -1])
def test_a_target_outside_the_vocabulary_is_refused(target: int) -> None:
    hidden, weight, targets = _inputs()
    targets[3] = target
    with pytest.raises(IndexError, match="from 0 to 49"):
        linear_cross_entropy(hidden, weight, targets)


def test_autocast_is_as_exact_as_torchs() -> None:
    """Beside float64, the bfloat16 gradients err no more than those of the two calls."""
    hidden, weight, targets = _inputs(300, 64, 5000)
    exact = torch.autograd.grad(
        _theirs(hidden.double(), weight.double(), targets), (hidden, weight)
    )
    errors = []
    for function in (lambda *x: linear_cross_entropy(*x, chunk=64), _theirs):
        with torch.autocast("cpu", torch.bfloat16):
            loss = function(hidden, weight, targets)
        assert loss.dtype == torch.float32
        found = torch.autograd.grad(loss, (hidden, weight))
        assert all(g.dtype == torch.float32 for g in found)
        errors.append(
            [((a - b).norm() / b.norm()).item() for a, b in zip(found, exact, strict=True)]
        )
    for ours, theirs in zip(*errors, strict=True):
        assert ours < 1.1 * theirs < 0.02


def test_half_precision_weights_give_gradients_of_their_type() -> None:
    hidden, weight, targets = _inputs(40, 16, 30, torch.bfloat16)
    loss = linear_cross_entropy(hidden, weight, targets, chunk=16)
    found = torch.autograd.grad(loss, (hidden, weight))
    assert loss.dtype == torch.float32
    assert [g.dtype for g in found] == [torch.bfloat16] * 2
    expected = torch.autograd.grad(_theirs(hidden, weight, targets), (hidden, weight))
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() < 0.02 * b.norm()


def test_memory_is_that_of_a_chunk() -> None:
    """16 times the tokens: the two calls need 16 times the bytes, the fused one few more."""
    vocabulary, width, chunk = 4000, 8, 32

    def peak(tokens: int, fused: bool) -> int:
        hidden, weight, targets = _inputs(tokens, width, vocabulary)
        with LiveBytes() as live:
            if fused:
                linear_cross_entropy(hidden, weight, targets, chunk=chunk).backward()
            else:
                _theirs(hidden, weight, targets).backward()
        return live.peak

    logits = 4 * vocabulary
    assert peak(1024, False) > 2 * 1024 * logits
    few, many = peak(64, True), peak(1024, True)
    assert many < 3 * chunk * logits
    assert many - few < 1024 * 20 * 4 * width  # rows of width D, never of V
