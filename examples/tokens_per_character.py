"""Tokens a character: Llama 2's kind of tokenizer beside Llama 3's, larger and larger.

Llama 3 went from SentencePiece's BPE with 32,000 pieces to byte-level BPE with 128,256. Both kinds
learn here from one text of English and Chinese, and are measured on held-out lines of each.
Arguments: a folder for the plot, and a folder with texts (`wikitext2`, `poetry`, `ud`); without it
a small text takes their place.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

from muybridge.language.bpe_train import train_byte_bpe
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe
from muybridge.language.tokenizer import Tokenizer

mpl.use("Agg")
from matplotlib import pyplot as plt

ENGLISH = """The quick brown fox jumps over the lazy dog, and the dog goes on sleeping in the sun.
When the sun goes down the fox comes back, and the dog wakes up and barks at the fox.
"""  # the Chinese one is the beginning of the Tao Te Ching
CHINESE = """道可道非常道名可名非常名無名天地之始有名萬物之母故常無欲以觀其妙常有欲以觀其徼
此兩者同出而異名同謂之玄玄之又玄眾妙之門天下皆知美之為美斯惡已皆知善之為善斯不善已
"""
# Llama 2 has 32,000 pieces, of which some 700 are Chinese characters: the rest is spelled in bytes
COMMON = PieceOptions(coverage=0.95)
KINDS: dict[str, Callable[[str, int], Tokenizer]] = {
    "SentencePiece BPE": lambda text, size: train_sentencepiece_bpe(text, size, COMMON),
    "byte-level BPE": train_byte_bpe,
}


def sentences(path: Path) -> list[str]:
    """Lines of a treebank."""
    return [line[9:] for line in path.read_text().split("\n") if line.startswith("# text = ")]


def read(folder: Path) -> tuple[str, dict[str, str]]:
    """What to learn from, and what to measure: every tenth line of each language."""
    poems = (json.loads(path.read_text()) for path in sorted(folder.glob("poetry/*.json")))
    lines = {
        "English": (folder / "wikitext2/valid.txt").read_text().split("\n"),
        "Chinese": ["".join(poem["paragraphs"]) for file in poems for poem in file],
    }
    for language, name in (("English", "en_ewt"), ("Chinese", "zh_gsdsimp")):
        for part in ("dev", "test"):
            lines[language] += sentences(folder / f"ud/{name}-ud-{part}.conllu")
    learn = [line for each in lines.values() for i, line in enumerate(each) if i % 10]
    return "\n".join(learn), {name: "\n".join(each[::10]) for name, each in lines.items()}


if len(sys.argv) > 2:
    learn, held = read(Path(sys.argv[2]))
    sizes = [2048, 4096, 8192, 16384]
else:
    learn, held = 8 * (ENGLISH + CHINESE), {"English": ENGLISH, "Chinese": CHINESE}
    sizes = [384, 400, 420]

figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
print(f"{len(learn):,} characters to learn from; tokens a character of " + ", ".join(held))
for (kind, train), line in zip(KINDS.items(), ("o--", "s-"), strict=True):
    tokenizers = [train(learn, size) for size in sizes]
    rates = {name: [len(t.encode(x)) / len(x) for t in tokenizers] for name, x in held.items()}
    for row, tokenizer in enumerate(tokenizers):
        print(f"{kind:18}{tokenizer.size:7,}  ", *(f"{rates[name][row]:7.3f}" for name in held))
    for language, colour in zip(held, ("tab:blue", "tab:red"), strict=True):
        found = [tokenizer.size for tokenizer in tokenizers]
        axes.plot(found, rates[language], line, color=colour, label=f"{language}, {kind}", ms=4)
axes.set(xscale="log", xlabel="tokens in the vocabulary", ylabel="tokens a character", ylim=0)
axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
axes.minorticks_off()
axes.legend(fontsize=8)
figure.savefig(Path((*sys.argv, ".")[1]) / "tokens_per_character.png", dpi=80)
