"""Teach a small English LLaMA Chinese: with its old vocabulary, and with Chinese pieces merged in.

As Chinese-LLaMA did. New rows of embedding and head begin as the mean of the rows that spelled
the piece before, or at random; the old vocabulary spells most characters in bytes. As LLaMA had,
the model has seen a little Chinese before.
Arguments: a folder for the plot, and a folder with texts (tinyshakespeare.txt, poetry); without
it made-up ones take their place.
"""

import json
import math
import random
import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe
from muybridge.language.text_task import stream_loss
from muybridge.language.vocabulary_merge import extend_decoder, merge_vocabularies, old_spelling

mpl.use("Agg")
from matplotlib import pyplot as plt

if len(sys.argv) > 2:
    folder, WIDTH, STEPS, SIZES = Path(sys.argv[2]), 128, 240, (2000, 4000)
    english = (folder / "tinyshakespeare.txt").read_text()
    files = (json.loads(path.read_text()) for path in sorted(folder.glob("poetry/*.json")))
    lines = ["".join(poem["paragraphs"]) for file in files for poem in file]
    random.Random(0).shuffle(lines)  # the poems come sorted by their authors
else:
    WIDTH, STEPS, SIZES, draw = 32, 16, (300, 400), random.Random(0)
    english = " ".join(draw.choices(["to", "be", "or", "not", "that", "is", "it"], k=2000))
    pairs = ["".join(draw.choices("天地玄黃宇宙洪荒日月盈昃", k=2)) for _ in range(30)]
    lines = ["".join(draw.choices(pairs, k=12)) for _ in range(200)]
cut = len(lines) * 19 // 20
chinese, held = "\n".join(lines[len(lines) // 20 : cut]), "\n".join(lines[cut:])[:6000]
mostly_english = "\n".join(lines[: len(lines) // 20]) + "\n" + english


def teach(model: Decoder, ids: torch.Tensor, steps: int) -> None:
    """Windows of 128 tokens at random, eight a step."""
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        starts = torch.randint(len(ids) - 129, (8,), generator=generator)
        windows = torch.stack([ids[start : start + 129] for start in starts])
        optimiser.zero_grad()
        model.loss(windows[:, :-1], windows[:, 1:]).backward()
        optimiser.step()


def bits(model: Decoder, ids: torch.Tensor) -> float:
    """Bits a character of the held-out Chinese."""
    nats, predicted = stream_loss(model.eval(), ids, 128)
    model.train()
    return nats * predicted / math.log(2) / len(held)


torch.manual_seed(0)
base = train_sentencepiece_bpe(mostly_english, SIZES[0], PieceOptions(coverage=0.99))
merged = merge_vocabularies(
    base, train_sentencepiece_bpe(chinese, SIZES[1], PieceOptions(coverage=0.98))
)
print(f"{base.size:,} pieces, with Chinese ones {merged.size:,}; tokens a character: ", end="")
print(f"{len(base.encode(held)) / len(held):.2f}, {len(merged.encode(held)) / len(held):.2f}")
llama = Decoder(make_family("llama2", Size(base.size, WIDTH, 4, 4, 128)))
teach(llama, torch.tensor(base.encode(mostly_english)), STEPS)
spelling = old_spelling(base, merged)
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, tokenizer, model in (
    ("old vocabulary", base, extend_decoder(llama, [])),
    ("merged, random rows", merged, extend_decoder(llama, spelling, "random")),
    ("merged, mean of spelling", merged, extend_decoder(llama, spelling, "spelling")),
):
    ids, test = torch.tensor(tokenizer.encode(chinese)), torch.tensor(tokenizer.encode(held))
    found = [bits(model, test)]
    for _ in range(4):
        teach(model, ids, STEPS // 4)
        found.append(bits(model, test))
    print(f"{name:26} bits a character:", *(f"{value:6.2f}" for value in found))
    axes.plot([STEPS // 4 * part for part in range(5)], found, "o-", label=name)
axes.set(xlabel="steps of 1,024 tokens of Chinese", ylabel="bits a character, held out")
axes.legend(fontsize=8)
figure.savefig(Path((*sys.argv, ".")[1]) / "chinese_llama.png", dpi=80)
