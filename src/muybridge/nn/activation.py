"""Activation functions, from the threshold unit of 1958 to SwiGLU, each from its own formula.

All take and give tensors of any shape; GLU variants halve the last axis. Gradients come from
autograd, so a formula here is written such that its derivative is finite everywhere too.

D channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = [
    "ACTIVATIONS",
    "GATED",
    "ActivationName",
    "elu",
    "gelu",
    "gelu_tanh",
    "glu",
    "leaky_relu",
    "mish",
    "prelu",
    "relu",
    "relu_squared",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
    "threshold",
]

ActivationName = Literal[
    "threshold", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh",
    "silu", "softplus", "mish", "relu_squared",
]  # fmt: skip
SELU_ALPHA = (
    1.6732632423543772  # both from the fixed point: mean 0 and variance 1 map to themselves
)
SELU_SCALE = 1.0507009873554805


def threshold(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """1 where x > 0, else 0; its gradient is 0 (Rosenblatt's perceptron, 1958)."""
    return (x > 0).to(x.dtype) + 0 * x


def sigmoid(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """1 / (1 + e^-x), by the tanh so that nothing overflows; slope at most 1/4."""
    return 0.5 * (1 + torch.tanh(0.5 * x))


def tanh(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """(e^x - e^-x) / (e^x + e^-x)."""
    return torch.tanh(x)


def relu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """max(x, 0), with slope 0 at 0 (Nair & Hinton 2010)."""
    return torch.where(x > 0, x, torch.zeros_like(x))


def leaky_relu(x: Float[Tensor, "*n"], slope: float = 0.01) -> Float[Tensor, "*n"]:
    """x above 0, slope x below, so that no unit dies (Maas et al. 2013)."""
    return torch.where(x > 0, x, slope * x)


def prelu(x: Float[Tensor, "*n d"], slope: Float[Tensor, "d"]) -> Float[Tensor, "*n d"]:
    """Leaky ReLU with a learned slope a channel (He et al., arXiv 1502.01852)."""
    return torch.where(x > 0, x, slope * x)


def elu(x: Float[Tensor, "*n"], alpha: float = 1.0) -> Float[Tensor, "*n"]:
    """x above 0, alpha (e^x - 1) below (Clevert et al., arXiv 1511.07289)."""
    # the exponent is held at 0 where it is not used, or its infinity would make NaN gradients
    return torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))


def selu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """ELU scaled to keep mean 0 and variance 1 (Klambauer et al., arXiv 1706.02515)."""
    return SELU_SCALE * elu(x, SELU_ALPHA)


def gelu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """x Phi(x), Phi the normal distribution (Hendrycks & Gimpel, arXiv 1606.08415)."""
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """GPT-2's GELU: Phi approximated by a tanh; up to 5e-4 from the exact one."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + torch.tanh(inner))


def silu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """x sigmoid(x), also called Swish (Elfwing et al., arXiv 1702.03118; arXiv 1710.05941)."""
    return x * sigmoid(x)


def softplus(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """log(1 + e^x) without overflow (Dugas et al. 2001)."""
    return torch.logaddexp(x, torch.zeros_like(x))


def mish(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """x tanh(softplus(x)) (Misra, arXiv 1908.08681)."""
    return x * torch.tanh(softplus(x))


def relu_squared(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """max(x, 0)^2 (So et al., Primer, arXiv 2109.08668)."""
    return relu(x).square()


def glu(x: Float[Tensor, "*n d"], gate: Callable[[Tensor], Tensor] = sigmoid) -> Tensor:
    """First half of the channels times the gated second half.

    `gate` sigmoid: GLU (Dauphin et al., arXiv 1612.08083); relu: ReGLU; gelu: GEGLU; silu: SwiGLU
    (Shazeer, arXiv 2002.05202). Trap: papers and checkpoints disagree on which half is the gate;
    torch gates with the second, LLaMA keeps two matrices.
    """
    value, gated = x.chunk(2, dim=-1)
    return value * gate(gated)


# The readable formulas above are proved equal to torch's kernels by the tests; networks run the
# kernels, which fuse and keep fewer intermediate tensors.
ACTIVATIONS: Mapping[ActivationName, Callable[[Tensor], Tensor]] = {
    "threshold": threshold,
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
GATED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "glu": glu,
    "reglu": lambda x: glu(x, relu),
    "geglu": lambda x: glu(x, gelu),
    "swiglu": lambda x: glu(x, silu),
}
