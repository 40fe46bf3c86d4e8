"""The training loop: any model, any data, resumed bit for bit.

    for each step:  read the step's batches (accumulation: one after another)
                    loss = sum_i count_i loss_i / sum_i count_i     over ALL batches of the step
                    clip, set the rate, step, average the weights
    sometimes:      validate, keep the best weights; write a checkpoint

What differs from the usual loops: the data of a step follow from its number alone, so there is no
iterator whose place must be saved; accumulated batches are weighed by what they count (tokens), not
one by one, which is wrong as soon as their lengths differ; one file is the whole state.

Files in the folder: `last.safetensors` (the state), `model.safetensors` (the best weights),
`log.jsonl` (one line a step).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from muybridge.atomic import write_bytes
from muybridge.errors import InputError
from muybridge.train.averaging import Ema
from muybridge.train.log import LogFile, StepReport
from muybridge.train.optim import make_optimizer
from muybridge.train.options import TrainOptions
from muybridge.train.precision import fast_matmul
from muybridge.train.schedule import make_schedule
from muybridge.train.snapshot import (
    Snapshot,
    optimiser_tensors,
    read_snapshot,
    restore_optimiser,
    write_snapshot,
)

__all__ = ["LAST", "MODEL", "Listener", "Task", "TrainResult", "check_same", "train"]

LAST, MODEL = "last.safetensors", "model.safetensors"
Listener = Callable[[StepReport], None]


@runtime_checkable
class Task(Protocol):
    """What is learned: a model, where its data come from, and what it is judged by."""

    model: nn.Module

    def batches(self, step: int) -> Sequence[Any]:
        """The batches of a step, always the same for the same step."""
        ...

    def count(self, batch: Any) -> int:
        """What the batch's mean loss is over: target tokens, say."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """Mean loss of a batch, with gradient."""
        ...

    def validate(self) -> float | None:
        """Loss on data that are never learned; None: there are none."""
        ...

    def after_step(self) -> None:
        """Anything that is no gradient: routing biases, say."""
        ...

    def describe(self, batch: Any) -> str:
        """Where the batch's data lie, for messages."""
        ...


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How it ended: steps done, best validation (None without validation data), seconds."""

    steps: int
    best: float | None
    seconds: float


@dataclasses.dataclass
class _State:
    """Everything that changes from step to step."""

    optimisers: list[Optimizer]
    average: Ema | None
    step: int = 0
    best: float | None = None
    tokens: int = 0


def train(
    task: Task,
    options: TrainOptions,
    folder: Path,
    *,
    listeners: Sequence[Listener] = (),
    until: int | None = None,
) -> TrainResult:
    """Train, or go on with a training that was broken off.

    Args:
        task: Model and data. Its model holds the last weights afterwards.
        options: How; those of a training that goes on must be the same.
        folder: Takes the files named above.
        listeners: Told of every step.
        until: Stop after this step, as if broken off there.
    Raises:
        InputError: If the loss is not finite, memory runs out, or the folder's training is another.
    """
    options.check()
    average = Ema(task.model, options.average) if options.average else None
    state = _State(_optimisers(task.model, options), average)
    if (folder / LAST).is_file():
        _resume(task, options, state, folder / LAST)
    told: list[Listener] = [LogFile(folder / "log.jsonl", state.step), *listeners]
    schedule = make_schedule(options.schedule, options.steps, options.warmup_steps, options.floor)
    started, end = (
        time.perf_counter(),
        min(options.steps, options.steps if until is None else until),
    )
    task.model.train()
    with _precision(options) as autocast:
        clock = time.process_time()
        while state.step < end:
            report = _step(task, options, state, schedule, autocast)
            report = _judge(task, options, state, report, folder)
            before, clock = clock, time.process_time()
            report = dataclasses.replace(report, cpu_seconds=clock - before)
            for listener in told:  # the log before the checkpoint: what it has too much is dropped
                listener(report)
            if state.step == options.steps or state.step % options.save_every == 0:
                write_snapshot(folder / LAST, _snapshot(task.model, options, state))
    if state.step == options.steps and not (folder / MODEL).is_file():  # lost since it ended
        with state.average.swap() if state.average else nullcontext():
            _keep_weights(task.model, folder)
    return TrainResult(state.step, state.best, time.perf_counter() - started)


def _step(
    task: Task,
    options: TrainOptions,
    state: _State,
    schedule: Callable[[int], float],
    autocast: Callable[[], AbstractContextManager[Any]],
) -> StepReport:
    """One update."""
    started = time.perf_counter()
    for optimiser in state.optimisers:
        optimiser.zero_grad(set_to_none=True)
    batches = task.batches(state.step)
    counts = [task.count(batch) for batch in batches]
    total, loss = sum(counts), 0.0
    for batch, count in zip(batches, counts, strict=True):
        with autocast():
            part = task.loss(batch) * (count / total)
        part.backward()
        _check_finite(part.item(), "loss", state.step, task.describe(batch))
        loss += part.item()
    norm = nn.utils.clip_grad_norm_(task.model.parameters(), options.clip or math.inf).item()
    _check_finite(norm, "gradient", state.step, task.describe(batches[-1]))
    multiple = schedule(state.step)
    for optimiser in state.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * multiple
        optimiser.step()
    task.after_step()
    state.step, state.tokens = state.step + 1, state.tokens + total
    if state.average is not None:
        state.average.update()
    seconds = time.perf_counter() - started
    return StepReport(state.step, loss, options.rate * multiple, norm, total, seconds)


def _check_finite(value: float, what: str, step: int, where: str) -> None:
    if not math.isfinite(value):
        raise InputError(
            f"expected a finite {what}, got {value} in step {step + 1}, {where}; the last good "
            "checkpoint is kept: begin again in a new folder with a smaller rate"
        )


def _judge(
    task: Task, options: TrainOptions, state: _State, report: StepReport, folder: Path
) -> StepReport:
    """Validate when it is time, and keep the best weights."""
    due = options.evaluate_every and state.step % options.evaluate_every == 0
    if not due and state.step != options.steps:
        return report
    with state.average.swap() if state.average else nullcontext():
        task.model.eval()
        value = task.validate()
        task.model.train()
        if value is None or state.best is None or value < state.best:
            state.best = value
            _keep_weights(task.model, folder)
    return dataclasses.replace(report, validation=value)


def _keep_weights(model: nn.Module, folder: Path) -> None:
    weights = {n: t.contiguous().clone() for n, t in model.state_dict().items()}
    write_bytes(folder / MODEL, save(weights, {"format": "pt"}))


def _snapshot(model: nn.Module, options: TrainOptions, state: _State) -> Snapshot:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if state.average is not None:
        tensors |= {f"average.{n}": tensor for n, tensor in state.average.state_dict().items()}
    tensors |= optimiser_tensors(state.optimisers)
    tensors["random"] = torch.get_rng_state()
    facts = {"step": state.step, "best": state.best, "tokens": state.tokens}
    return Snapshot(tensors, facts | {"options": dataclasses.asdict(options)})


def _resume(task: Task, options: TrainOptions, state: _State, path: Path) -> None:
    snapshot = read_snapshot(path)
    check_same(snapshot.facts.get("options", {}), dataclasses.asdict(options), path)
    stored, wanted = snapshot.part("model"), task.model.state_dict()
    if {n: t.shape for n, t in stored.items()} != {n: t.shape for n, t in wanted.items()}:
        raise InputError(
            f"expected the model of this training in {path}, got other tensors; give the same "
            "family and size, or a new folder"
        )
    task.model.load_state_dict(stored)
    restore_optimiser(state.optimisers, snapshot)
    if state.average is not None:
        state.average.load_state_dict(snapshot.part("average"))
    torch.set_rng_state(snapshot.tensors["random"])
    facts = snapshot.facts
    state.step, state.best, state.tokens = facts["step"], facts["best"], facts["tokens"]


def check_same(old: Mapping[str, Any], new: Mapping[str, Any], path: Path) -> None:
    """Compare options: only how often it validates and saves may change on the way.

    Args:
        old: Of the training that goes on.
        new: Those given.
        path: Of its checkpoint.
    Raises:
        InputError: If another one differs.
    """
    free = {"evaluate_every", "save_every"}
    for name in sorted((old.keys() | new.keys()) - free):
        if old.get(name) != new.get(name):
            raise InputError(
                f"expected {name} {old.get(name)} as in the training of {path.parent}, got "
                f"{new.get(name)}; give the same, or train in a new folder"
            )


def _optimisers(model: nn.Module, options: TrainOptions) -> list[Optimizer]:
    """The optimisers, each group knowing its peak rate."""
    betas = (options.beta1, options.beta2)
    if options.optimiser == "muon":
        from muybridge.train.muon import make_muon

        rates = options.muon_rate, options.rate
        made = list(make_muon(model, *rates, options.weight_decay, betas))
    else:
        made = [make_optimizer(model, "adamw", options.rate, betas, options.weight_decay)]
    for optimiser in made:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return made


@contextmanager
def _precision(options: TrainOptions) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """Set the products' precision for the block; gives what wraps each forward pass."""
    if options.precision == "float32":
        yield nullcontext
        return
    with fast_matmul():
        if options.precision == "bfloat16":
            yield lambda: torch.autocast("cpu", torch.bfloat16)
        else:
            yield nullcontext
