"""Bengio's network against its equation."""

import torch

from muybridge.language.neural import NeuralConfig, NeuralModel


def test_smoke() -> None:
    model = NeuralModel(NeuralConfig(11, 16))
    assert model(torch.randint(11, (2, 16))).shape == (2, 16, 11)
