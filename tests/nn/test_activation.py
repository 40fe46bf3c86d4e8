"""Activations equal torch in value and gradient; the perceptron learns what a line can part."""

import itertools

import pytest
import torch
from torch.nn import functional

from muybridge.nn import activation
from muybridge.nn.activation import ACTIVATIONS, GATED

THEIRS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "softplus": functional.softplus,
    "mish": functional.mish,
    "relu_squared": lambda x: functional.relu(x).square(),
}
POINTS = torch.cat((torch.linspace(-12, 12, 481), torch.tensor([-90.0, -1e-8, 1e-8, 90.0])))


@pytest.mark.parametrize("name", THEIRS)
def test_value_and_gradient_are_torchs(name: str) -> None:
    ours, theirs = (POINTS.double().requires_grad_() for _ in range(2))
    mine, peer = getattr(activation, name)(ours), THEIRS[name](theirs)
    mine.sum().backward()
    peer.sum().backward()
    torch.testing.assert_close(mine, peer, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_kernel_is_the_formula(name: str) -> None:
    torch.testing.assert_close(
        ACTIVATIONS[name](POINTS), getattr(activation, name)(POINTS), rtol=1e-5, atol=1e-5
    )


def test_prelu_is_torchs() -> None:
    found = []
    for prelu in (activation.prelu, functional.prelu):
        x = torch.linspace(-3, 3, 15).view(5, 3).requires_grad_()
        slope = torch.tensor([0.1, 0.2, -0.3], requires_grad=True)
        y = prelu(x, slope)
        y.square().sum().backward()
        found.append((y, x.grad, slope.grad))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", GATED)
def test_gated_units_halve_the_channels(name: str) -> None:
    x = torch.randn(4, 10, dtype=torch.float64, requires_grad=True)
    gates = {"glu": torch.sigmoid, "reglu": functional.relu, "geglu": functional.gelu,
             "swiglu": functional.silu}  # fmt: skip
    expected = x[:, :5] * gates[name](x[:, 5:])
    made = GATED[name](x)
    torch.testing.assert_close(made, expected, rtol=1e-6, atol=1e-6)
    slopes = [torch.autograd.grad(y.square().sum(), x)[0] for y in (made, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-6)
    if name == "glu":
        torch.testing.assert_close(GATED[name](x), functional.glu(x))


def test_selu_keeps_mean_and_variance() -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    y = activation.selu(x)
    assert abs(y.mean().item()) < 0.01
    assert y.var().item() == pytest.approx(1.0, abs=0.02)


def test_the_two_gelus_differ_as_stated() -> None:
    gap = (activation.gelu(POINTS) - activation.gelu_tanh(POINTS)).abs().max().item()
    assert 4e-4 < gap < 5e-4


def _perceptron(targets: list[int], passes: int) -> bool:
    """Rosenblatt's rule on two inputs and a bias; True once a whole pass has no mistake."""
    weight = torch.zeros(3)
    for _ in range(passes):
        mistakes = 0
        for (a, b), target in zip(itertools.product((0.0, 1.0), repeat=2), targets, strict=True):
            x = torch.tensor([a, b, 1.0])
            error = target - activation.threshold(weight @ x).item()
            weight = weight + error * x
            mistakes += error != 0
        if not mistakes:
            return True
    return False


def test_the_perceptron_learns_all_but_xor() -> None:
    """14 of the 16 functions of two bits can be parted by a line."""
    failures = [t for t in itertools.product((0, 1), repeat=4) if not _perceptron(list(t), 100)]
    assert failures == [(0, 1, 1, 0), (1, 0, 0, 1)]


def _first_gradient(name: str, depth: int) -> float:
    """Gradient norm at the first of `depth` layers of 64 units, as PyTorch's Linear begins."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, 64) for _ in range(depth)]
    x = torch.randn(32, 64)
    for layer in layers:
        x = ACTIVATIONS[name](layer(x))
    x.square().sum().backward()
    assert layers[0].weight.grad is not None
    return layers[0].weight.grad.norm().item()


def test_sigmoids_starve_the_first_layer() -> None:
    shallow, deep = (_first_gradient("sigmoid", depth) for depth in (2, 12))
    assert deep < 1e-6 * shallow
    assert _first_gradient("selu", 12) > 1e4 * deep


def test_dead_units_have_no_gradient_but_leaky_ones_do() -> None:
    x = torch.full((4,), -3.0, requires_grad=True)
    ACTIVATIONS["relu"](x).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()
    x.grad = None
    ACTIVATIONS["leaky_relu"](x).sum().backward()
    assert x.grad.all()
