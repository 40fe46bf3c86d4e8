"""A word hidden in texts 16 times as long as trained: found with RoPE scaling, lost without.

Argument: a folder for the plot.
"""

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor
from torch.nn import functional

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.nn.rope import Llama3Scaling, Rope

mpl.use("Agg")
from matplotlib import pyplot as plt

CONTEXT, KINDS = 32, 16  # token 0 asks, 1 to 16 are needles, 17 to 32 hay


def texts(rows: int, length: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hay with one needle anywhere, then the question; and the needles."""
    tokens = torch.randint(1 + KINDS, 1 + 2 * KINDS, (rows, length), generator=random)
    needle = torch.randint(1, 1 + KINDS, (rows,), generator=random)
    tokens[torch.arange(rows), torch.randint(0, length - 1, (rows,), generator=random)] = needle
    tokens[:, -1] = 0
    return tokens, needle


def answer(decoder: Decoder, tokens: Tensor) -> Tensor:
    """Logits after the question."""
    return decoder.logits(decoder.states(tokens).hidden[:, -1:])[:, 0]


def train(seed: int, steps: int = 120) -> Decoder:
    """One block of LLaMA 3; all texts have the length of the context."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    config = make_family("llama3", Size(1 + 2 * KINDS, 32, 1, 2, CONTEXT, 2))
    decoder = Decoder(replace(config, rope=Rope(100.0)))
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2, weight_decay=0.0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * min(1, (step + 1) / 20, (steps - step) / 40)
        tokens, needle = texts(32, CONTEXT, random)
        optimiser.zero_grad()
        functional.cross_entropy(answer(decoder, tokens), needle).backward()
        optimiser.step()
    return decoder.eval()


@torch.no_grad()
def accuracy(decoder: Decoder, length: int, factor: float | None) -> float:
    """Share of needles found in 128 new texts, the frequencies stretched as Llama 3.1 does."""
    scaling = factor and Llama3Scaling(factor, original_context=CONTEXT)
    rope = replace(decoder.config.rope, scaling=scaling)
    other = Decoder.from_state(replace(decoder.config, rope=rope), decoder.state_dict())
    tokens, needle = texts(128, length, torch.Generator().manual_seed(9))
    return (answer(other, tokens).argmax(-1) == needle).float().mean().item()


if __name__ == "__main__":
    trained = train(seed=0)
    lengths = [times * CONTEXT for times in (1, 2, 4, 8, 16)]
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    print("length      " + "".join(f"{length:>6}" for length in lengths))
    for name, factor in (("not scaled", None), ("scaled by 8", 8.0), ("scaled by 16", 16.0)):
        shares = [accuracy(trained, length, factor) for length in lengths]
        print(f"{name:<12}" + "".join(f"{share:6.2f}" for share in shares))
        axes.semilogx(lengths, shares, "o-", base=2, label=name)
    axes.axhline(1 / KINDS, color="k", ls=":", label="by chance")
    axes.axvline(CONTEXT, color="0.7", ls="--", label="trained length")
    axes.set(xlabel="tokens", ylabel="needles found", ylim=(0, 1.04), xticks=lengths)
    axes.set_xticklabels(lengths)
    axes.legend(fontsize=8)
    figure.savefig(Path((*sys.argv, ".")[1]) / "needle.png", dpi=80)
