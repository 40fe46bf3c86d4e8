"""Gradient checkpointing: forget activations in the forward pass, compute them again for backward.

A model calls its blocks through a runner, `runner(block, x, *others)`, and a policy says what the
runner keeps:

| policy | kept | computed again |
|---|---|---|
| "none" | everything | nothing |
| "every" | the input of every block | one block at a time |
| "second" | the input of every second block | two blocks at a time |
| k | the input of every k-th block | k blocks at a time |
| "sqrt" | as k = sqrt(L): about sqrt(L) inputs, then sqrt(L) blocks: O(sqrt L) | once |
| "selective" | inputs, and what matrix products and attention gave | the cheap rest |

What differs from torch: `checkpoint_sequential` wants the blocks as one `nn.Sequential`; here each
call is still one block, and a segment grows for as long as a block's input is the block before's
output. Gradients are the same bit for bit, for the random numbers of dropout are drawn again from
the same state, under the same autocast.

Traps: what a block changes in passing (running statistics, counters) is changed twice; a block's
other arguments are kept as they are; without gradients nothing is done.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import (
    checkpoint,
    create_selective_checkpoint_contexts,
    get_device_states,
    set_device_states,
)

from muybridge.errors import InputError
from muybridge.train.options import CheckpointPolicy

__all__ = ["Policy", "Runner", "checkpointed", "segment_length"]

Policy = CheckpointPolicy | int
Runner = Callable[..., Any]

_LENGTHS: dict[str, int] = {"every": 1, "second": 2}
_COSTLY = [
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
]


class _Surroundings:
    """The random state and the autocast of the forward pass, to be had again."""

    def __init__(self, x: Tensor) -> None:
        self.kind = x.device.type
        self.random = torch.get_rng_state()
        self.devices, self.states = get_device_states(x)
        self.autocast = torch.is_autocast_enabled(self.kind)
        self.dtype = torch.get_autocast_dtype(self.kind)

    @contextmanager
    def again(self) -> Iterator[None]:
        """The same state for the block; afterwards the present one is back."""
        with (
            torch.random.fork_rng(devices=self.devices, enabled=True),
            torch.autocast(self.kind, self.dtype, self.autocast),
            torch.enable_grad(),
        ):
            torch.set_rng_state(self.random)
            if self.devices:
                set_device_states(self.devices, self.states)
            yield


class _Segment:
    """Blocks in a row of which only the first one's input is kept.

    While they run, each tensor that autograd wants to save is replaced by its number. The first
    number that is asked for in the backward pass makes the segment run again and save for real.
    """

    def __init__(self, x: Tensor) -> None:
        self.start = x.detach().requires_grad_(x.requires_grad)
        self.surroundings = _Surroundings(x)
        self.calls: list[tuple[Runner, tuple[Any, ...]]] = []
        self.saved = 0
        self.held: dict[int, Tensor] = {}
        self.output: weakref.ref[Tensor] | None = None

    def follows(self, x: Tensor) -> bool:
        """Whether x is what the last block gave, and no copy or part of it."""
        return self.output is not None and self.output() is x

    def run(self, block: Runner, x: Tensor, others: tuple[Any, ...]) -> Any:
        """One more block, of whose inside nothing is kept."""
        self.calls.append((block, others))
        with saved_tensors_hooks(self._number, self._tensor):
            made = block(x, *others)
        self.output = weakref.ref(_stream(made))
        return made

    def _number(self, tensor: Tensor) -> int:
        self.saved += 1
        return self.saved - 1

    def _tensor(self, number: int) -> Tensor:
        if number not in self.held:
            self._again()
        return self.held.pop(number)

    def _again(self) -> None:
        """Run the whole segment once more and keep what it saves."""
        made: list[Tensor] = []

        def keep(tensor: Tensor) -> int:
            made.append(tensor.detach())
            return len(made) - 1

        x = self.start
        with self.surroundings.again(), saved_tensors_hooks(keep, made.__getitem__):
            for block, others in self.calls:
                x = _stream(block(x, *others))
        assert len(made) == self.saved, (
            f"the second run saved {len(made)} tensors and the first {self.saved}; a block must "
            "do the same each time"
        )
        self.held = dict(enumerate(made))


def _stream(made: Any) -> Tensor:
    """What goes on to the next block: a block's output, or the first of several."""
    stream: Tensor = made[0] if isinstance(made, tuple) else made
    return stream


class _Segments:
    """A runner that keeps the input of every `length`-th block."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.segment: weakref.ref[_Segment] | None = None

    def __call__(self, block: Runner, x: Tensor, *others: Any) -> Any:
        if not torch.is_grad_enabled():
            return block(x, *others)
        segment = self.segment() if self.segment is not None else None
        if segment is None or len(segment.calls) == self.length or not segment.follows(x):
            segment = _Segment(x)
            self.segment = weakref.ref(segment)  # the graph alone keeps it alive
        return segment.run(block, x, others)


def _plain(block: Runner, *arguments: Any) -> Any:
    return block(*arguments)


def _selective(block: Runner, *arguments: Any) -> Any:
    contexts = partial(create_selective_checkpoint_contexts, _COSTLY)
    return checkpoint(block, *arguments, use_reentrant=False, context_fn=contexts)


def segment_length(policy: Policy, layers: int) -> int:
    """Blocks that are computed again together.

    Args:
        policy: "every", "second", "sqrt" or a number.
        layers: Blocks of the model, L.
    Raises:
        InputError: If the number is below 1, or the policy has no segments.
    References:
        Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174, section 4.
    """
    if policy == "sqrt":
        return max(1, math.isqrt(layers))
    length = _LENGTHS.get(policy, 0) if isinstance(policy, str) else policy
    if length < 1:
        raise InputError(
            f"expected segments of at least 1 block, got {policy}; give a positive number, or one "
            f"of {', '.join(_LENGTHS)}, sqrt"
        )
    return length


def checkpointed(policy: Policy, layers: int) -> Runner:
    """A runner `(block, x, *others) -> outputs` that keeps what the policy says.

    Args:
        policy: See the head of this file.
        layers: Blocks of the model, L; "sqrt" depends on it.
    Raises:
        InputError: If segments are shorter than a block.
    References:
        Chen et al., arXiv 1604.06174.
    """
    if policy == "none":
        return _plain
    if policy == "selective":
        return _selective
    return _Segments(segment_length(policy, layers))
