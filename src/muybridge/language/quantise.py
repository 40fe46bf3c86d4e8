"""Turn a trained decoder into one with 8-bit weights, for decoding.

Projections of attention and feed-forward and the head are rounded; embeddings, norms, routers,
stacked experts and MLA's up-projection (which is read as a tensor when absorbed) stay as they are.
"""

from __future__ import annotations

import torch
from torch import nn

from muybridge.errors import InputError
from muybridge.language.decode_step import DecodeStep
from muybridge.language.decoder import Decoder
from muybridge.nn.attention import Attention
from muybridge.nn.feedforward import FeedForward
from muybridge.nn.int8 import Int8Linear

__all__ = ["quantise_int8"]


@torch.no_grad()
def quantise_int8(model: Decoder) -> Decoder:
    """Round the weights to 8 bits, in place; the same model is returned.

    It can no longer be trained or saved. A tied head becomes a matrix of its own, since embeddings
    stay as they are.

    Args:
        model: In float32 on the CPU.
    Raises:
        InputError: If the model is not a decoder in float32 on the CPU.
    """
    if not isinstance(model, Decoder):
        raise InputError(
            f"expected a decoder to store in 8 bits, got {type(model).__name__}; leave out --int8"
        )
    weight = model.embedding.weight
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        raise InputError(
            f"expected float32 weights on the CPU, got {weight.dtype} on {weight.device}; convert "
            "the model first"
        )
    if model.config.tied:
        model.head = nn.Linear(model.config.width, model.config.vocabulary, False, device="meta")
        model.head.weight = weight
    layers = [m for m in model.modules() if isinstance(m, Attention | FeedForward)]
    for layer in (*layers, model):
        for name, child in list(layer.named_children()):
            if isinstance(child, nn.Linear):
                setattr(layer, name, Int8Linear(child))
    model.requires_grad_(False).eval()
    model.step = DecodeStep(model) if DecodeStep.serves(model) else None
    return model
