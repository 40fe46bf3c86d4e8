"""Documents of unequal length: padded rows, HF's packing by position ids, and our flat batches.

A LLaMA body (6 layers of 288, 6 heads, inner width 768; vocabulary 4,096) with the same weights in
transformers and here, on 16 documents that fill 36 % of a padded batch. Forward and backward, one
thread, CPU time, best of some runs; the losses and gradients must agree.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.language.hf import export_hf
from muybridge.train.packing import NO_TARGET, FlatBatch, flatten, mask_of_lengths, pad, unpad

LENGTHS = (14, 32, 33, 50, 51, 54, 58, 75, 80, 93, 97, 99, 120, 150, 191, 255)
SIZE = Size(vocabulary=4096, width=288, layers=6, heads=6, context=512, inner_width=768)
REPEATS = 3


def best(work: Callable[[], Tensor], model: nn.Module) -> tuple[float, float, float]:
    """Least CPU seconds of some forward and backward passes, the loss, the gradients' norm."""
    seconds = []
    for _ in range(REPEATS):
        model.zero_grad()
        start = time.process_time()
        loss = work()
        loss.backward()
        seconds.append(time.process_time() - start)
    gradients = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    return min(seconds), loss.item(), float(torch.stack(gradients).norm())


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def rows(flat: FlatBatch) -> tuple[Tensor, Tensor]:
    """The same documents padded to the longest: tokens and targets."""
    real = mask_of_lengths(flat.lengths, max(flat.lengths))
    indices = unpad(real, real).indices
    tokens = pad(flat.tokens[0], indices, *real.shape)
    targets = pad(flat.targets[0], indices, *real.shape).masked_fill(~real, NO_TARGET)
    return tokens, targets


def peer(decoder: Decoder) -> Any:
    """Transformers' LLaMA with the weights of ours."""
    from transformers import LlamaForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        export_hf(decoder, Path(folder))
        return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def main() -> None:
    """Print the table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    decoder = Decoder(make_family("llama2", SIZE))
    flat = flatten([torch.randint(0, SIZE.vocabulary, (n,)).tolist() for n in LENGTHS])
    tokens, targets = rows(flat)
    real = sum(LENGTHS)
    fill = real / tokens.numel()
    print(f"{len(LENGTHS)} documents, {real:,} tokens, fill {fill:.3f}")
    table = {"padded rows": best(lambda: _loss(decoder(tokens), targets), decoder)}
    if importlib.util.find_spec("transformers"):
        other = peer(decoder)
        packed = best(
            lambda: _loss(
                other(flat.tokens, position_ids=flat.positions, use_cache=False).logits,
                flat.targets,
            ),
            other,
        )
        table[f"transformers {version('transformers')}, packed"] = packed
    else:
        print("transformers is not installed: pip install transformers==5.23.0")
    ours = best(lambda: _loss(decoder(flat.tokens, lengths=flat.lengths), flat.targets), decoder)
    table["flat batch"] = ours
    for name, (seconds, loss, norm) in table.items():
        goal = {"padded rows": "  (goal 2.5)", "flat batch": ""}.get(name, "  (goal 1.6)")
        gap = abs(norm / ours[2] - 1)
        print(
            f"  {name:<30} {real / seconds:8,.0f} real tokens/s, ours {seconds / ours[0]:.2f} "
            f"times as fast{goal}; loss {loss:.5f}, norm of the gradient off by {gap:.0e}"
        )
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
