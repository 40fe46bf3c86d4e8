"""What every family owes: shapes, gradients, causality, the cache, files, a readable name."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder, DecoderConfig
from muybridge.language.decoder_folder import (
    config_from_json,
    config_to_json,
    load_decoder,
    save_decoder,
)
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.reach import document_mask
from muybridge.nn.routing import Routing
from tests.language.families_tiny import CAUSAL, KINDS

EXACT = {"rtol": 0, "atol": 1e-11}  # in float64, where only a mistake is larger


def _exact(config: DecoderConfig) -> Decoder:
    return _make(config).double()


def _make(config: DecoderConfig, seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    decoder = Decoder(replace(config, deviation=0.2)).eval()
    for gate in decoder.gates:
        gate.bias.uniform_(-0.2, 0.2)
    return decoder


def _tokens(rows: int = 2, length: int = 12, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 31, (rows, length), generator=generator)


@pytest.mark.parametrize("name", KINDS)
def test_shapes_and_types(name: str) -> None:
    decoder = _make(KINDS[name])
    logits = decoder(_tokens())
    assert logits.shape == (2, 12, 31)
    assert logits.dtype == torch.float32
    half = _make(KINDS[name]).to(torch.bfloat16)
    assert half(_tokens()).dtype == torch.bfloat16
    assert all(gate.bias.dtype == torch.float32 for gate in half.gates)
    assert half.config.rope is None or torch.equal(half.frequencies, decoder.frequencies)


@pytest.mark.parametrize("name", KINDS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    decoder = _make(KINDS[name]).train()
    batch = _tokens(4, 24)
    decoder.loss(batch, batch.roll(-1, dims=1)).backward()
    for key, parameter in decoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("place", [1, 6, 11])
def test_a_later_token_never_changes_an_earlier_logit(name: str, place: int) -> None:
    decoder, tokens = _exact(CAUSAL[name]), _tokens()
    changed = tokens.clone()
    changed[:, place] = (changed[:, place] + 7) % 31
    with torch.no_grad():
        before, after = decoder(tokens), decoder(changed)
    torch.testing.assert_close(after[:, :place], before[:, :place], **EXACT)
    assert (after[:, place:] - before[:, place:]).abs().amax(-1).min() > 1e-4


def test_expert_choice_is_not_causal() -> None:
    """Documented, not mended: whether an expert takes a token depends on later tokens."""
    decoder, leaks = _exact(KINDS["expert_choice"]), 0
    for seed in range(5):
        tokens = _tokens(seed=seed)
        changed = tokens.clone()
        changed[:, 11] = (changed[:, 11] + 7) % 31
        with torch.no_grad():
            difference = decoder(changed)[:, :11] - decoder(tokens)[:, :11]
        leaks += bool(difference.abs().max() > 1e-3)
    assert leaks > 0


@pytest.mark.parametrize("absorb", [False, True])
@pytest.mark.parametrize("name", CAUSAL)
def test_the_cache_changes_nothing(name: str, absorb: bool) -> None:
    decoder, tokens = _exact(CAUSAL[name]), _tokens()
    with torch.no_grad():
        full = decoder(tokens)
        decoder.absorb(absorb)
        cache = decoder.make_cache(2, 12)
        pieces = [decoder(piece, cache=cache) for piece in tokens.split([5, 1, 3, 1, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), full, **EXACT)


@pytest.mark.parametrize("name", CAUSAL)
def test_left_padding_changes_nothing(name: str) -> None:
    decoder, tokens = _exact(CAUSAL[name]), _tokens(1, 9)
    padded = torch.cat((_tokens(1, 3, seed=5), tokens), dim=1)
    padding = torch.tensor([3])
    with torch.no_grad():
        alone = decoder(tokens)
        torch.testing.assert_close(decoder(padded, padding=padding)[:, 3:], alone, **EXACT)
        cache = decoder.make_cache(1, 12, padding)
        first = decoder(padded[:, :5], cache=cache)
        rest = decoder(padded[:, 5:], cache=cache)
    cached = torch.cat((first, rest), dim=1)[:, 3:]
    torch.testing.assert_close(cached, alone, **EXACT)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_flat_batch_is_its_documents(name: str) -> None:
    decoder, lengths = _exact(CAUSAL[name]), (5, 1, 9)
    documents = [_tokens(1, n, seed=n) for n in lengths]
    with torch.no_grad():
        flat = decoder(torch.cat(documents, dim=1), lengths=lengths)
        alone = torch.cat([decoder(document) for document in documents], dim=1)
    torch.testing.assert_close(flat, alone, **EXACT)


def test_the_document_mask_is_the_flat_batch() -> None:
    mask = document_mask(torch.tensor([[0, 0, 1, 1, 1]]))
    assert mask[0].tolist() == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [False, False, True, False, False],
        [False, False, True, True, False],
        [False, False, True, True, True],
    ]


@pytest.mark.parametrize("name", KINDS)
def test_files_bring_back_the_same_decoder(name: str, tmp_path: Path) -> None:
    decoder = _exact(KINDS[name])
    save_decoder(decoder, tmp_path)
    again = load_decoder(tmp_path).eval()
    assert again.config == decoder.config
    with torch.no_grad():
        torch.testing.assert_close(again(_tokens()), decoder(_tokens()), **EXACT)
    for key, tensor in decoder.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.mark.parametrize("name", KINDS)
def test_the_name_says_the_size(name: str) -> None:
    decoder = _make(KINDS[name])
    count = sum(p.numel() for p in decoder.parameters())
    assert f"parameters={count:,}" in repr(decoder)


@pytest.mark.parametrize("name", ["llama3", "deepseek-v3", "gpt2"])
def test_only_the_distance_of_positions_matters_to_rope(name: str) -> None:
    decoder = _make(KINDS[name])
    tokens = _tokens(1, 8)
    moved = torch.arange(40, 48)[None]
    with torch.no_grad():
        here = decoder(tokens)
        decoder._positions = lambda *_: moved  # type: ignore[method-assign]
        there = decoder(tokens)
    if name == "gpt2":
        assert (here - there).abs().max() > 1e-2
    else:
        torch.testing.assert_close(there, here, rtol=0, atol=2e-5)


def test_grouped_attention_is_multi_head_with_shared_keys() -> None:
    """GQA with G = H is MHA; MQA is MHA whose heads all have the one key's weights."""
    config = replace(KINDS["llama2"], attention=GroupedAttention(4, 1, 4))
    single = _exact(config)
    state = single.state_dict()
    for key in list(state):
        if key.endswith(("attention.key.weight", "attention.value.weight")):
            state[key] = state[key].repeat(4, 1)
    many = Decoder.from_state(replace(config, attention=GroupedAttention(4, 4, 4)), state)
    with torch.no_grad():
        torch.testing.assert_close(many(_tokens()), single(_tokens()), **EXACT)


