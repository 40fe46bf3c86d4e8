"""Short causal attention in bfloat16 is as exact as the whole matrix in bfloat16 can be."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from muybridge.nn.reach import Reach, attend


def _inputs(groups: int, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = ((2, 4, 70, 16), (2, groups, 70, 16), (2, groups, 70, 16))
    return [torch.randn(s).to(dtype).requires_grad_() for s in shapes]


def _with_gradients(made: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weight = torch.linspace(-1, 1, made.numel()).view_as(made).to(made.dtype)
    return [x.double() for x in (made, *torch.autograd.grad((made * weight).sum(), inputs))]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("autocast", [True, False])
def test_short_training_in_bfloat16_is_causal_attention(groups: int, autocast: bool) -> None:
    inputs = _inputs(groups, torch.float32 if autocast else torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        made = attend(*inputs, Reach(causal=True), 0.25)
        kernel = functional.scaled_dot_product_attention(
            *inputs, is_causal=True, scale=0.25, enable_gqa=True
        )
    assert made.dtype == torch.bfloat16
    exact_inputs = [x.detach().double().requires_grad_() for x in inputs]
    exact = functional.scaled_dot_product_attention(
        *exact_inputs, is_causal=True, scale=0.25, enable_gqa=True
    )
    expected = _with_gradients(exact, exact_inputs)
    for ours, theirs, right in zip(
        _with_gradients(made, inputs), _with_gradients(kernel, inputs), expected, strict=True
    ):
        error = (ours - right).norm() / right.norm()
        assert error < 0.01
        assert error < 2 * (theirs - right).norm() / right.norm()
    torch.testing.assert_close(
        made[:, :, 0], inputs[2].repeat_interleave(4 // groups, 1)[:, :, 0].to(made.dtype)
    )


def test_without_a_gradient_the_kernel_runs() -> None:
    inputs = [x.detach() for x in _inputs(4, torch.bfloat16)]
    made = attend(*inputs, Reach(causal=True), 0.25)
    assert torch.equal(
        made, functional.scaled_dot_product_attention(*inputs, is_causal=True, scale=0.25)
    )
