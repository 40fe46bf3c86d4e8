"""One tiny decoder of every kind that the contract test holds."""

from dataclasses import replace

from muybridge.language.decoder import DecoderConfig
from muybridge.language.families import FAMILIES, Size, make_family
from muybridge.nn.rope import Rope
from tests.parity.tiny_models import TINY

SIZE = Size(vocabulary=31, width=16, layers=3, heads=4, context=48, experts=6, active=2)


def _kinds() -> dict[str, DecoderConfig]:
    kinds = {name: make_family(name, SIZE) for name in FAMILIES}
    kinds["gpt3"] = replace(kinds["gpt3"], window=4)
    kinds["llama2 interleaved"] = replace(kinds["llama2"], rope=Rope(layout="interleaved"))
    kinds |= {name: config for name, config in TINY.items() if "deepseek" in name}
    base = TINY["deepseek-v3"].mixture
    assert base is not None
    for gate in ("softmax", "expert_choice"):
        shape = replace(base, gate=gate, groups=1, kept_groups=1)
        kinds[gate] = replace(kinds["llama2"], mixture=shape, dense_layers=1)
    return kinds


KINDS = _kinds()
CAUSAL = {name: config for name, config in KINDS.items() if name != "expert_choice"}