def test_removing_the_prediction_modules_leaves_the_logits() -> None:
    whole = _make(KINDS["deepseek-v3-mtp"])
    state = {k: t for k, t in whole.state_dict().items() if not k.startswith("predictions.")}
    main = Decoder.from_state(replace(whole.config, predictions=0), state)
    with torch.no_grad():
        torch.testing.assert_close(main(_tokens()), whole(_tokens()), rtol=0, atol=0)


def test_prediction_is_causal_one_token_further() -> None:
    decoder, tokens = _exact(KINDS["deepseek-v3-mtp"]), _tokens()
    changed = tokens.clone()
    changed[:, 8] = (changed[:, 8] + 7) % 31

    def further(batch: Tensor) -> list[Tensor]:
        return [h for h, _ in decoder.predict_further(batch, decoder.states(batch).hidden)]

    with torch.no_grad():
        for depth, (a, b) in enumerate(zip(further(tokens), further(changed), strict=True), 1):
            torch.testing.assert_close(a[:, : 8 - depth], b[:, : 8 - depth], **EXACT)
            assert (a[:, 8 - depth] - b[:, 8 - depth]).abs().max() > 1e-3


def test_the_loss_of_the_prediction_modules_falls() -> None:
    decoder = _make(replace(KINDS["deepseek-v3-mtp"], predictions=1)).train()
    tokens = (torch.arange(25)[None] * 3 + torch.arange(8)[:, None]) % 31
    text, targets = tokens[:, :-1], tokens[:, 1:]
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)

    def further_loss() -> float:
        with torch.no_grad():
            hidden, _ = next(decoder.predict_further(text, decoder.states(text).hidden))
            logits = decoder.logits(hidden)
            return torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets[:, 1:].flatten()
            ).item()

    before = further_loss()
    for _ in range(30):
        optimiser.zero_grad()
        decoder.loss(text, targets).backward()
        optimiser.step()
    assert further_loss() < before / 4


def test_a_block_runner_sees_every_block() -> None:
    """Trainers checkpoint blocks here; gradients stay bitwise the same."""
    from torch.utils.checkpoint import checkpoint

    decoder, batch, called = _make(KINDS["deepseek-v3-mtp"]).train(), _tokens(), []
    decoder.loss(batch, batch.roll(-1, 1)).backward()
    plain = {key: p.grad for key, p in decoder.named_parameters()}
    decoder.zero_grad(set_to_none=True)

    def run(block: torch.nn.Module, *arguments: object) -> tuple[Tensor, Routing | None]:
        called.append(block)
        return checkpoint(block, *arguments, use_reentrant=False)

    decoder.run_block = run
    decoder.loss(batch, batch.roll(-1, 1)).backward()
    assert len(called) == 3 + 2
    assert all(torch.equal(p.grad, plain[key]) for key, p in decoder.named_parameters())


def test_a_text_longer_than_the_table_is_refused() -> None:
    with pytest.raises(InputError, match="at most 48 tokens"):
        _make(KINDS["gpt2"])(_tokens(1, 49))


def test_a_cache_wants_no_gradient() -> None:
    decoder = _make(KINDS["gpt2"])
    with pytest.raises(AssertionError, match="no_grad"):
        decoder(_tokens(1, 3), cache=decoder.make_cache(1, 4))


# -- files: what a damaged or foreign one gives -------------------------------------------------
def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_decoder(_make(KINDS["gpt2"]), tmp_path)
    save_decoder(_make(KINDS["llama2"]), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not of one model"):
        load_decoder(tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    save_decoder(_make(KINDS["gpt2"]), tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    for size in (0, 5, 100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="safetensors"):
            load_decoder(tmp_path)


@pytest.mark.parametrize("name", KINDS)
def test_configurations_survive_json(name: str) -> None:
    assert config_from_json(config_to_json(KINDS[name])) == KINDS[name]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_of_a_configuration_is_read_or_refused(data: st.DataObject) -> None:
    plain = config_to_json(KINDS["deepseek-v3"])
    place = data.draw(st.sampled_from([plain, plain["attention"], plain["mixture"], plain["rope"]]))
    key = data.draw(st.sampled_from(sorted(place)) | st.text(max_size=5))
    place[key] = data.draw(JSON)
    with contextlib.suppress(InputError):  # and nothing else may be raised
        assert isinstance(config_from_json(plain), DecoderConfig)
