"""Train a small decoder on sentences of an artificial grammar; its embedding knows the plural."""

import torch
from torch import Tensor

from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family

NOUNS = ["cat", "dog", "bird", "cow", "farmer", "king", "girl", "horse"]
NOUNS += ["boat", "tree", "lamp", "stone"]
VERBS = ["sleep", "run", "fall", "wait", "sing", "shine"]
ADJECTIVES = ["old", "small", "red"]
WORDS = [
    *NOUNS,
    *(noun + "s" for noun in NOUNS),
    *(verb + "s" for verb in VERBS),
    *VERBS,
    *ADJECTIVES,
    *("the", "a", "one", "two", "many", "this", "these", "here", "."),
]
NUMBER = {word: index for index, word in enumerate(WORDS)}


def sentences(rows: int, random: torch.Generator) -> Tensor:
    """Such as: "these old cats sleep here ." """
    made = []
    for plural, noun, verb, adjective, first in torch.randint(0, 2520, (rows, 5), generator=random):
        several = int(plural) % 2
        starts = ["the", "two", "many", "these"] if several else ["the", "a", "one", "this"]
        verbs = VERBS if several else [word + "s" for word in VERBS]
        line = [
            starts[int(first) % 4],
            ADJECTIVES[int(adjective) % 3],
            NOUNS[int(noun) % len(NOUNS)] + "s" * several,
            verbs[int(verb) % len(VERBS)],
            "here",
            ".",
        ]
        made.append([NUMBER[word] for word in line])
    return torch.tensor(made)


def train(seed: int, steps: int = 150) -> Decoder:
    """A GPT-2 of one block, input and output embedding one and the same."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    decoder = Decoder(make_family("gpt2", Size(len(WORDS), 32, 1, 2, 8)))
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        tokens = sentences(64, random)
        optimiser.zero_grad()
        decoder.loss(tokens[:, :-1], tokens[:, 1:]).backward()
        optimiser.step()
    return decoder


@torch.no_grad()
def margin(decoder: Decoder, held: str) -> float:
    """Plural minus singular of a noun, along the plural direction of all OTHER nouns."""
    table = decoder.embedding.weight
    others = [noun for noun in NOUNS if noun != held]
    steps = [table[NUMBER[noun + "s"]] - table[NUMBER[noun]] for noun in others]
    direction = torch.stack(steps).mean(0)
    return float((table[NUMBER[held + "s"]] - table[NUMBER[held]]) @ direction / direction.norm())


@torch.no_grad()
def complete(decoder: Decoder, noun: str) -> str:
    """Which word is nearest to dogs - dog + noun (to cats - cat + dog for the dog itself)."""
    table = torch.nn.functional.normalize(decoder.embedding.weight, dim=-1)
    known = "dog" if noun != "dog" else "cat"
    target = table[NUMBER[known + "s"]] - table[NUMBER[known]] + table[NUMBER[noun]]
    scores = table @ target
    scores[[NUMBER[known + "s"], NUMBER[known], NUMBER[noun]]] = -torch.inf
    return WORDS[int(scores.argmax())]


if __name__ == "__main__":
    for name, decoder in (("untrained", train(0, 0)), ("trained", train(0))):
        margins = [margin(decoder, noun) for noun in NOUNS]
        plural = sum(complete(decoder, noun) in [n + "s" for n in NOUNS] for noun in NOUNS)
        exact = sum(complete(decoder, noun) == noun + "s" for noun in NOUNS)
        print(
            f"{name}: cats - cat along the plural direction {margin(decoder, 'cat'):+.2f}, least "
            f"of {len(NOUNS)} nouns {min(margins):+.2f}; dogs - dog + noun is a plural for "
            f"{plural}, its own plural for {exact}"
        )
