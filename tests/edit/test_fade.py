"""Fading: value and slope at the start, nothing left of either at the end or after it."""

import torch

from muybridge.edit.fade import fade


def test_what_fades_begins_and_ends_as_it_should() -> None:
    x = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    expected = ([1.0, 0.0], [0.0, 0.0], [0.0, 0.0]), ([0.0, 0.0], [1.0, 0.0], [0.0, 0.0])
    for weight, derivatives in zip(fade(x), expected, strict=True):
        for wanted in derivatives:
            torch.testing.assert_close(
                weight.detach(), torch.tensor(wanted).double(), atol=1e-12, rtol=0
            )
            (weight,) = torch.autograd.grad(weight.sum(), x, create_graph=True)


def test_nothing_is_left_after_the_window() -> None:
    assert [float(weight) for weight in fade(torch.tensor(7.5).double())] == [0.0, 0.0]
