"""Tensor names of Hugging Face checkpoints, as a table of links that can be followed both ways.

A link joins our tensors to theirs: renamed, transposed (GPT-2's Conv1D keeps (in, out)), packed
(GPT-2's query, key and value are one matrix), or unstacked (their experts are one tensor each).
Every link only moves numbers, so the same table carries gradients over.

Traps of the references: transformers 5 holds experts in memory as `gate_up_proj` (E, 2 F, D), gate
first, but writes them one by one; DeepSeek's checkpoint keeps the prediction module as layer L,
with copies of embedding and head that are the main model's.

E experts, D width, F inner width, H heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from muybridge.errors import InputError
from muybridge.language.decoder import DecoderConfig
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.latent import LatentAttention
from muybridge.nn.rope import RopeLayout, half_from_interleaved, interleaved_from_half

__all__ = ["Link", "links", "relayout", "state_from_hf", "state_to_hf"]

Tensors = Sequence[Tensor]


@dataclass(frozen=True)
class Link:
    """Our tensors, theirs, and how to go from the ones to the others."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    to_theirs: Callable[[Tensors], Tensors] = tuple
    to_ours: Callable[[Tensors], Tensors] = tuple


def _transposed(tensors: Tensors) -> Tensors:
    return tuple(tensor.T.contiguous() for tensor in tensors)


def _pack(tensors: Tensors) -> Tensors:
    return (torch.cat([tensor.T for tensor in tensors], dim=-1).contiguous(),)


def _unpack(tensors: Tensors) -> Tensors:
    return tuple(part.T.contiguous() for part in tensors[0].chunk(3, dim=-1))


def _join(tensors: Tensors) -> Tensors:
    return (torch.cat(tuple(tensors)),)


def _cut(tensors: Tensors) -> Tensors:
    return tuple(part.clone() for part in tensors[0].chunk(3))


def _unstack(tensors: Tensors) -> Tensors:
    return tuple(part.clone() for part in tensors[0])


def _stack(tensors: Tensors) -> Tensors:
    return (torch.stack(tuple(tensors)),)


def _rename(ours: str, theirs: str, *, bias: bool = False) -> Iterator[Link]:
    for kind in ("weight", "bias") if bias else ("weight",):
        yield Link((f"{ours}.{kind}",), (f"{theirs}.{kind}",))


def _gpt2_block(i: int) -> Iterator[Link]:
    ours, theirs = f"blocks.{i}", f"transformer.h.{i}"
    yield from _rename(f"{ours}.attention_norm", f"{theirs}.ln_1", bias=True)
    yield from _rename(f"{ours}.feedforward_norm", f"{theirs}.ln_2", bias=True)
    three = [f"{ours}.attention.{part}" for part in ("query", "key", "value")]
    packed = f"{theirs}.attn.c_attn"
    yield Link(tuple(f"{p}.weight" for p in three), (f"{packed}.weight",), _pack, _unpack)
    yield Link(tuple(f"{p}.bias" for p in three), (f"{packed}.bias",), _join, _cut)
    for mine, other in (
        ("attention.output", "attn.c_proj"),
        ("feedforward.up", "mlp.c_fc"),
        ("feedforward.down", "mlp.c_proj"),
    ):
        weights = (f"{ours}.{mine}.weight",), (f"{theirs}.{other}.weight",)
        yield Link(*weights, _transposed, _transposed)
        yield Link((f"{ours}.{mine}.bias",), (f"{theirs}.{other}.bias",))


def _gpt2(config: DecoderConfig) -> Iterator[Link]:
    yield from _rename("embedding", "transformer.wte")
    yield from _rename("position", "transformer.wpe")
    for i in range(config.layers):
        yield from _gpt2_block(i)
    yield from _rename("norm", "transformer.ln_f", bias=True)


