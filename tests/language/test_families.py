"""Families are data: the published sizes and what tells the families apart."""

import pytest

from muybridge.errors import InputError
from muybridge.language.families import FAMILIES, PUBLISHED, Size, make_family, published
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.feedforward import llama_inner_width
from muybridge.nn.rope import Llama3Scaling

SIZE = Size(vocabulary=65, width=64, layers=4, heads=4, context=128)


def test_gpt3_is_gpt2_with_a_band() -> None:
    assert PUBLISHED["gpt3"].window is not None
    assert PUBLISHED["gpt2"].window is None
    assert PUBLISHED["gpt3"].feedforward.kind == "mlp"


def test_only_the_large_llama_2_share_keys() -> None:
    groups = {
        name: config.attention.key_value_heads
        for name, config in PUBLISHED.items()
        if isinstance(config.attention, GroupedAttention) and "llama" in name
    }
    assert groups["llama2-7b"] == 32
    assert groups["llama2-70b"] == 8
    assert all(count == 8 for name, count in groups.items() if name.startswith("llama3"))


def test_llama_31_differs_from_3_by_its_scaling_and_context_alone() -> None:
    old, new = PUBLISHED["llama3-8b"], PUBLISHED["llama3.1-8b"]
    assert new.rope is not None
    assert old.rope is not None
    assert new.rope.scaling == Llama3Scaling(8.0, 1.0, 4.0, 8192)
    assert old.rope.theta == new.rope.theta == 500_000
    assert (old.context, new.context) == (8192, 131_072)


@pytest.mark.parametrize(
    ("width", "multiple", "factor", "inner"),
    [(4096, 256, 1.0, 11008), (5120, 256, 1.0, 13824), (6656, 256, 1.0, 17920),
     (8192, 256, 1.0, 22016), (8192, 4096, 1.3, 28672), (4096, 1024, 1.3, 14336),
     (16384, 4096, 1.2, 53248)],
)  # fmt: skip
def test_metas_rule_gives_the_published_inner_widths(
    width: int, multiple: int, factor: float, inner: int
) -> None:
    assert llama_inner_width(width, multiple, factor) == inner


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_comes_in_any_size(name: str) -> None:
    config = make_family(name, SIZE)
    assert (config.vocabulary, config.width, config.layers) == (65, 64, 4)


def test_unknown_names_and_sizes_are_refused() -> None:
    with pytest.raises(InputError, match=r"choose one of transformer, gpt2"):
        make_family("gpt5", SIZE)
    with pytest.raises(InputError, match="multiple of the heads"):
        make_family("gpt2", Size(65, 64, 4, 5, 128))
    with pytest.raises(InputError, match="published size"):
        published("llama9")
