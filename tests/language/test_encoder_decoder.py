"""The Transformer of 2017 against torch's layers, and the tasks that it must learn entirely."""

import pytest
import torch
from torch import nn

from muybridge.errors import InputError
from muybridge.language.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, Layer

CONFIG = EncoderDecoderConfig(
    vocabulary=13, width=16, layers=2, heads=4, inner_width=32, context=24
)
EXACT = {"rtol": 0, "atol": 1e-12}


def _make() -> EncoderDecoder:
    torch.manual_seed(0)
    model = EncoderDecoder(CONFIG).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def _tokens(rows: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 13, (rows, length), generator=torch.Generator().manual_seed(seed))


def _copy_attention(ours: nn.Module, theirs: nn.MultiheadAttention) -> None:
    three = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in three]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in three]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def _peer(ours: Layer) -> nn.Module:
    """torch's layer of the same kind with the same weights."""
    kind = nn.TransformerDecoderLayer if ours.crossed else nn.TransformerEncoderLayer
    theirs = kind(16, 4, 32, dropout=0.0, batch_first=True).double()
    norms = [ours.attention_norm, ours.feedforward_norm]
    with torch.no_grad():
        _copy_attention(ours.attention, theirs.self_attn)
        if ours.crossed:
            norms.insert(1, ours.cross_norm)
            _copy_attention(ours.cross, theirs.multihead_attn)
    theirs.linear1.load_state_dict(ours.feedforward.up.state_dict())
    theirs.linear2.load_state_dict(ours.feedforward.down.state_dict())
    for i, norm in enumerate(norms, start=1):
        getattr(theirs, f"norm{i}").load_state_dict(norm.state_dict())
    return theirs


def test_values_and_gradients_are_torchs() -> None:
    model, source, target = _make(), _tokens(2, 7), _tokens(2, 5, 2)
    real = torch.ones(2, 7, dtype=torch.bool)
    real[1, 4:] = False
    x, y = model._embed(source).detach(), model._embed(target).detach()
    blocked = ~torch.ones(5, 5).tril().bool()  # True blocks, in torch's layers
    for ours in model.encoder:
        x = _peer(ours)(x, src_key_padding_mask=~real)
    peers = [_peer(ours) for ours in model.decoder]
    for peer in peers:
        y = peer(y, x, tgt_mask=blocked, memory_key_padding_mask=~real)
    expected = y @ model.embedding.weight.T
    found = model(source, target, real)
    torch.testing.assert_close(found, expected, **EXACT)
    found.square().sum().backward()
    expected.square().sum().backward(inputs=[peers[0].linear1.weight])
    ours = model.decoder[0].feedforward.up.weight.grad
    torch.testing.assert_close(ours, peers[0].linear1.weight.grad, rtol=1e-10, atol=1e-12)


def test_padding_of_the_source_changes_nothing() -> None:
    model, source, target = _make(), _tokens(1, 6), _tokens(1, 4, 2)
    padded = torch.cat((source, _tokens(1, 3, 3)), dim=1)
    real = torch.arange(9)[None] < 6
    torch.testing.assert_close(model(padded, target, real), model(source, target), **EXACT)


def test_no_later_target_token_leaks() -> None:
    model, source, target = _make(), _tokens(2, 6), _tokens(2, 8, 2)
    changed = target.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 13
    before, after = model(source, target), model(source, changed)
    torch.testing.assert_close(after[:, :5], before[:, :5], **EXACT)
    assert (after[:, 5:] - before[:, 5:]).abs().amax(-1).min() > 1e-4
    altered = source.clone()
    altered[:, -1] = (altered[:, -1] + 1) % 13  # but every target token sees all of the source
    assert (model(altered, target) - before).abs().amax(-1).min() > 1e-6


def test_step_by_step_is_all_at_once() -> None:
    model, source = _make(), _tokens(3, 6)
    found = model.translate(source, 0, 8)
    text = torch.cat((torch.zeros(3, 1, dtype=torch.long), found), dim=1)
    assert torch.equal(model(source, text[:, :-1]).argmax(-1), found)


def test_every_parameter_gets_a_gradient() -> None:
    model = _make()
    model(_tokens(4, 7), _tokens(4, 6, 2)).square().sum().backward()
    # a bias on all keys changes no softmax
    assert all(
        p.grad is not None and p.grad.any()
        for name, p in model.named_parameters()
        if not name.endswith("key.bias")
    )


def test_a_text_longer_than_the_table_is_refused() -> None:
    with pytest.raises(InputError, match="at most 24 tokens"):
        _make().encode(_tokens(1, 25))


@pytest.mark.parametrize("task", ["copy", "sort"])
def test_it_learns_entirely(task: str) -> None:
    """Every one of 256 new texts is copied, or sorted, without a mistake."""
    torch.manual_seed(0)
    config = EncoderDecoderConfig(9, width=32, layers=1, heads=4, inner_width=64, context=16)
    model = EncoderDecoder(config)
    steps = 350
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)

    def draw(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        source = torch.randint(1, 9, (rows, 6))
        return source, source if task == "copy" else source.sort(-1).values

    for _ in range(steps):
        source, wanted = draw(64)
        given = torch.cat((torch.zeros(64, 1, dtype=torch.long), wanted[:, :-1]), dim=1)
        logits = model(source, given)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    source, wanted = draw(256)
    assert torch.equal(model.translate(source, 0, 6), wanted)
