"""Several processes on one training: DDP, FSDP2, the right loss, and checkpoints for any number.

    torchrun --nproc-per-node 2 train.py            each process runs the same file

    with process_group() as ranks:
        model = data_parallel(model)                # whole weights in each process
        model = sharded(model, model.blocks)        # or: a part of each weight in each
        for batch in mine(batches, ranks): ...
            loss = share_of_loss(mean_loss, count)  # weighed by the tokens of ALL ranks
            loss.backward()

Without torchrun there is one rank and all of this does nothing, so a script needs no second path.

Traps: both wrappers AVERAGE gradients over ranks, so a rank's mean loss counts as much with ten
tokens as with a thousand; `share_of_loss` undoes that. Every rank must do as many backward passes
as the others, or all wait for ever. Checkpoints are folders, and each rank must call.
Process groups and the sharding itself are torch's.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from muybridge.errors import InputError

__all__ = [
    "Ranks",
    "data_parallel",
    "load_distributed",
    "mine",
    "process_group",
    "save_distributed",
    "sharded",
    "share_of_loss",
    "total_over_ranks",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Which process this is, and of how many."""

    rank: int = 0
    size: int = 1


@contextmanager
def process_group(backend: str | None = None) -> Iterator[Ranks]:
    """Join the processes that torchrun started, for the block.

    Args:
        backend: "gloo" or "nccl"; None: nccl where there is CUDA.
    Raises:
        InputError: If torchrun's environment is there in part only.
    """
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in names if name not in os.environ]
    if len(missing) == len(names):
        yield Ranks()
        return
    if missing:
        raise InputError(
            f"expected {', '.join(names)} in the environment, got none for {', '.join(missing)}; "
            "start with torchrun, or unset them all"
        )
    dist.init_process_group(backend or ("nccl" if torch.cuda.is_available() else "gloo"))
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
        dist.barrier()  # who leaves early breaks the connections of those still at work
    finally:
        dist.destroy_process_group()


def _world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def mine(items: Sequence[T], ranks: Ranks) -> Sequence[T]:
    """Every size-th item from the rank's own on.

    Raises:
        InputError: If the items cannot be shared out equally.
    """
    if len(items) % ranks.size:
        raise InputError(
            f"expected batches in a multiple of {ranks.size} ranks, got {len(items)}; change the "
            "batches of a step"
        )
    return items[ranks.rank :: ranks.size]


def total_over_ranks(count: int) -> int:
    """The sum of a count over all ranks."""
    if _world() == 1:
        return count
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    total = torch.tensor(count, device=device)
    dist.all_reduce(total)
    return int(total)


def share_of_loss(mean_loss: Tensor, count: int, window: int | None = None) -> Tensor:
    """What a rank must send backward so that averaged gradients are those of the whole step.

    mean_r(W c_r L_r / sum c) = sum_r c_r L_r / sum c, the mean over the tokens of all W ranks.

    Args:
        mean_loss: Mean over the tokens of one of the rank's batches, L_r.
        count: Their number, c_r.
        window: Tokens of all batches that the rank accumulates in this step; None: of this one.
    """
    return mean_loss * (count * _world() / total_over_ranks(count if window is None else window))


def data_parallel(model: nn.Module) -> nn.Module:
    """Keep whole weights in each rank and average the gradients (DDP); with one rank, nothing.

    References:
        Li et al., PyTorch Distributed, arXiv 2006.15704.
    """
    return DistributedDataParallel(model) if _world() > 1 else model


def sharded(model: nn.Module, blocks: Iterable[nn.Module] = ()) -> nn.Module:
    """Keep a part of each weight in each rank (FSDP2), in place; with one rank, nothing.

    Weights are gathered block by block while they are needed. Make the optimiser afterwards.

    Args:
        model: What is trained; its `forward` gathers, other methods do not.
        blocks: Its parts that are gathered one at a time.
    References:
        Zhao et al., PyTorch FSDP, arXiv 2304.11277; Rajbhandari et al., ZeRO, arXiv 1910.02054.
    """
    if _world() == 1:
        return model
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    mesh = init_device_mesh(device, (_world(),))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def _state(model: nn.Module, optimiser: Optimizer, step: int) -> dict[str, Any]:
    weights, moments = get_state_dict(model, optimiser)
    return {"model": weights, "optimiser": moments, "step": torch.tensor(step)}


def _first() -> bool:
    return not dist.is_initialized() or dist.get_rank() == 0


def _wait() -> None:
    if dist.is_initialized():
        dist.barrier()


def _put_in_place(made: Path, folder: Path) -> None:
    """Folders cannot be replaced at once: between two renamings the older one has another name."""
    older = folder.with_name(f".{folder.name}.older")
    shutil.rmtree(older, ignore_errors=True)
    if folder.exists():
        folder.rename(older)
    made.rename(folder)
    shutil.rmtree(older, ignore_errors=True)


@contextmanager
def _quiet_alone() -> Iterator[None]:
    """One process without a group is meant here, and no reason for torch to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def save_distributed(folder: Path, model: nn.Module, optimiser: Optimizer, step: int) -> None:
    """Write weights, the optimiser's state and the step; every rank writes its own part.

    The folder appears when all parts are written; until then an older one stays. It must be seen
    by all ranks.

    Args:
        folder: Made, or put in the place of an older one.
        model: Plain, data parallel or sharded.
        optimiser: Over its parameters, after at least one step.
        step: Steps done.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    if _first():
        shutil.rmtree(unfinished, ignore_errors=True)
    _wait()
    with _quiet_alone():
        save(_state(model, optimiser, step), checkpoint_id=unfinished)
    _wait()
    if _first():
        _put_in_place(unfinished, folder)
    _wait()


def load_distributed(folder: Path, model: nn.Module, optimiser: Optimizer) -> int:
    """Take over what `save_distributed` wrote, with any number of ranks; gives the step.

    Args:
        folder: Of the checkpoint.
        model: Plain, data parallel or sharded, whatever it was when it was saved.
        optimiser: Over its parameters, of the kind that was saved.
    Raises:
        InputError: If the folder holds no checkpoint.
    """
    if not (folder / ".metadata").is_file():
        raise InputError(
            f"expected a distributed checkpoint in {folder}, found no .metadata there; give the "
            "folder of save_distributed"
        )
    state = _state(model, optimiser, 0)
    with _quiet_alone():
        load(state, checkpoint_id=folder)
    set_state_dict(
        model,
        optimiser,
        model_state_dict=state["model"],
        optim_state_dict=state["optimiser"],
    )
    return int(state["step"])
