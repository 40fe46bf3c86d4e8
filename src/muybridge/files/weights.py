"""Network weights as safetensors, with where they come from in the file's own metadata.

Weights are stored as published (float16 for MoveNet) and computed with in float32.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from muybridge.atomic import write_bytes
from muybridge.errors import InputError

__all__ = ["load_weights", "read_weight_metadata", "read_weights", "save_weights"]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise InputError(f"expected network weights at {path}, got no file; reinstall muybridge")
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise InputError(
            f"expected safetensors in {path}, got something else ({error}); the file is damaged: "
            "reinstall muybridge"
        ) from error


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and their provenance; the file appears whole or not at all."""
    content = {name: tensor.contiguous() for name, tensor in tensors.items()}
    # one entry: the order of several is random, and equal weights should make equal files
    provenance = {"provenance": json.dumps(dict(metadata), sort_keys=True)}
    write_bytes(path, save(content, provenance))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, as stored.

    Raises:
        InputError: If there is no such file, or it is not safetensors.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_weight_metadata(path: Path) -> dict[str, str]:
    """Where the weights come from: package, version, sha256, licence.

    Raises:
        InputError: If there is no such file, or it is not safetensors.
    """
    with _opened(path) as file:
        return json.loads((file.metadata() or {}).get("provenance", "{}"))


def load_weights(network: nn.Module, path: Path) -> None:
    """Copy a file's tensors into a network of exactly the same names and shapes, in float32.

    Raises:
        InputError: If a name or a shape differs; the network is then unchanged.
    """
    stored = read_weights(path)
    wanted = network.state_dict()
    wrong = sorted(stored.keys() ^ wanted.keys())
    wrong += [n for n in stored.keys() & wanted.keys() if stored[n].shape != wanted[n].shape]
    if wrong:
        raise InputError(
            f"expected the {len(wanted)} tensors of {type(network).__name__} in {path}, got "
            f"{len(wrong)} that are missing, unknown or of another shape, first {wrong[0]}; "
            "this file is of another network"
        )
    network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in stored.items()})
