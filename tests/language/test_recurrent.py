"""Recurrent language models: one state instead of a context."""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.language.decoder_folder import config_to_json, part_from_json
from muybridge.language.recurrent import RecurrentConfig, RecurrentModel, detach
from muybridge.nn.recurrent import CellKind


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_text_in_pieces_is_the_text(cell: CellKind) -> None:
    model = RecurrentModel(RecurrentConfig(11, 16, 12, 2, cell, embedding=5)).eval()
    tokens = torch.randint(11, (3, 20))
    hidden, state = model.states(tokens[:, :7])
    rest, _ = model.states(tokens[:, 7:], detach(state))
    pieces = model.logits(torch.cat((hidden, rest), dim=1))
    torch.testing.assert_close(pieces, model(tokens), rtol=0, atol=1e-6)


def test_the_forget_gate_starts_open() -> None:
    model = RecurrentModel(RecurrentConfig(11, 16, 12, 2, forget=2.0))
    for layer in range(2):
        _, _, b, c = model.recurrent.weights(layer)
        assert ((b + c)[12:24] == 2.0).all()
        assert not ((b + c)[:12] == 2.0).any()


def test_tied_weights_are_one_and_ask_for_one_width() -> None:
    model = RecurrentModel(RecurrentConfig(11, 16, 12, tied=True))
    assert model.head.weight is model.embedding.weight
    with pytest.raises(InputError, match="expected embedding and width alike"):
        RecurrentConfig(11, 16, 12, tied=True, embedding=5)


def test_loss_skips_what_is_no_target() -> None:
    model = RecurrentModel(RecurrentConfig(11, 16, 12, cell="gru", reset="before"))
    tokens, targets = torch.randint(11, (2, 9)), torch.randint(11, (2, 9))
    targets[:, 5:] = -100
    short = model.loss(tokens[:, :5], targets[:, :5])
    torch.testing.assert_close(model.loss(tokens, targets), short)


def test_configurations_survive_a_file() -> None:
    config = RecurrentConfig(11, 16, 12, 2, "gru", embedding=5, dropout=0.5, reset="before")
    assert part_from_json(config_to_json(config)) == config
