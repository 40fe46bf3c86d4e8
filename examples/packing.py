"""Documents of unequal length without padding. Argument: a folder for the plot.

Draws which documents share a row, and trains nothing: it shows that the loss of a packed row is
that of its documents one by one, and what happens where they are not kept apart.
"""

import sys
import time
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor
from torch.nn import functional

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.train.packing import (
    best_fit_decreasing,
    flatten,
    mask_of_lengths,
    next_fit,
    stream,
)

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOM, VOCABULARY = 512, 256
generator = torch.Generator().manual_seed(0)
lengths = torch.randn(60, generator=generator).mul(0.9).add(4.6).exp().long().clamp(4, ROOM)
documents = [
    torch.randint(VOCABULARY, (n,), generator=generator).tolist() for n in lengths.tolist()
]
sizes = [len(document) for document in documents]
ways = {
    "padded": [[size] for size in sizes],
    "next-fit": [[sizes[i] for i in row] for row in next_fit(sizes, ROOM)],
    "streaming, 20 held": [list(flat.lengths) for flat in stream(documents, ROOM, pool=20)],
    "best-fit decreasing": [[sizes[i] for i in row] for row in best_fit_decreasing(sizes, ROOM)],
}

figure, grid = plt.subplots(1, 4, figsize=(10, 3.4), sharex=True, layout="constrained")
for axes, (name, rows) in zip(grid, ways.items(), strict=True):
    fill = sum(sizes) / (ROOM * len(rows))
    print(f"{name:<20} {len(rows):>2} rows of {ROOM}, {fill:.1%} filled")
    for place, row in enumerate(rows):
        axes.barh(place, ROOM, height=0.9, color="0.88")
        start = 0
        for number, size in enumerate(row):
            axes.barh(place, size, left=start, height=0.9, color=f"C{(place + 3 * number) % 10}")
            start += size
    axes.set(title=f"{name}: {fill:.0%}", xlabel="tokens", yticks=[], xlim=(0, ROOM))
    axes.set_ylim(59.6, -0.6)
figure.savefig(Path((*sys.argv, ".")[1]) / "packing.png", dpi=80)

torch.manual_seed(0)
decoder = Decoder(make_family("llama3", Size(VOCABULARY, 64, 2, 4, ROOM)))


def total(tokens: Tensor, targets: Tensor, kept_apart: tuple[int, ...] | None) -> float:
    """Sum of the losses of all tokens."""
    logits = decoder(tokens, lengths=kept_apart)
    return float(functional.cross_entropy(logits[0], targets[0], reduction="sum"))


with torch.no_grad():
    flat = flatten(documents[:20])
    alone = [flatten([document]) for document in documents[:20]]
    separate = sum(total(one.tokens, one.targets, None) for one in alone)
    packed = total(flat.tokens, flat.targets, flat.lengths)
    mixed = total(flat.tokens, flat.targets, None)
    print(f"loss of 20 documents one by one {separate:.4f}, packed {packed:.4f}, mixed {mixed:.4f}")
    padded = torch.zeros(20, max(flat.lengths), dtype=torch.long)
    padded[mask_of_lengths(flat.lengths, max(flat.lengths))] = flat.tokens[0]
    started = time.perf_counter()
    decoder(padded)
    between = time.perf_counter()
    decoder(flat.tokens, lengths=flat.lengths)
    ratio = (between - started) / (time.perf_counter() - between)
print(f"{flat.tokens.numel() / padded.numel():.0%} real tokens: flat {ratio:.1f} times as fast")
