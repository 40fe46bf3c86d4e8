"""A small decoder learns a text on any number of processes, and goes on with any other number.

    torchrun --nproc-per-node 2 examples/data_parallel.py FOLDER TEXT [--sharded]
    python examples/data_parallel.py FOLDER TEXT

Each line of the text is a document of bytes. A step is four flat batches, shared out among the
ranks (1, 2 or 4); each counts by its tokens, so the steps are the same however many ranks there
are. FOLDER/checkpoint is read if it is there and written at the end. `--sharded` keeps but a part
of the weights and moments in each process (FSDP2).
"""

import sys
from itertools import islice
from pathlib import Path

import torch
from torch.nn import functional

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.train.distributed import (
    Ranks,
    data_parallel,
    load_distributed,
    mine,
    process_group,
    save_distributed,
    sharded,
    share_of_loss,
)
from muybridge.train.packing import FlatBatch, stream

STEPS, BATCHES, ROOM = 15, 4, 512


def batches(text: bytes, step: int) -> list[FlatBatch]:
    """Those of a step."""
    rows = stream((list(line) for line in text.splitlines()), ROOM)
    return list(islice(rows, BATCHES * step, BATCHES * (step + 1)))


def learn(folder: Path, text: bytes, ranks: Ranks, in_parts: bool) -> None:
    """Fifteen steps more."""
    torch.manual_seed(0)
    decoder = Decoder(make_family("llama3", Size(256, 64, 2, 4, ROOM)))
    model = sharded(decoder, decoder.blocks) if in_parts else data_parallel(decoder)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    saved, first = folder / "checkpoint", 0
    if saved.is_dir():
        first = load_distributed(saved, model, optimiser)
    for step in range(first, first + STEPS):
        every = batches(text, step)
        own, tokens = mine(every, ranks), sum(flat.predicted for flat in every)
        window, loss = sum(flat.predicted for flat in own), torch.zeros(())
        optimiser.zero_grad()
        for flat in own:
            logits = model(flat.tokens, lengths=flat.lengths)
            part = functional.cross_entropy(logits[0], flat.targets[0])
            share_of_loss(part, flat.predicted, window).backward()
            loss += part.detach() * flat.predicted / tokens
        optimiser.step()
        if ranks.size > 1:
            torch.distributed.all_reduce(loss)
        if ranks.rank == 0:
            print(f"step {step + 1:>3}: {tokens:,} tokens, loss {loss.item():.6f}", flush=True)
    save_distributed(saved, model, optimiser, first + STEPS)


if __name__ == "__main__":
    with process_group() as ranks:
        learn(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), ranks, "--sharded" in sys.argv)
