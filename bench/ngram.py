"""n-gram models: counting, estimating, scoring and memory, beside KenLM where it is installed.

Word 3-grams and character 5-grams of tinyshakespeare (first 90 %; scored on the rest). CPU time,
one thread, best of some runs. lmplz is not in the KenLM package, so its stored file is the check.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bench._clock import best
from muybridge.language.arpa import read_arpa, write_arpa
from muybridge.language.corpus import encode, read_text, split_text
from muybridge.language.ngram import NgramModel
from muybridge.language.ngram_counts import count_ngrams
from muybridge.language.ngram_run import train_ngram
from muybridge.language.perplexity import measure
from muybridge.language.smoothing import METHODS, Smoothing, estimate
from muybridge.language.vocabulary import collect

DATA = Path(__file__).parents[1] / "../shared/data/text/arpa"
QUERIES = 1_000_000


def compare(kind: str, order: int) -> None:
    """Print one corpus' figures."""
    text, held = (read_text(DATA / f"{kind}.{part}.txt.gz") for part in ("train", "valid"))
    sentences = split_text(text)
    vocabulary = collect(sentences)
    train = encode(sentences, vocabulary, text)
    test = encode(split_text(held), vocabulary, held)
    counts = count_ngrams(train, vocabulary, order)
    model = estimate(counts)
    rows = sum(len(table) for table in model.tables)
    print(f"\n{kind} {order}-grams: {train.predicted:,} tokens, {rows:,} n-grams")
    print(f"  train, text to model    {best(lambda: train_ngram(text, order)):8.3f} s  (goal 1.5)")
    print(
        f"  count                   {best(lambda: count_ngrams(train, vocabulary, order)):8.3f} s"
    )
    print(f"  estimate                {best(lambda: estimate(counts)):8.3f} s")
    per_million = model.bytes / rows
    counting = sum(a.nbytes for g in counts.orders for a in vars(g).values()) / rows
    print(f"  memory, a million n-grams {per_million:6.1f} MB (while counting {counting:.0f} MB)")
    theirs = read_arpa(DATA / f"{kind}.{order}.arpa.gz")
    print(f"  lmplz's file: log10 p differ by at most {_difference(model, theirs):.1e}")
    scoring(model, test, held)
    for method in METHODS:
        figures = measure(estimate(counts, Smoothing(method)), test)
        print(
            f"  {method:<22} perplexity {figures.perplexity:9.3f}, "
            f"{figures.nats_per_token:.4f} nats"
        )


def _difference(model: NgramModel, theirs: NgramModel) -> float:
    worst = 0.0
    for ours, fixture in zip(model.tables, theirs.tables, strict=True):
        kept = np.isfinite(ours.log_probability)
        gap = np.abs(ours.log_probability[kept] - fixture.log_probability[kept])
        worst = max(worst, float(gap.max()))
    return worst


def scoring(model: NgramModel, test: object, held: str) -> None:
    """n-grams a second: a text in order, random rows, and KenLM on the same text."""
    stream = test.predicted / best(lambda: model.score(test))
    random = np.random.default_rng(0)
    ends = random.choice(np.flatnonzero(test.place >= model.order - 1), QUERIES)
    grams = np.stack([test.ids[ends - back] for back in range(model.order - 1, -1, -1)], axis=1)
    rows = QUERIES / best(lambda: model.score_ngrams(grams), 2)
    print(f"  score a text            {stream / 1e6:8.2f} M n-grams/s  (goal 1)")
    print(f"  score random n-grams    {rows / 1e6:8.2f} M n-grams/s  (goal 1)")
    if importlib.util.find_spec("kenlm") is None:
        print("  kenlm is not installed: pip install kenlm==0.3.0")
        return
    import tempfile

    import kenlm

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.arpa"
        write_arpa(path, model)
        peer = kenlm.Model(str(path))
    lines = held.removesuffix("\n").split("\n")
    speed = test.predicted / best(lambda: [peer.score(line) for line in lines])
    total = sum(peer.score(line) for line in lines)
    gap = abs(total / model.score(test).sum() - 1)
    print(
        f"  kenlm {version('kenlm')} from Python  {speed / 1e6:8.2f} M n-grams/s, "
        f"ours/theirs {stream / speed:.2f}; total log p differs by {gap:.1e} of it"
    )


def main() -> None:
    """Print both tables."""
    if not DATA.is_dir():
        print("the texts of ../shared/data are absent")
        return
    compare("word", 3)
    compare("char", 5)


if __name__ == "__main__":
    main()
