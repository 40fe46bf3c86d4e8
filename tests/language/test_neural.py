"""Bengio's network against its equation, and against what it must learn."""

import math

import numpy as np
import pytest
import torch

from muybridge.errors import InputError
from muybridge.language.decoder_folder import config_to_json, part_from_json
from muybridge.language.neural import NeuralConfig, NeuralModel


def _by_hand(model: NeuralModel, text: list[int]) -> np.ndarray:
    """y = b + W x + U tanh(d + H x), one position and one embedding at a time, in numpy."""
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    window, rows = model.config.window, []
    for t in range(len(text)):
        x = np.concatenate(
            [
                weights["embedding.weight"][text[place]] if place >= 0 else weights["start"]
                for place in range(t - window + 1, t + 1)
            ]
        )
        tanh = np.tanh(weights["hidden.bias"] + weights["hidden.weight"] @ x)
        y = weights["output.bias"] + weights["output.weight"] @ tanh
        rows.append(y + weights["direct.weight"] @ x if model.config.direct else y)
    return np.array(rows)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("window", [1, 4])
def test_the_equation(window: int, direct: bool) -> None:
    model = NeuralModel(NeuralConfig(7, 9, window, 3, 5, direct)).double()
    for parameter in model.parameters():  # zeros of a fresh model would hide mistakes
        torch.nn.init.normal_(parameter)
    tokens = torch.randint(7, (2, 9))
    found = model(tokens).detach().numpy()
    for row, text in zip(found, tokens.tolist(), strict=True):
        np.testing.assert_allclose(row, _by_hand(model, text), atol=1e-12)


@pytest.mark.parametrize("direct", [True, False])
def test_gradients_are_those_of_finite_differences(direct: bool) -> None:
    model = NeuralModel(NeuralConfig(5, 6, 3, 2, 4, direct)).double()
    tokens, targets = torch.randint(5, (2, 6)), torch.randint(5, (2, 6))
    names, values = zip(*model.named_parameters(), strict=True)
    assert len(names) == 6 + direct

    def loss(*given: torch.Tensor) -> torch.Tensor:
        logits = torch.func.functional_call(model, dict(zip(names, given, strict=True)), (tokens,))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    torch.testing.assert_close(loss(*values), model.loss(tokens, targets))
    assert torch.autograd.gradcheck(loss, values)


def test_it_sees_its_window_and_no_more() -> None:
    model = NeuralModel(NeuralConfig(11, 20, 4, 3, 8))
    tokens = torch.randint(11, (1, 20))
    other = tokens.clone()
    other[0, 9] = (tokens[0, 9] + 1) % 11
    changed = (model(tokens) != model(other)).any(-1)[0]
    assert changed.nonzero()[:, 0].tolist() == [9, 10, 11, 12]


def _second_order_chain(length: int) -> tuple[torch.Tensor, float]:
    """A stream of 5 letters where the last two decide the next, and its entropy in nats."""
    random = np.random.default_rng(0)
    chain = random.dirichlet(np.full(5, 0.3), size=(5, 5))
    text = [0, 1]
    for _ in range(length):
        text.append(int(random.choice(5, p=chain[text[-2], text[-1]])))
    nats = [-math.log(chain[a, b, c]) for a, b, c in zip(text, text[1:], text[2:], strict=False)]
    return torch.tensor(text), float(np.mean(nats))


@pytest.mark.parametrize("direct", [True, False])
def test_it_learns_a_chain_to_its_entropy(direct: bool) -> None:
    """Two tokens are enough and one is not: the window decides."""
    stream, entropy = _second_order_chain(6000)
    losses = {}
    for window in (1, 2):
        torch.manual_seed(0)
        model = NeuralModel(NeuralConfig(5, 50, window, 8, 48, direct))
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(250):
            places = torch.randint(len(stream) - 51, (24, 1)) + torch.arange(51)
            for group in optimiser.param_groups:
                group["lr"] = 1e-2 * (1 - step / 250)
            both = stream[places]
            optimiser.zero_grad()
            model.loss(both[:, :-1], both[:, 1:]).backward()
            optimiser.step()
        with torch.no_grad():
            losses[window] = model.loss(stream[None, :-1], stream[None, 1:]).item()
    assert abs(losses[2] - entropy) < 0.02
    assert losses[1] > entropy + 0.2


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="expected a window of one token or more"):
        NeuralConfig(5, 8, window=0)


def test_configurations_survive_a_file() -> None:
    config = NeuralConfig(5, 8, 3, 4, 6, direct=False, dropout=0.25)
    assert part_from_json(config_to_json(config)) == config
