"""Two vocabularies in one: old ids, old texts and old logits stay."""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.language.sentencepiece_model import write_sentencepiece
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe
from muybridge.language.vocabulary_merge import extend_decoder, merge_vocabularies, old_spelling
from tests.language.token_texts import CHINESE, TEXT, mixed_texts

BASE = train_sentencepiece_bpe(TEXT, 500, PieceOptions(coverage=0.98))
ADDED = train_sentencepiece_bpe(CHINESE, 900)
BOTH = merge_vocabularies(BASE, ADDED)
ENGLISH = [line for line in TEXT.split("\n") if line.isascii()]


def test_old_ids_keep_their_pieces() -> None:
    assert BOTH.pieces[: BASE.size] == BASE.pieces
    assert len(set(BOTH.pieces)) == BOTH.size
    new = [piece for piece in ADDED.pieces if piece not in BASE.pieces]
    assert list(BOTH.pieces[BASE.size :]) == new
    assert len(new) > 300
    assert BOTH.specials == BASE.specials


def test_old_texts_keep_their_ids() -> None:
    assert len(ENGLISH) > 200
    for text in ENGLISH:
        assert BOTH.encode(text) == BASE.encode(text)


def test_new_texts_become_short_and_return() -> None:
    before, after = len(BASE.encode(CHINESE)), len(BOTH.encode(CHINESE))
    assert after < before / 2.5
    assert after < 1.05 * len(ADDED.encode(CHINESE))
    assert BOTH.decode(BOTH.encode(CHINESE)) == CHINESE
    for text in mixed_texts():
        assert BOTH.decode(BOTH.encode(text)) == text


def test_new_pieces_may_be_made_of_old_ones() -> None:
    """`abab` is new; its halves are the base's, and both vocabularies know `ab`."""
    base = train_sentencepiece_bpe("ab ab ab b a", 270)
    added = train_sentencepiece_bpe("abab abab abab", 270)
    both = merge_vocabularies(base, added)
    assert "▁abab" not in base.pieces
    assert "▁abab" in both.pieces[base.size :]
    assert [both.pieces[n] for n in both.encode("abab ab")] == ["▁abab", "▁ab"]


def test_the_same_vocabulary_adds_nothing() -> None:
    assert merge_vocabularies(BASE, BASE) == BASE


def test_new_merges_rank_behind_old_ones() -> None:
    """By hand: the base makes bc of abc; the new ab would have taken its b."""
    base = train_sentencepiece_bpe("a xbc ybc", 266, PieceOptions(coverage=1.0))
    added = train_sentencepiece_bpe("xab yab c", 266, PieceOptions(coverage=1.0))
    both = merge_vocabularies(base, added)
    assert ("bc" in base.pieces, "ab" in both.pieces[base.size :]) == (True, True)
    spelled = [both.pieces[number] for number in both.encode("abc ab")]
    assert spelled == ["▁", "a", "bc", "▁", "ab"]


def test_a_merged_vocabulary_is_a_sentencepiece_model(tmp_path) -> None:
    spm = pytest.importorskip("sentencepiece", reason="pip install sentencepiece")
    write_sentencepiece(tmp_path / "both.model", BOTH)
    peer = spm.SentencePieceProcessor(model_file=str(tmp_path / "both.model"))
    for text in [*mixed_texts(), CHINESE]:
        assert peer.encode(text) == BOTH.encode(text, specials=False)


def _decoder(family, vocabulary: int) -> Decoder:
    torch.manual_seed(0)
    size = Size(vocabulary=vocabulary, width=32, layers=2, heads=4, context=64)
    return Decoder(make_family(family, size)).eval()


@pytest.mark.parametrize("family", ["llama2", "gpt2", "deepseek-v3"])
@pytest.mark.parametrize("rows", ["spelling", "mean", "random"])
def test_old_logits_stay(family, rows) -> None:
    decoder = _decoder(family, BASE.size)
    spelling = old_spelling(BASE, BOTH)
    larger = extend_decoder(decoder, spelling, rows)
    tokens = torch.tensor([BASE.encode(ENGLISH[3])[:40]])
    with torch.no_grad():
        before, after = decoder(tokens), larger(tokens)
    assert after.shape[-1] == BOTH.size == larger.config.vocabulary
    torch.testing.assert_close(after[..., : BASE.size], before, rtol=0, atol=1e-6)
    assert torch.equal(larger.embedding.weight[: BASE.size], decoder.embedding.weight)
    assert larger.embedding.weight.data_ptr() != decoder.embedding.weight.data_ptr()
    assert after[..., BASE.size :].std() > 0


def test_new_rows_are_the_mean_of_their_spelling() -> None:
    decoder = _decoder("llama2", BASE.size)
    spelling = old_spelling(BASE, BOTH)
    larger = extend_decoder(decoder, spelling)
    for place in (0, 7, len(spelling) - 1):
        piece = BOTH.pieces[BASE.size + place]
        assert BASE.decode(spelling[place]).strip() == piece.replace("▁", "")
        for name in ("embedding.weight", "head.weight"):
            old = decoder.state_dict()[name][spelling[place]].mean(0)
            torch.testing.assert_close(larger.state_dict()[name][BASE.size + place], old)


def test_new_rows_learn_and_the_old_decoder_does_not() -> None:
    decoder = _decoder("llama2", BASE.size)
    held = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    larger = extend_decoder(decoder, old_spelling(BASE, BOTH)).train()
    tokens = torch.tensor([BOTH.encode(CHINESE)[:60]])
    first = larger.loss(tokens[:, :-1], tokens[:, 1:])
    optimiser = torch.optim.AdamW(larger.parameters(), 1e-2)
    for _ in range(20):
        optimiser.zero_grad()
        larger.loss(tokens[:, :-1], tokens[:, 1:]).backward()
        optimiser.step()
    assert larger.loss(tokens[:, :-1], tokens[:, 1:]) < first / 2
    assert all(torch.equal(held[name], tensor) for name, tensor in decoder.state_dict().items())


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(InputError, match="begins with the 500 old pieces"):
        old_spelling(BASE, ADDED)
    with pytest.raises(InputError, match="in the decoder's 400 tokens, got"):
        extend_decoder(_decoder("gpt2", 400), old_spelling(BASE, BOTH))
    with pytest.raises(InputError, match=r"got \[\]"):
        extend_decoder(_decoder("gpt2", 400), [[]])
