"""Hugging Face folders, in and out: `config.json` and safetensors of GPT-2, LLaMA and DeepSeek-V3.

Reads the keys of transformers 4 (`rope_theta`, `rope_scaling`) and 5 (`rope_parameters`), single
files and shards; writes those of 5. What our decoder would silently compute otherwise is refused:
other activations, other rotary scalings, sliding windows.

Trap of the references: LLaMA's `head_dim` need not be width / heads; a missing
`num_key_value_heads` means MHA.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from muybridge.atomic import write_text
from muybridge.errors import InputError
from muybridge.language.decoder import Decoder, DecoderConfig
from muybridge.language.decoder_folder import read_json_object, read_tensors, write_tensors
from muybridge.language.hf_names import relayout, state_from_hf, state_to_hf
from muybridge.nn.activation import ActivationName
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.feedforward import DenseFeedForward
from muybridge.nn.latent import LatentAttention
from muybridge.nn.moe import Mixture
from muybridge.nn.rope import Llama3Scaling, Rope, YarnScaling

__all__ = ["config_from_hf", "config_to_hf", "export_hf", "hf_kind", "import_hf"]

HfKind = Literal["gpt2", "llama", "deepseek_v3"]
_ACTIVATIONS: Mapping[str, ActivationName] = {
    "gelu_new": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
}


def _get(data: Mapping[str, Any], name: str, kind: type, default: Any = ...) -> Any:
    """A value of the configuration, checked to be of its type; without default it must be there."""
    value = data.get(name)
    if value is None:
        if default is ...:
            raise InputError(f"expected {name!r} in config.json, got none; check the folder")
        return default
    accepted = (int, float) if kind is float else kind
    wrong = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    if not wrong and kind in (int, float):
        # a count may be 0 only where 0 is what its absence means
        wrong = not 0 <= value < 1e300 or (kind is int and not value and default != 0)
    if wrong:
        raise InputError(
            f"expected {name!r} in config.json to be a usable {kind.__name__}, got {value!r}; "
            "correct the file"
        )
    return float(value) if kind is float else value


def _refuse(data: Mapping[str, Any], name: str, allowed: tuple[Any, ...]) -> None:
    """Refuse a setting whose other values our decoder does not compute."""
    if name in data and data[name] not in allowed:
        raise InputError(
            f"expected {name!r} to be one of {allowed}, got {data[name]!r}; this variant of the "
            "model is not supported"
        )


def config_from_hf(data: Mapping[str, Any]) -> DecoderConfig:
    """Our configuration from the content of a `config.json`.

    Raises:
        InputError: If the model type is unknown, a key is missing, or a setting unsupported.
    """
    readers = {"gpt2": _read_gpt2, "llama": _read_llama, "deepseek_v3": _read_deepseek}
    kind = str(data.get("model_type"))
    if kind not in readers:
        raise InputError(
            f"expected model_type {', '.join(readers)}, got {kind!r}; this family is not supported"
        )
    return readers[kind](data)


def _read_gpt2(data: Mapping[str, Any]) -> DecoderConfig:
    _refuse(data, "activation_function", tuple(_ACTIVATIONS))
    for name, allowed in (
        ("scale_attn_weights", True),
        ("scale_attn_by_inverse_layer_idx", False),
        ("add_cross_attention", False),
        ("tie_word_embeddings", True),
    ):
        _refuse(data, name, (allowed,))
    width, heads = _get(data, "n_embd", int), _get(data, "n_head", int)
    activation = _ACTIVATIONS[data.get("activation_function", "gelu_new")]
    return DecoderConfig(
        vocabulary=_get(data, "vocab_size", int),
        width=width,
        layers=_get(data, "n_layer", int),
        context=_get(data, "n_positions", int, 1024),
        attention=GroupedAttention(heads, heads, width // heads, bias=True),
        feedforward=DenseFeedForward(
            _get(data, "n_inner", int, 4 * width), "mlp", activation, bias=True
        ),
        norm="layernorm",
        norm_epsilon=_get(data, "layer_norm_epsilon", float, 1e-5),
        position="learned",
        tied=True,
        deviation=_get(data, "initializer_range", float, 0.02),
        scale_residual=True,
    )


def _rope_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings under the names of transformers 5, whichever version wrote them."""
    settings = _get(data, "rope_parameters", dict, {}) or _get(data, "rope_scaling", dict, {})
    settings = {"rope_theta": data.get("rope_theta") or 10_000.0, **settings}
    settings.setdefault("rope_type", settings.get("type", "default"))
    return settings


