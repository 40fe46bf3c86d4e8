"""A training as one file: weights, optimiser, random numbers and step, whole or absent.

Everything that the next step depends on is in it, so a training that goes on from a snapshot makes
bit for bit the numbers that it would have made without the break. One safetensors file, because two
files could be of two different steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from muybridge.atomic import write_bytes
from muybridge.errors import InputError

__all__ = ["Snapshot", "optimiser_tensors", "read_snapshot", "restore_optimiser", "write_snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """What a file holds.

    Attributes:
        tensors: All tensors, by a prefix (`model.`, `optimiser.0.`, `average.`, `random`) and name.
        facts: Step, best validation and the like, as JSON data.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Tensors of one prefix, by the rest of their names."""
        start = len(prefix) + 1
        return {n[start:]: t for n, t in self.tensors.items() if n.startswith(prefix + ".")}


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write the file, whole or not at all."""
    # cloned: two names of one tensor (tied weights) are refused by the format
    tensors = {
        name: tensor.detach().contiguous().clone() for name, tensor in snapshot.tensors.items()
    }
    write_bytes(path, save(tensors, {"facts": json.dumps(dict(snapshot.facts), sort_keys=True)}))


def read_snapshot(path: Path) -> Snapshot:
    """Read what `write_snapshot` wrote.

    Raises:
        InputError: If the file is missing, truncated or of another kind.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts = json.loads((file.metadata() or {})["facts"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(
            f"expected a checkpoint in {path}, got {error}; the file is damaged or of something "
            "else: train again in a new folder"
        ) from error
    return Snapshot({name: tensor.clone() for name, tensor in tensors.items()}, facts)


def optimiser_tensors(optimisers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The optimisers' states as tensors: `optimiser.WHICH.PARAMETER.NAME`."""
    found = {}
    for which, optimiser in enumerate(optimisers):
        for parameter, state in optimiser.state_dict()["state"].items():
            for name, value in state.items():
                found[f"optimiser.{which}.{parameter}.{name}"] = torch.as_tensor(value)
    return found


def restore_optimiser(optimisers: Sequence[Optimizer], snapshot: Snapshot) -> None:
    """Give the optimisers their states back; their rates and groups stay as they were made."""
    for which, optimiser in enumerate(optimisers):
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in snapshot.part(f"optimiser.{which}").items():
            parameter, _, key = name.partition(".")
            states.setdefault(int(parameter), {})[key] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": states, "param_groups": groups})
