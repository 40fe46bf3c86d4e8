"""Trains a small decoder in one of several processes; `torchrun` starts it, the test reads it.

Arguments: the folder for what it leaves.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.train.distributed import (
    Ranks,
    data_parallel,
    mine,
    process_group,
    save_distributed,
    sharded,
    share_of_loss,
)
from muybridge.train.packing import FlatBatch, flatten

STEPS = 3
LENGTHS = ((3, 4), (17,), (9, 9, 9), (2,))  # far from equal, so that wrong weights show


def make_decoder() -> Decoder:
    """The same in every process."""
    torch.manual_seed(0)
    size = Size(vocabulary=31, width=16, layers=2, heads=2, context=32)
    return Decoder(make_family("llama2", size))


def make_optimiser(model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum: unlike Adam's, its steps grow with the gradient's size."""
    return torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)


def batches() -> list[FlatBatch]:
    """A step's batches; rank r of 2 gets every second."""
    generator = torch.Generator().manual_seed(1)
    return [
        flatten([torch.randint(0, 31, (n,), generator=generator).tolist() for n in lengths])
        for lengths in LENGTHS
    ]


def learn(model: nn.Module, optimiser: torch.optim.Optimizer, ranks: Ranks, steps: int) -> None:
    """Steps over one of the rank's batches after another."""
    own = mine(batches(), ranks)
    for step in range(steps):
        flat = own[step % len(own)]
        logits = model(flat.tokens, lengths=flat.lengths)
        loss = functional.cross_entropy(logits[0], flat.targets[0])
        optimiser.zero_grad()
        share_of_loss(loss, flat.predicted).backward()
        optimiser.step()


def whole(model: nn.Module) -> dict[str, Tensor]:
    """All weights, gathered from the ranks."""
    return {
        name.removeprefix("module."): t.full_tensor() if isinstance(t, DTensor) else t
        for name, t in model.state_dict().items()
    }


def main(folder: Path) -> None:
    """Train both ways; rank 0 leaves the weights, all leave checkpoints."""
    with process_group("gloo") as ranks:
        for kind in ("ddp", "fsdp"):
            decoder = make_decoder()
            if kind == "ddp":
                model = data_parallel(decoder)
            else:
                model = sharded(decoder, decoder.blocks)
                held = sum(p.to_local().numel() for p in model.parameters())
                torch.save(held, folder / f"held.{ranks.rank}.pt")
            optimiser = make_optimiser(model)
            learn(model, optimiser, ranks, STEPS)
            save_distributed(folder / kind, model, optimiser, STEPS)
            weights = whole(model)
            if ranks.rank == 0:
                torch.save(weights, folder / f"{kind}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