def _read_rope(data: Mapping[str, Any]) -> Rope:
    settings = _rope_settings(data)
    _refuse(settings, "rope_type", ("default", "llama3", "yarn"))
    theta = _get(settings, "rope_theta", float)
    original = _get(
        settings,
        "original_max_position_embeddings",
        int,
        _get(data, "max_position_embeddings", int, 2048),
    )
    scaling: Llama3Scaling | YarnScaling | None = None
    if settings["rope_type"] == "llama3":
        scaling = Llama3Scaling(
            _get(settings, "factor", float),
            _get(settings, "low_freq_factor", float),
            _get(settings, "high_freq_factor", float),
            original,
        )
    if settings["rope_type"] == "yarn":
        _refuse(settings, "truncate", (True,))
        scaling = YarnScaling(
            _get(settings, "factor", float),
            _get(settings, "beta_fast", float, 32.0),
            _get(settings, "beta_slow", float, 1.0),
            _get(settings, "mscale", float),
            _get(settings, "mscale_all_dim", float),
            original,
        )
    return Rope(theta, "half", scaling)


def _read_common(data: Mapping[str, Any]) -> dict[str, Any]:
    _refuse(data, "hidden_act", ("silu",))
    return {
        "vocabulary": _get(data, "vocab_size", int),
        "width": _get(data, "hidden_size", int),
        "layers": _get(data, "num_hidden_layers", int),
        "context": _get(data, "max_position_embeddings", int, 2048),
        "norm_epsilon": _get(data, "rms_norm_eps", float, 1e-6),
        "tied": _get(data, "tie_word_embeddings", bool, False),
        "deviation": _get(data, "initializer_range", float, 0.02),
    }


