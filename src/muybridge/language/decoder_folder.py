"""A decoder in a folder of our own: `config.json` beside `model.safetensors`.

The configuration is written as it is, each nested part with its `type`. Both files appear whole or
not at all, the weights first, so a folder with a configuration is complete.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from muybridge.atomic import write_bytes, write_text
from muybridge.errors import InputError
from muybridge.language.decoder import Decoder, DecoderConfig
from muybridge.language.maxent_hashed import MaxentConfig
from muybridge.language.neural import NeuralConfig
from muybridge.language.recurrent import RecurrentConfig
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.feedforward import DenseFeedForward
from muybridge.nn.latent import LatentAttention
from muybridge.nn.moe import Mixture
from muybridge.nn.rope import Llama3Scaling, Rope, YarnScaling

__all__ = [
    "config_from_json",
    "config_to_json",
    "load_decoder",
    "part_from_json",
    "read_json_object",
    "read_tensors",
    "save_decoder",
    "write_tensors",
]

_KINDS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        DecoderConfig,
        GroupedAttention,
        LatentAttention,
        DenseFeedForward,
        Mixture,
        Rope,
        Llama3Scaling,
        YarnScaling,
        MaxentConfig,
        NeuralConfig,
        RecurrentConfig,
    )
}


def config_to_json(config: Any) -> dict[str, Any]:
    """A configuration, or a part of one, as plain JSON data."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    plain = {
        name: config_to_json(value) if dataclasses.is_dataclass(value) else value
        for name, value in values.items()
    }
    return {"type": type(config).__name__, **plain}


def config_from_json(data: Mapping[str, Any]) -> DecoderConfig:
    """Undo `config_to_json`.

    Raises:
        InputError: If a kind or a field is missing, unknown, or not of its type.
    """
    config = part_from_json(data)
    if not isinstance(config, DecoderConfig):
        raise InputError(
            f"expected the configuration of a decoder, got a {type(config).__name__}; "
            "this file is of something else"
        )
    return config


def part_from_json(data: Mapping[str, Any]) -> Any:
    """Undo `config_to_json` for a configuration of any kind, or a part of one.

    Raises:
        InputError: If a kind or a field is missing, unknown, or not of its type.
    """
    kind = _KINDS.get(str(data.get("type")))
    if kind is None:
        raise InputError(
            f"expected one of {', '.join(_KINDS)} as 'type', got {data.get('type')!r}; this "
            "configuration is not one of ours (Hugging Face folders are imported)"
        )
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values = {n: part_from_json(v) if isinstance(v, dict) else v for n, v in data.items()}
    del values["type"]
    wrong = sorted(values.keys() - fields.keys())
    wrong += [n for n, v in values.items() if n in fields and not _fits(v, str(fields[n].type))]
    wrong += [
        n for n, field in fields.items() if n not in values and field.default is dataclasses.MISSING
    ]
    if wrong:
        raise InputError(
            f"expected the fields of {kind.__name__}, got {wrong[0]!r} missing, unknown or of "
            "another type; correct the configuration"
        )
    wide = {n for n, v in values.items() if type(v) is int and "float" in str(fields[n].type)}
    return kind(**{n: float(v) if n in wide else v for n, v in values.items()})


def _fits(value: object, annotation: str) -> bool:
    """Whether a JSON value may stand in a field of this annotation; parts check themselves."""
    if value is None:
        return "None" in annotation
    if isinstance(value, bool):
        return "bool" in annotation
    if isinstance(value, int):
        return "int" in annotation or ("float" in annotation and abs(value) < 1e300)
    if isinstance(value, float):
        return "float" in annotation
    if isinstance(value, str):
        return any(word in annotation for word in ("Literal", "Kind", "Name", "Layout"))
    return type(value).__name__ in annotation


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: If there is no such file, or it holds no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"expected a file {path}, got none; check the folder") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"expected JSON in {path}, got {error}; the file is damaged") from error
    if not isinstance(data, dict):
        raise InputError(
            f"expected a JSON object in {path}, got a {type(data).__name__}; check the file"
        )
    return data


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        InputError: If there is no such file, it is truncated or something else, or holds NaN.
    """
    if not path.is_file():
        raise InputError(f"expected weights in {path}, got no file; check the folder")
    try:
        # the file's own tensors lie unaligned in a mapping of it, which slows every product
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(
            f"expected safetensors in {path}, got {error}; the file is truncated or of another "
            "kind: copy it again"
        ) from error
    broken = [n for n, t in tensors.items() if t.is_floating_point() and t.sum().isnan()]
    if broken:
        raise InputError(
            f"expected finite weights in {path}, got others in {broken[0]}; the file is damaged or "
            "its training diverged"
        )
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all."""
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(content, {"format": "pt"}))


def save_decoder(decoder: Decoder, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` into a folder."""
    write_tensors(folder / "model.safetensors", decoder.state_dict())
    write_text(folder / "config.json", json.dumps(config_to_json(decoder.config), indent=2) + "\n")


def load_decoder(folder: Path, dtype: torch.dtype | None = None) -> Decoder:
    """Read what `save_decoder` wrote; `dtype` None keeps the stored type.

    Raises:
        InputError: If a file is missing or damaged, or the two are not of one model.
    """
    config = config_from_json(read_json_object(folder / "config.json"))
    state = read_tensors(folder / "model.safetensors")
    return Decoder.from_state(config, state, dtype)
