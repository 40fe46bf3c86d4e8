"""Three output layers over a large vocabulary. Argument: a text such as tinyshakespeare.txt.

The same small GRU reads words and predicts the next through a full softmax, a softmax in two steps
through classes, and (in training only) a softmax over a sample of the vocabulary. Every word of the
text is in the vocabulary, so the nats are only good to compare the three.
"""

import sys
import time
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor, nn

from muybridge.language.classes import ClassSoftmax, frequency_classes, sampled_softmax_loss
from muybridge.language.recurrent import RecurrentConfig, RecurrentModel

WIDTH, WINDOW, BATCH, STEPS, SAMPLES = 64, 32, 16, 60, 500

words = Path(sys.argv[1]).read_text(encoding="utf-8").split()
counts = Counter(words)
number = {word: i for i, word in enumerate(counts)}
stream = torch.tensor([number[word] for word in words])
learn, held = stream[: int(0.9 * len(stream))], stream[int(0.9 * len(stream)) :]
frequencies = torch.tensor([float(count) for count in counts.values()])
classes = frequency_classes(frequencies.tolist(), round(len(counts) ** 0.5))


class Full(nn.Module):
    """The usual layer; trained on all words, or on a sample."""

    def __init__(self, samples: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(counts), WIDTH) / WIDTH**0.5)
        self.samples = samples

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean nats; of the sample, an estimate."""
        if self.samples and self.training:
            proposal = frequencies / frequencies.sum()
            return sampled_softmax_loss(hidden, self.weight, targets, proposal, self.samples)
        return nn.functional.cross_entropy(hidden @ self.weight.T, targets)


def train(head: nn.Module) -> tuple[float, float]:
    """CPU milliseconds a step, and nats a word of the held-out end."""
    torch.manual_seed(0)
    body = RecurrentModel(RecurrentConfig(len(counts), WINDOW, WIDTH, cell="gru"))
    optimiser = torch.optim.Adam([*body.recurrent.parameters(), *head.parameters()], 5e-3)
    rows = torch.optim.Adagrad([body.embedding.weight], 0.1)
    generator, started = torch.Generator().manual_seed(0), time.process_time()
    for _ in range(STEPS):
        places = torch.randint(len(learn) - WINDOW, (BATCH, 1), generator=generator)
        both = learn[places + torch.arange(WINDOW + 1)]
        hidden = body.states(both[:, :-1])[0].flatten(0, 1)
        loss = head.loss(hidden, both[:, 1:].flatten())
        for o in (optimiser, rows):
            o.zero_grad()
        loss.backward()
        for o in (optimiser, rows):
            o.step()
    milliseconds = 1e3 * (time.process_time() - started) / STEPS
    both = held[: len(held) // 101 * 101].reshape(-1, 101)[::4]
    head.eval()
    with torch.no_grad():
        hidden = body.states(both[:, :-1])[0].flatten(0, 1)
        return milliseconds, head.loss(hidden, both[:, 1:].flatten()).item()


print(
    f"{len(counts):,} words, {len(set(classes))} classes, {STEPS} steps of {BATCH * WINDOW} words"
)
for name, head in (
    ("full softmax", Full()),
    ("through classes", ClassSoftmax(WIDTH, classes)),
    (f"a sample of {SAMPLES}", Full(SAMPLES)),
):
    spent, nats = train(head)
    print(f"{name:<18} {spent:6.1f} ms a step   held out {nats:.3f} nats a word")
