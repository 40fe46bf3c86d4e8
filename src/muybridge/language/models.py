"""Every neural language model by name, and any of them in a folder.

A folder holds `config.json` (the configuration with its type), `model.safetensors` and
`tokenizer.json`; it is complete when all three are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from muybridge.atomic import write_bytes, write_text
from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.decoder_folder import (
    config_to_json,
    part_from_json,
    read_json_object,
    read_tensors,
)
from muybridge.language.families import Size, make_family
from muybridge.language.maxent_hashed import HashedMaxent, MaxentConfig
from muybridge.language.model_options import SIZES, Family, ModelOptions
from muybridge.language.neural import NeuralConfig, NeuralModel
from muybridge.language.recurrent import RecurrentConfig, RecurrentModel

__all__ = ["MODELS", "load_model", "make_model", "save_model"]

MODELS: Mapping[str, type[nn.Module]] = {
    "DecoderConfig": Decoder,
    "RecurrentConfig": RecurrentModel,
    "NeuralConfig": NeuralModel,
    "MaxentConfig": HashedMaxent,
}


def make_model(family: Family, vocabulary: int, options: ModelOptions) -> nn.Module:
    """A model with fresh weights from torch's global random numbers.

    Args:
        family: Its kind.
        vocabulary: Tokens.
        options: Its size.
    Raises:
        InputError: If the size does not fit the family.
    """
    config = make_config(family, vocabulary, options)
    return MODELS[type(config).__name__](config)


def make_config(family: Family, vocabulary: int, options: ModelOptions) -> Any:
    """The configuration of a family at a size."""
    options.check()
    width, layers, heads = SIZES[options.size]
    width, heads = options.width or width, options.heads or heads
    context = options.context
    if family == "log-linear":
        # the table has about 2^23 numbers; 65 characters have room for 2^17 rows
        rows = 2 ** max(10, min(17, 24 - vocabulary.bit_length()))
        return MaxentConfig(vocabulary, context, rows=rows, order=5)
    if family == "nlm":
        return NeuralConfig(vocabulary, context, window=12, hidden=4 * width)
    if family in ("rnn", "lstm", "gru"):
        inputs = min(width, max(32, vocabulary // 4))  # characters need few channels
        return RecurrentConfig(
            vocabulary, context, width, options.layers or 1, family, inputs, dropout=0.1
        )
    size = Size(
        vocabulary,
        width,
        options.layers or layers,
        heads,
        context,
        options.kv_heads,
        options.inner_width,
        experts=options.experts,
        active=options.active,
    )
    return make_family(family, size)


def save_model(model: Any, folder: Path) -> None:
    """Write weights, then the configuration."""
    tensors = {name: t.detach().contiguous().clone() for name, t in model.state_dict().items()}
    write_bytes(folder / "model.safetensors", save(tensors, {"format": "pt"}))
    write_text(folder / "config.json", json.dumps(config_to_json(model.config), indent=2) + "\n")


def load_model(folder: Path) -> Any:
    """Read what `save_model` or a training wrote, in evaluation mode.

    Raises:
        InputError: If a file is missing or damaged, or the two are not of one model.
    """
    config = part_from_json(read_json_object(folder / "config.json"))
    kind = MODELS.get(type(config).__name__)
    if kind is None:
        raise InputError(
            f"expected the configuration of a model in {folder}, got a {type(config).__name__}; "
            "this folder is of something else"
        )
    state = read_tensors(folder / "model.safetensors")
    if isinstance(kind, type) and issubclass(kind, Decoder):
        return Decoder.from_state(config, state).eval()
    model = kind(config)
    wanted = model.state_dict()
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in wanted.items()}:
        raise InputError(
            f"expected the weights of {folder / 'config.json'}, got other names or shapes in "
            f"{folder / 'model.safetensors'}; the two files are not of one model"
        )
    model.load_state_dict(state)
    return model.eval()
