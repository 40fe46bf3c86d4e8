"""Training steps of a LLaMA beside Hugging Face's: forward, backward and fused AdamW.

The same weights, tokens, optimiser and thread in one process; contenders take turns, so that what
else the machine does meets all of them; CPU seconds, least of the rounds. "switch" is torch's
matmul precision "medium", which on AMD chips is oneDNN's true float32 (see `train/precision.py`).
The losses of all steps must agree.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.train.precision import choose_precision

SIZES = {
    "15M": Size(32_000, 288, 6, 6, 512, inner_width=768),
    "110M": Size(32_000, 768, 12, 12, 512, inner_width=2048),
}
ROUNDS = {"15M": 7, "110M": 3}
BATCH, TIME = 4, 256
PEAKS = {"float32": 240.0, "bfloat16": 480.0}  # GFLOP/s of one core of the machine of docs/speed.md


@dataclass
class Contender:
    """A model with its optimiser, and what its steps took and gave."""

    name: str
    model: nn.Module
    switch: bool
    half: bool = False
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def step(self, tokens: Tensor, targets: Tensor) -> None:
        """One update, timed."""
        with precision(self.switch):
            start = time.process_time()
            self.optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                loss = self.loss(tokens, targets)
            loss.backward()
            self.optimiser.step()
            self.seconds.append(time.process_time() - start)
        self.losses.append(loss.item())

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy."""
        if isinstance(self.model, Decoder):
            return self.model.loss(tokens, targets)
        # shift_labels: what follows each token, as ours; labels would be shifted once more
        made: Any = self.model(tokens, labels=targets, shift_labels=targets, use_cache=False)
        return made.loss


@contextmanager
def precision(switch: bool) -> Iterator[None]:
    """Float32 products by oneDNN or as torch does by default."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(choose_precision() if switch else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def peer(decoder: Decoder, size: Size) -> nn.Module:
    """Transformers' LLaMA with the weights of ours."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from muybridge.language.hf_names import state_to_hf

    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.inner_width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=size.context,
        rms_norm_eps=decoder.config.norm_epsilon,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.load_state_dict(state_to_hf(decoder.config, decoder.state_dict()), strict=False)
    model.tie_weights()
    return model


def contenders(size: Size, half: bool) -> list[Contender]:
    """Ours and theirs from the same start; float32 without and with the switch, or bfloat16."""
    config = replace(make_family("llama2", size), tied=True)
    torch.manual_seed(0)
    ours = Decoder(config)
    here = importlib.util.find_spec("transformers") is not None
    if half:
        theirs = [Contender("HF bfloat16", peer(ours, size), True, True)] if here else []
        return [*theirs, Contender("ours bfloat16", ours, True, True)]
    theirs = []
    if here:
        theirs.append(Contender("HF float32", peer(ours, size), False))
        theirs.append(Contender("HF float32 + switch", peer(ours, size), True))
    return [*theirs, Contender("ours float32 + switch", ours, True)]


def compare(name: str, half: bool) -> None:
    """Run the rounds of one size and print its rows."""
    size = SIZES[name]
    found = contenders(size, half)
    random = torch.Generator().manual_seed(1)
    for _ in range(ROUNDS[name] + 1):
        text = torch.randint(0, size.vocabulary, (BATCH, TIME + 1), generator=random)
        for contender in found:
            contender.step(text[:, :-1].contiguous(), text[:, 1:].contiguous())
    ours = found[-1]
    parameters = sum(p.numel() for p in ours.model.parameters())
    kind = "bfloat16" if half else "float32"
    for contender in found:
        seconds = min(contender.seconds[1:])  # the first step warms up
        ratios = [a / b for a, b in zip(contender.seconds[1:], ours.seconds[1:], strict=True)]
        goal = _goal(name, contender)
        gap = max(abs(a - b) for a, b in zip(contender.losses, ours.losses, strict=True))
        rate = 6e-9 * parameters * BATCH * TIME / seconds
        print(
            f"  {name:>4} {contender.name:<22} {BATCH * TIME / seconds:7.0f} tokens/s, "
            f"{rate:4.0f} GFLOP/s ({rate / PEAKS[kind]:3.0%} of peak), ours is "
            f"{seconds / min(ours.seconds[1:]):5.2f} times as fast (rounds: median "
            f"{statistics.median(ratios):.2f}){goal}; losses differ by {gap:.0e}"
        )


def _goal(name: str, contender: Contender) -> str:
    goals = {
        ("15M", "HF float32"): 1.5,
        ("110M", "HF float32"): 1.7,
        ("110M", "HF float32 + switch"): 1.05,
        ("110M", "HF bfloat16"): 1.1,
    }
    goal = goals.get((name, contender.name))
    return f" (goal {goal})" if goal else ""


def main() -> None:
    """Print the table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if importlib.util.find_spec("transformers"):
        print(f"transformers {version('transformers')}, torch {torch.__version__}, one thread")
    else:
        print("transformers is not installed: pip install transformers==5.23.0")
    print(f"batch {BATCH} x {TIME}, vocabulary 32,000, tied; float32 switch: {choose_precision()}")
    for name in SIZES:
        for half in (False, True):
            compare(name, half)
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
