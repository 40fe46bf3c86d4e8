"""Tokenizers: learning, encoding and decoding, beside tokenizers, tiktoken and SentencePiece.

tinyshakespeare and WikiText-2 (valid). CPU seconds, one thread, best of some runs. "cold" is a new
tokenizer that has seen no word, "warm" one that remembers the words of the text.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers is imported
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from muybridge.language.bpe import PATTERNS, ByteBpe, signs_of_bytes
from muybridge.language.bpe_train import train_byte_bpe
from muybridge.language.rank_files import ranks_of
from muybridge.language.sentencepiece_bpe import SentencePieceBpe
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe

DATA = Path(__file__).parents[1] / "../shared/data/text"
SIZE = 8192


def timed(work: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Least CPU seconds of some runs, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def peer(name: str) -> bool:
    """Whether a package is there; says so if not."""
    found = importlib.util.find_spec(name) is not None
    if not found:
        print(f"  {name} is not installed: pip install -r bench/requirements.txt")
    return found


def line(what: str, ours: float, theirs: float, unit: str, check: bool) -> None:
    """One comparison; seconds, or rates in millions of characters a second."""
    ratio = theirs / ours if unit == "s" else ours / theirs
    print(
        f"  {what:34}{ours:8.3f} {unit:9} peer {theirs:8.3f}, ours is {ratio:5.2f}x as fast"
        f"{'' if check else '  RESULTS DIFFER'}"
    )


def encoding(what: str, text: str, fresh: Callable[[], Any], theirs: Callable[[str], Any]) -> None:
    """Cold and warm rates beside a peer's; a peer's own memory of words counts for it."""
    ours = fresh()
    millions = len(text) / 1e6
    cold = min(timed(partial(fresh().encode, text), 1)[0] for _ in range(5))
    warm, ids = timed(lambda: ours.encode(text))
    slow, wanted = timed(lambda: theirs(text))
    line(f"{what}, cold", millions / cold, millions / slow, "M chars/s", ids == wanted)
    line(f"{what}, warm", millions / warm, millions / slow, "M chars/s", ids == wanted)


def byte_level(text: str, other: str) -> None:
    """Against tokenizers and tiktoken."""
    seconds, ours = timed(lambda: train_byte_bpe(text, SIZE), 2)

    def fresh() -> ByteBpe:
        return ByteBpe(ours.tokens, ours.merges, ours.patterns)

    if peer("tokenizers"):
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        print(f"byte-level BPE of {SIZE:,} tokens, tokenizers {version('tokenizers')}")
        level = pre_tokenizers.ByteLevel

        def learn() -> Any:
            theirs = Tokenizer(models.BPE())
            split = pre_tokenizers.Split(Regex(PATTERNS["llama3"]), "isolated")
            plain = level(add_prefix_space=False, use_regex=False)
            theirs.pre_tokenizer = pre_tokenizers.Sequence([split, plain])
            theirs.decoder = decoders.ByteLevel()
            trainer = trainers.BpeTrainer(
                vocab_size=SIZE, min_frequency=2, initial_alphabet=level.alphabet(),
                show_progress=False,
            )  # fmt: skip
            theirs.train_from_iterator([text], trainer)
            return theirs

        slow, theirs = timed(learn, 2)
        merges = [[signs_of_bytes(ours.tokens[n]) for n in pair] for pair in ours.merges]
        same = merges == json.loads(theirs.to_str())["model"]["merges"]
        line("learn from tinyshakespeare", seconds, slow, "s", same)
        encoding("encode the same", text, fresh, lambda t: theirs.encode(t).ids)
        encoding("encode WikiText-2", other, fresh, lambda t: theirs.encode(t).ids)
        ids = ours.encode(other)
        quick, back = timed(lambda: ours.decode(ids))
        slow, wanted = timed(lambda: theirs.decode(ids))
        rate = len(ids) / 1e6
        line("decode WikiText-2", rate / quick, rate / slow, "M tokens/s", back == wanted == other)
    if peer("tiktoken"):
        import tiktoken

        print(f"the same, tiktoken {version('tiktoken')}")
        encoder = tiktoken.Encoding(
            "ours", pat_str=PATTERNS["llama3"], mergeable_ranks=ranks_of(ours), special_tokens={}
        )
        encoding("encode tinyshakespeare", text, fresh, encoder.encode_ordinary)
        encoding("encode WikiText-2", other, fresh, encoder.encode_ordinary)


def pieces(text: str, other: str) -> None:
    """Against SentencePiece."""
    if not peer("sentencepiece"):
        return
    import sentencepiece

    print(f"SentencePiece BPE of {SIZE:,} pieces, sentencepiece {version('sentencepiece')}")

    def learn() -> bytes:
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text.split("\n")), model_writer=out, vocab_size=SIZE,
            model_type="bpe", byte_fallback=True, split_digits=True, num_threads=1, minloglevel=2,
            normalization_rule_name="identity", remove_extra_whitespaces=False,
        )  # fmt: skip
        return out.getvalue()

    options = PieceOptions(least=1)
    seconds, ours = timed(lambda: train_sentencepiece_bpe(text, SIZE, options), 2)
    slow, model = timed(learn, 2)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model)
    same = list(ours.pieces) == [theirs.id_to_piece(n) for n in range(theirs.get_piece_size())]
    line("learn from tinyshakespeare", seconds, slow, "s", same)

    def fresh() -> SentencePieceBpe:
        return SentencePieceBpe(ours.pieces, ours.merges, byte_ids=ours.byte_ids)

    encoding("encode the same", text, fresh, theirs.encode)
    encoding("encode WikiText-2", other, fresh, theirs.encode)


def main() -> None:
    """Print both tables."""
    if not DATA.is_dir():
        print("the texts of ../shared/data are absent")
        return
    text = (DATA / "tinyshakespeare.txt").read_text()
    other = (DATA / "wikitext2/valid.txt").read_text()
    byte_level(text, other)
    pieces(text, other)


if __name__ == "__main__":
    main()
