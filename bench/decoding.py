"""Greedy decoding of one text beside Hugging Face's generate and CTranslate2.

The same random weights, prompt and thread in one process; contenders take turns; CPU seconds of a
long run less those of a short one, over the tokens between, so that the prompt does not count;
least of the rounds. The limit is what a plain sum over memory reads, over the bytes of the weights
that a token needs. Tokens are compared with Hugging Face's; random weights give near ties,
which rounding to 8 bits may turn, so the error of its logits is printed too.
"""

from __future__ import annotations

import copy
import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bench.training import SIZES, peer
from muybridge.language.decode_step import turn_for_decoding
from muybridge.language.decoder import Decoder
from muybridge.language.families import make_family
from muybridge.language.generate import SamplingOptions, generate
from muybridge.language.quantise import quantise_int8

SHORT, LONG, PROMPT, ROUNDS = 4, 68, 64, {"15M": 5, "110M": 3}
GREEDY = SamplingOptions(temperature=0.0)
Writer = Callable[[int], list[int]]


def bandwidth() -> float:
    """Bytes a second that one thread reads in a sum over 256 MB."""
    data, seconds = torch.ones(2**26), []
    for _ in range(5):
        start = time.process_time()
        data.sum()
        seconds.append(time.process_time() - start)
    return data.nbytes / min(seconds)


def hugging_face(decoder: Decoder, name: str, prompt: list[int]) -> Writer:
    """Transformers' generate."""
    model: Any = peer(decoder, SIZES[name]).eval()
    model.generation_config.eos_token_id = None
    tokens = torch.tensor([prompt])
    mask = torch.ones_like(tokens)

    def write(count: int) -> list[int]:
        made = model.generate(
            tokens, attention_mask=mask, do_sample=False, max_new_tokens=count, pad_token_id=0
        )
        return made[0, len(prompt) :].tolist()

    return write


def ctranslate2(decoder: Decoder, kind: str, prompt: list[int], folder: Path) -> Writer:
    """CTranslate2's generator, from a specification filled with our weights."""
    import ctranslate2 as peer_library
    from ctranslate2.specs import common_spec, transformer_spec

    config = decoder.config
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config.layers,
        config.attention.heads,
        activation=common_spec.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=10_000.0,
        num_heads_kv=config.attention.key_value_heads,
    )
    state = {n: t.detach().contiguous().numpy() for n, t in decoder.state_dict().items()}
    spec.decoder.scale_embeddings = False
    spec.decoder.embeddings.weight = state["embedding.weight"]
    spec.decoder.projection.weight = state["embedding.weight"]
    spec.decoder.layer_norm.gamma = state["norm.weight"]
    for i, layer in enumerate(spec.decoder.layer):
        own = {n.removeprefix(f"blocks.{i}."): t for n, t in state.items()}
        q, k, v = (
            torch.from_numpy(own[f"attention.{p}.weight"]) for p in ("query", "key", "value")
        )
        layer.self_attention.layer_norm.gamma = own["attention_norm.weight"]
        layer.self_attention.linear[0].weight = torch.cat((q, k, v)).numpy()
        layer.self_attention.linear[1].weight = own["attention.output.weight"]
        layer.ffn.layer_norm.gamma = own["feedforward_norm.weight"]
        layer.ffn.linear_0.weight = own["feedforward.gate.weight"]
        layer.ffn.linear_0_noact.weight = own["feedforward.up.weight"]
        layer.ffn.linear_1.weight = own["feedforward.down.weight"]
    words = [str(i) for i in range(config.vocabulary)]
    spec.register_vocabulary(words)
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = words[:3]
    spec.config.layer_norm_epsilon = config.norm_epsilon
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    generator = peer_library.Generator(str(folder), compute_type=kind, intra_threads=1)

    def write(count: int) -> list[int]:
        made = generator.generate_batch(
            [[str(t) for t in prompt]],
            max_length=count,
            min_length=count,
            include_prompt_in_result=False,
            end_token=[],
        )
        return made[0].sequences_ids[0]

    return write


def ours(decoder: Decoder, prompt: list[int]) -> Writer:
    """Our generate."""
    return lambda count: generate(decoder, [prompt], count, GREEDY)[0]


def seconds_a_token(write: Writer) -> float:
    """CPU seconds of a token, the prompt's taken off."""
    taken = []
    for count in (SHORT, LONG):
        start = time.process_time()
        write(count)
        taken.append(time.process_time() - start)
    return (taken[1] - taken[0]) / (LONG - SHORT)


def compare(name: str, memory: float) -> None:
    """Print one size's rows."""
    size = SIZES[name]
    torch.manual_seed(0)
    decoder = Decoder(replace(make_family("llama2", size), tied=True)).eval()
    prompt = torch.randint(3, size.vocabulary, (PROMPT,)).tolist()
    writers: dict[str, Writer] = {}
    with tempfile.TemporaryDirectory() as folder:
        if importlib.util.find_spec("transformers"):
            writers["HF float32"] = hugging_face(decoder, name, prompt)
        if importlib.util.find_spec("ctranslate2"):
            for kind in ("float32", "int8"):
                place = Path(folder) / kind
                place.mkdir()
                writers[f"CT2 {kind}"] = ctranslate2(decoder, kind, prompt, place)
        small = quantise_int8(copy.deepcopy(decoder))
        turn_for_decoding(decoder)
        writers |= {"ours float32": ours(decoder, prompt), "ours int8": ours(small, prompt)}
        print(f"  {name:>4} logits in int8 are off by {_error(decoder, small, prompt):.1%}")
        texts = {kind: write(16) for kind, write in writers.items()}
        rounds = [{k: seconds_a_token(w) for k, w in writers.items()} for _ in range(ROUNDS[name])]
    best = {kind: min(r[kind] for r in rounds) for kind in writers}
    read = sum(p.numel() for p in decoder.parameters())  # tied: the head reads the embedding
    for kind, seconds in best.items():
        limit = memory / read / (1 if "int8" in kind else 4)
        mine = best["ours int8" if "int8" in kind else "ours float32"]
        same = sum(a == b for a, b in zip(texts[kind], next(iter(texts.values())), strict=False))
        print(
            f"  {name:>4} {kind:<13}{1 / seconds:7.1f} tokens/s, {1 / seconds / limit:4.0%} of the "
            f"memory's {limit:5.0f}; ours is {seconds / mine:5.2f} times as fast"
            f"{_goal(name, kind)}; {same}/16 tokens equal"
        )


@torch.no_grad()
def _error(decoder: Decoder, small: Decoder, prompt: list[int]) -> float:
    """Relative to the exact logits' norm."""
    exact, rounded = (model(torch.tensor([prompt])) for model in (decoder, small))
    return ((rounded - exact).norm() / exact.norm()).item()


def _goal(name: str, kind: str) -> str:
    goals = {
        ("110M", "HF float32"): 1.5,
        ("110M", "CT2 float32"): 1,
        ("110M", "CT2 int8"): 1,
        ("15M", "HF float32"): 2,
    }
    goal = goals.get((name, kind))
    return f" (goal {goal})" if goal else ""


def main() -> None:
    """Print the table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for library in ("transformers", "ctranslate2"):
        here = importlib.util.find_spec(library) is not None
        print(f"{library} {version(library) if here else 'is not installed'}")
    memory = bandwidth()
    print(f"one thread, prompt {PROMPT} tokens; a sum reads {memory / 1e9:.1f} GB/s")
    for name in SIZES:
        compare(name, memory)
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