_GROUPED = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
_LATENT = {
    "query": "q_proj",
    "query_down": "q_a_proj",
    "query_norm": "q_a_layernorm",
    "query_up": "q_b_proj",
    "latent_down": "kv_a_proj_with_mqa",
    "latent_norm": "kv_a_layernorm",
    "latent_up": "kv_b_proj",
    "output": "o_proj",
}
_DENSE = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def _attention(config: DecoderConfig, ours: str, theirs: str) -> Iterator[Link]:
    shape = config.attention
    names, bias = _LATENT, False
    if isinstance(shape, GroupedAttention):
        names, bias = _GROUPED, shape.bias
    elif shape.query_rank is None:
        names = {n: t for n, t in _LATENT.items() if not n.startswith("query_")}
    else:
        names = {n: t for n, t in _LATENT.items() if n != "query"}
    for mine, other in names.items():
        yield from _rename(f"{ours}.{mine}", f"{theirs}.{other}", bias=bias)


def _feedforward(config: DecoderConfig, layer: int, ours: str, theirs: str) -> Iterator[Link]:
    mixture = config.mixture_of(layer)
    if mixture is None:
        for mine, other in _DENSE.items():
            bias = config.feedforward.bias
            yield from _rename(f"{ours}.{mine}", f"{theirs}.{other}", bias=bias)
        return
    yield Link((f"{ours}.gate.weight",), (f"{theirs}.gate.weight",))
    yield Link((f"{ours}.gate.bias",), (f"{theirs}.gate.e_score_correction_bias",))
    for mine, other in _DENSE.items():
        each = tuple(f"{theirs}.experts.{e}.{other}.weight" for e in range(mixture.experts))
        yield Link((f"{ours}.experts.{mine}",), each, _unstack, _stack)
        if mixture.shared:
            yield from _rename(f"{ours}.shared.{mine}", f"{theirs}.shared_experts.{other}")


def _llama_block(config: DecoderConfig, layer: int, ours: str, theirs: str) -> Iterator[Link]:
    yield from _rename(f"{ours}.attention_norm", f"{theirs}.input_layernorm")
    yield from _attention(config, f"{ours}.attention", f"{theirs}.self_attn")
    yield from _rename(f"{ours}.feedforward_norm", f"{theirs}.post_attention_layernorm")
    yield from _feedforward(config, layer, f"{ours}.feedforward", f"{theirs}.mlp")


def _llama(config: DecoderConfig) -> Iterator[Link]:
    """LLaMA and DeepSeek-V3, whose names differ only inside the parts."""
    yield from _rename("embedding", "model.embed_tokens")
    for i in range(config.layers):
        yield from _llama_block(config, i, f"blocks.{i}", f"model.layers.{i}")
    yield from _rename("norm", "model.norm")
    if not config.tied:
        yield from _rename("head", "lm_head")
    for k in range(config.predictions):
        ours, theirs = f"predictions.{k}", f"model.layers.{config.layers + k}"
        yield from _rename(f"{ours}.token_norm", f"{theirs}.enorm")
        yield from _rename(f"{ours}.hidden_norm", f"{theirs}.hnorm")
        yield from _rename(f"{ours}.join", f"{theirs}.eh_proj")
        yield from _llama_block(config, config.layers, f"{ours}.block", theirs)
        yield from _rename(f"{ours}.norm", f"{theirs}.shared_head.norm")


def links(config: DecoderConfig) -> list[Link]:
    """All links between our decoder and the Hugging Face model of the same family."""
    return list(_gpt2(config) if config.position == "learned" else _llama(config))


