"""Every decoder family learns a chain whose entropy is known, down to that entropy."""

from functools import cache

import pytest
import torch
from torch import Tensor

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.families import FAMILIES, Size, make_family
from muybridge.language.text_task import TextTask, stream_loss
from muybridge.train.muon import make_muon

SYMBOLS, STEPS = 6, 500


@cache
def chain() -> tuple[Tensor, float]:
    """A stream in which two symbols decide the next, and its entropy in nats a symbol."""
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(SYMBOLS, SYMBOLS, SYMBOLS, generator=random)
    chances = noise.pow(6) / noise.pow(6).sum(-1, keepdim=True)
    draws = torch.rand(24_000, generator=random).tolist()
    table = chances.cumsum(-1).tolist()
    made = [0, 1]
    for draw in draws:
        row = table[made[-2]][made[-1]]
        made.append(next((k for k, top in enumerate(row) if draw < top), SYMBOLS - 1))
    stream = torch.tensor(made)
    seen = chances[stream[:-2], stream[1:-1], stream[2:]]
    return stream, -seen.log().mean().item()


def test_ids_outside_the_vocabulary_are_named() -> None:
    decoder = Decoder(make_family("gpt2", Size(SYMBOLS, 8, 1, 1, 8)))
    for wrong in (torch.arange(SYMBOLS + 1).repeat(9), torch.arange(-1, 20) % SYMBOLS - 1):
        with pytest.raises(InputError, match="token ids from 0 to 5"):
            TextTask(decoder, wrong, None, window=8, batch=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_learns_a_chain_to_its_entropy(family: str) -> None:
    stream, entropy = chain()
    torch.manual_seed(0)
    size = Size(SYMBOLS, 32, 2, 2, 32, experts=4, active=2, inner_width=72)
    decoder = Decoder(make_family(family, size))
    task = TextTask(decoder, stream[:20_000], None, window=32, batch=16)
    optimisers = make_muon(decoder, 0.02, 5e-3)
    for step in range(STEPS):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group.setdefault("peak", group["lr"])
                group["lr"] = group["peak"] * (1 - step / STEPS)
            optimiser.zero_grad()
        task.loss(task.batches(step)[0]).backward()
        for optimiser in optimisers:
            optimiser.step()
        task.after_step()
    nats, predicted = stream_loss(decoder.eval(), stream[20_000:], 32)
    assert predicted == 4001
    assert nats < 1.05 * entropy, f"{nats:.4f} against {entropy:.4f}"
    assert nats > 0.95 * entropy  # no model can know more than the chain