def _read_llama(data: Mapping[str, Any]) -> DecoderConfig:
    heads = _get(data, "num_attention_heads", int)
    head_width = _get(data, "head_dim", int, _get(data, "hidden_size", int) // heads)
    groups = _get(data, "num_key_value_heads", int, heads)
    return DecoderConfig(
        **_read_common(data),
        attention=GroupedAttention(
            heads, groups, head_width, bias=_get(data, "attention_bias", bool, False)
        ),
        feedforward=DenseFeedForward(
            _get(data, "intermediate_size", int), bias=_get(data, "mlp_bias", bool, False)
        ),
        rope=_read_rope(data),
    )


def _read_deepseek(data: Mapping[str, Any]) -> DecoderConfig:
    for name, allowed in (
        ("attention_bias", False),
        ("scoring_func", "sigmoid"),
        ("topk_method", "noaux_tc"),
        ("moe_layer_freq", 1),
    ):
        _refuse(data, name, (allowed,))
    rope = _read_rope(data)
    interleaved = _get(data, "rope_interleave", bool, True)
    return DecoderConfig(
        **_read_common(data),
        attention=LatentAttention(
            _get(data, "num_attention_heads", int),
            _get(data, "q_lora_rank", int, None),
            _get(data, "kv_lora_rank", int),
            _get(data, "qk_nope_head_dim", int),
            _get(data, "qk_rope_head_dim", int),
            _get(data, "v_head_dim", int),
        ),
        feedforward=DenseFeedForward(_get(data, "intermediate_size", int)),
        mixture=Mixture(
            _get(data, "n_routed_experts", int),
            _get(data, "num_experts_per_tok", int),
            _get(data, "moe_intermediate_size", int),
            shared=_get(data, "n_shared_experts", int, 0),
            groups=_get(data, "n_group", int, 1),
            kept_groups=_get(data, "topk_group", int, 1),
            scale=_get(data, "routed_scaling_factor", float, 1.0),
            normalise=_get(data, "norm_topk_prob", bool, True),
        ),
        dense_layers=_get(data, "first_k_dense_replace", int, 0),
        rope=Rope(rope.theta, "interleaved" if interleaved else "half", rope.scaling),
        predictions=_get(data, "num_nextn_predict_layers", int, 0),
    )


def hf_kind(config: DecoderConfig) -> HfKind:
    """Which Hugging Face model computes what this decoder computes.

    Raises:
        InputError: If none does.
    """
    dense = config.feedforward
    learned = config.position == "learned"
    if config.window is None and config.norm_place == "before":
        mixture = config.mixture
        if isinstance(config.attention, LatentAttention):
            if mixture is not None and mixture.gate == "sigmoid" and mixture.shared:
                return "deepseek_v3"
        elif mixture is None and not config.predictions:
            if learned and dense.kind == "mlp" and config.norm == "layernorm" and config.tied:
                return "gpt2"
            gated = dense.kind == "gated" and dense.activation == "silu"
            if config.rope is not None and gated and config.norm == "rmsnorm":
                return "llama"
    raise InputError(
        "expected a GPT-2, LLaMA or DeepSeek-V3, got a decoder that no Hugging Face model "
        "computes; save it in our own form"
    )


def _write_rope(rope: Rope) -> dict[str, Any]:
    settings: dict[str, Any] = {"rope_theta": rope.theta, "rope_type": "default"}
    if isinstance(rope.scaling, Llama3Scaling):
        settings |= {
            "rope_type": "llama3",
            "factor": rope.scaling.factor,
            "low_freq_factor": rope.scaling.low,
            "high_freq_factor": rope.scaling.high,
            "original_max_position_embeddings": rope.scaling.original_context,
        }
    if isinstance(rope.scaling, YarnScaling):
        settings |= {
            "rope_type": "yarn",
            "factor": rope.scaling.factor,
            "beta_fast": rope.scaling.fast,
            "beta_slow": rope.scaling.slow,
            "mscale": rope.scaling.magnitude,
            "mscale_all_dim": rope.scaling.magnitude_all,
            "original_max_position_embeddings": rope.scaling.original_context,
        }
    return settings


def _write_gpt2(config: DecoderConfig) -> dict[str, Any]:
    assert isinstance(config.attention, GroupedAttention)
    named = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
    return {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocabulary,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.attention.heads,
        "n_positions": config.context,
        "n_inner": config.feedforward.inner_width,
        "activation_function": named[config.feedforward.activation],
        "layer_norm_epsilon": config.norm_epsilon,
        "initializer_range": config.deviation,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _write_common(config: DecoderConfig) -> dict[str, Any]:
    assert config.rope is not None
    return {
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.feedforward.inner_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.attention.heads,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_epsilon,
        "hidden_act": "silu",
        "initializer_range": config.deviation,
        "tie_word_embeddings": config.tied,
        "rope_parameters": _write_rope(config.rope),
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _write_llama(config: DecoderConfig) -> dict[str, Any]:
    assert isinstance(config.attention, GroupedAttention)
    return _write_common(config) | {
        "architectures": ["LlamaForCausalLM"],
        "num_key_value_heads": config.attention.key_value_heads,
        "head_dim": config.attention.head_width,
        "attention_bias": config.attention.bias,
        "mlp_bias": config.feedforward.bias,
    }


def _write_deepseek(config: DecoderConfig) -> dict[str, Any]:
    shape, mixture = config.attention, config.mixture
    assert isinstance(shape, LatentAttention)
    assert mixture is not None
    assert config.rope is not None
    return _write_common(config) | {
        "architectures": ["DeepseekV3ForCausalLM"],
        "num_key_value_heads": shape.heads,
        "q_lora_rank": shape.query_rank,
        "kv_lora_rank": shape.key_value_rank,
        "qk_nope_head_dim": shape.nope_width,
        "qk_rope_head_dim": shape.rope_width,
        "v_head_dim": shape.value_width,
        "rope_interleave": config.rope.layout == "interleaved",
        "n_routed_experts": mixture.experts,
        "num_experts_per_tok": mixture.active,
        "moe_intermediate_size": mixture.inner_width,
        "n_shared_experts": mixture.shared,
        "n_group": mixture.groups,
        "topk_group": mixture.kept_groups,
        "routed_scaling_factor": mixture.scale,
        "norm_topk_prob": mixture.normalise,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "first_k_dense_replace": config.dense_layers,
        "num_nextn_predict_layers": config.predictions,
    }


def config_to_hf(config: DecoderConfig) -> dict[str, Any]:
    """The content of a `config.json` that transformers 5 reads.

    Raises:
        InputError: If no Hugging Face model computes what this decoder computes.
    """
    kind = hf_kind(config)
    writers = {"gpt2": _write_gpt2, "llama": _write_llama, "deepseek_v3": _write_deepseek}
    return {"model_type": kind, **writers[kind](config)}


def _read_shards(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return read_tensors(folder / "model.safetensors")
    found: dict[str, Tensor] = {}
    places = _get(read_json_object(index), "weight_map", dict)
    for name in sorted({str(place) for place in places.values()}):
        if Path(name).name != name:
            raise InputError(f"expected shards beside {index}, got {name!r}; correct the index")
        found |= read_tensors(folder / name)
    return found


def import_hf(folder: Path, dtype: torch.dtype | None = torch.float32) -> Decoder:
    """A decoder from a Hugging Face folder.

    Args:
        folder: With `config.json` and `model.safetensors`, whole or in shards.
        dtype: Type of the weights; None keeps the stored one. Routing biases stay float32.
    Raises:
        InputError: If a file is missing or damaged, the model is of another family, or weights
            and configuration contradict each other.
    """
    config = config_from_hf(read_json_object(folder / "config.json"))
    state = state_from_hf(config, _read_shards(folder))
    return Decoder.from_state(config, state, dtype)


def export_hf(decoder: Decoder, folder: Path) -> None:
    """Write a Hugging Face folder that transformers 5 loads; LLaMA in its half layout.

    Raises:
        InputError: If no Hugging Face model computes what this decoder computes.
    """
    config, state = decoder.config, decoder.state_dict()
    if hf_kind(config) == "llama":
        config, state = relayout(config, state, "half")
    write_tensors(folder / "model.safetensors", state_to_hf(config, state))
    dtype = str(decoder.embedding.weight.dtype).removeprefix("torch.")
    written = config_to_hf(config) | {"dtype": dtype}
    write_text(folder / "config.json", json.dumps(written, indent=2) + "\n")