def state_to_hf(config: DecoderConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors (or their gradients) under Hugging Face's names; rotary layout unchanged."""
    found: dict[str, Tensor] = {}
    for link in links(config):
        made = link.to_theirs([state[name] for name in link.ours])
        found.update(zip(link.theirs, made, strict=True))
    return found


def state_from_hf(config: DecoderConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's tensors under our names; copies of shared ones are left out.

    Raises:
        InputError: If a tensor is missing, or one is left over that is no known copy.
    """
    theirs = _unmerge_experts(_with_prefix(config, state))
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    for link in links(config):
        missing = [name for name in link.theirs if name not in theirs]
        if missing:
            raise InputError(
                f"expected a tensor {missing[0]}, got none among {len(state)}; the weights are "
                "not of the model that config.json describes"
            )
        used.update(link.theirs)
        made = link.to_ours([theirs[name] for name in link.theirs])
        found.update(zip(link.ours, made, strict=True))
    left = sorted(name for name in theirs.keys() - used if not _is_known_copy(config, name))
    if left:
        raise InputError(
            f"expected only tensors that the model has, got {left[0]}; the weights are not of the "
            "model that config.json describes"
        )
    return found


def _with_prefix(config: DecoderConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenAI's own GPT-2 files lack the prefix that transformers writes."""
    bare = config.position == "learned" and "wte.weight" in state
    return {f"transformer.{name}" if bare else name: t for name, t in state.items()}


def _unmerge_experts(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take apart the stacked experts that transformers 5 holds in memory."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        stem, _, last = name.rpartition(".experts.")
        if last == "gate_up_proj":
            halves = zip(("gate_proj", "up_proj"), tensor.chunk(2, dim=1), strict=True)
        elif last == "down_proj":
            halves = zip(("down_proj",), (tensor,), strict=True)
        else:
            found[name] = tensor
            continue
        for part, stacked in halves:
            for e, one in enumerate(stacked):
                found[f"{stem}.experts.{e}.{part}.weight"] = one
    return found


def _is_known_copy(config: DecoderConfig, name: str) -> bool:
    """Tied heads, masks of old GPT-2 files, tables of old LLaMA ones, copies of MTP modules."""
    if name == "lm_head.weight":
        return config.tied
    ends = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
    shared = (".shared_head.head.weight", ".embed_tokens.weight")
    return name.endswith(ends) or (name.startswith("model.layers.") and name.endswith(shared))


def relayout(
    config: DecoderConfig, state: Mapping[str, Tensor], layout: RopeLayout
) -> tuple[DecoderConfig, dict[str, Tensor]]:
    """The same model in the other rotary layout: rows of queries and keys trade places.

    Args:
        config: With `rope`.
        state: Tensors under our names.
        layout: The one that is wanted.
    """
    assert config.rope is not None, "only rotary positions have a layout"
    if config.rope.layout == layout:
        return config, dict(state)
    turn = half_from_interleaved if layout == "half" else interleaved_from_half
    moved = {name: _turn_rows(config, name, tensor, turn) for name, tensor in state.items()}
    return replace(config, rope=replace(config.rope, layout=layout)), moved


def _turn_rows(
    config: DecoderConfig, name: str, tensor: Tensor, turn: Callable[[Tensor, int], Tensor]
) -> Tensor:
    shape, part = config.attention, name.rpartition(".attention.")[2]
    if isinstance(shape, GroupedAttention):
        heads = {"query": shape.heads, "key": shape.key_value_heads}.get(part.split(".")[0])
        rows = tensor[:, None] if tensor.dim() == 1 else tensor
        return turn(rows, heads).view_as(tensor) if heads else tensor
    return _turn_latent_rows(shape, part, tensor, turn)


def _turn_latent_rows(
    shape: LatentAttention, part: str, tensor: Tensor, turn: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Only the rotary channels move: the last ones of each query head, and of `latent_down`."""
    if part in ("query.weight", "query_up.weight"):
        heads = tensor.unflatten(0, (shape.heads, -1))
        fixed, turned = heads.split([shape.nope_width, shape.rope_width], dim=1)
        turned = turn(turned.flatten(0, 1), shape.heads).view_as(turned)
        return torch.cat((fixed, turned), dim=1).flatten(0, 1)
    if part == "latent_down.weight":
        fixed, turned = tensor.split([shape.key_value_rank, shape.rope_width])
        return torch.cat((fixed, turn(turned, 1)))
    return tensor
