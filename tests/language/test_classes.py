"""Softmax through classes."""

import torch

from muybridge.language.classes import ClassSoftmax, frequency_classes


def test_smoke() -> None:
    layer = ClassSoftmax(6, frequency_classes([5, 3, 2, 2, 1, 1], 3))
    total = layer.log_probabilities(torch.randn(4, 6)).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(4))
