"""Memory of training: checkpointing by policy, and attention by length.

Bytes are counted storage by storage as torch makes and frees them, not as the system reports them.
Seconds are CPU time, one thread, best of some runs. Checkpointing: a LLaMA of 16 layers of 128 on 4
texts of 256; its gradients must be the same bit for bit. Attention: one causal head of 64 channels,
forward and backward; its gradients must agree with the whole matrix's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.nn.flash import flash_attention
from muybridge.nn.reach import causal_mask
from muybridge.train.checkpointing import Policy, checkpointed
from tests.live_bytes import LiveBytes

POLICIES: list[Policy] = ["none", "selective", "every", "second", "sqrt"]
MIB = 2.0**20
REPEATS = 3


def _gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad for p in model.parameters() if p.grad is not None]


def checkpointing() -> None:
    """One line a policy."""
    decoder = Decoder(make_family("llama2", Size(256, 128, 16, 4, 256)))
    tokens = torch.randint(0, 256, (4, 257))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    whole, fastest, plain = 0, 0.0, []
    for policy in POLICIES:
        decoder.run_block = checkpointed(policy, decoder.config.layers)
        decoder.zero_grad(set_to_none=False)
        with LiveBytes() as live:
            hidden = decoder.states(inputs).hidden
            stored = live.now
            hidden.square().mean().backward()
        seconds = best(lambda: decoder.loss(inputs, targets).backward(), decoder.zero_grad)
        whole, fastest = whole or stored, fastest or seconds
        found = _gradients(decoder)
        plain = plain or [g.clone() for g in found]
        same = all(map(torch.equal, plain, found))
        print(
            f"  {policy!s:<10} kept {stored / MIB:7.1f} MiB, {stored / whole:6.1%}; peak "
            f"{live.peak / MIB:7.1f} MiB; a step {seconds / fastest:.2f} times as long; "
            f"gradients {'bitwise equal' if same else 'DIFFER'}"
        )


def best(work: Callable[[], object], before: Callable[[], object]) -> float:
    """Least CPU seconds of some runs, each prepared."""
    seconds = []
    for _ in range(REPEATS):
        before()
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def _whole_matrix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT * q.shape[-1] ** -0.5
    seen = causal_mask(q.shape[2], k.shape[2])
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


WAYS: dict[str, Callable[..., Tensor]] = {
    "the whole matrix": _whole_matrix,
    "ours, version 1": partial(flash_attention, backend="v1"),
    "ours, version 2": partial(flash_attention, backend="v2"),
    "torch's kernel": flash_attention,
}


def _attend(attend: Callable[..., Tensor], inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(attend(*inputs).square().sum(), inputs)


def attention() -> None:
    """One line a length and way."""
    for length in (512, 1024, 2048):
        inputs = [torch.randn(1, 1, length, 64, requires_grad=True) for _ in range(3)]
        reference = _attend(_whole_matrix, inputs)
        for name, attend in WAYS.items():
            with LiveBytes() as live:
                made = _attend(attend, inputs)
            pairs = zip(made, reference, strict=True)
            gap = max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
            seconds = best(partial(_attend, attend, inputs), lambda: None)
            print(
                f"  {length:>5} {name:<17} peak {live.peak / MIB:6.1f} MiB, {1e3 * seconds:7.1f} "
                f"ms; gradients differ by {gap:.0e} of the largest"
            )


def main() -> None:
    """Print both tables."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"checkpointing, torch {torch.__version__}")
    checkpointing()
    print("attention")
    attention()
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
