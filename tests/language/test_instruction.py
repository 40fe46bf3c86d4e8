"""Templates letter by letter, and targets that begin and end where the answers do."""

import itertools
import random

import pytest
import torch
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.language.bpe_train import train_byte_bpe
from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.language.generate import SamplingOptions, generate
from muybridge.language.instruction import (
    Segment,
    alpaca,
    belle,
    encode_example,
    flatten_examples,
    pad_examples,
    vicuna,
)
from muybridge.language.sentencepiece_train import train_sentencepiece_bpe
from muybridge.language.tokenizer import ByteTokenizer
from muybridge.train.packing import NO_TARGET
from tests.language.token_texts import TEXT

BYTES = ByteTokenizer()
SEGMENTS = vicuna([("a b", "c d"), ("e", "f")])
LESSON = "\n".join("".join(segment.text for segment in SEGMENTS) for _ in range(20)) + TEXT


def _text(segments: list[Segment]) -> str:
    return "".join(f"[{s.text}]" if s.learned else s.text for s in segments)


def test_alpaca() -> None:
    assert _text(alpaca("Name a colour.", "Red")) == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nName a colour.\n\n### Response:[Red]"
    )
    assert _text(alpaca("Add.", given="1 2")) == (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"
    )


def test_vicuna_and_belle() -> None:
    assert _text(vicuna([("Hi", "Hello"), ("Bye", None)], "Chat.")) == (
        "Chat. USER: Hi ASSISTANT:[ Hello]USER: Bye ASSISTANT:"
    )
    assert _text(belle("你好", "好")) == "Human: \n你好\n\nAssistant: \n[好]"
    assert SEGMENTS[0].text.startswith("A chat between a curious user")


def test_targets_by_hand() -> None:
    example = encode_example(BYTES, [Segment("ab"), Segment("xy", learned=True)], start=1, end=2)
    assert bytes(example.tokens) == b"\x01abxy\x02"
    no = NO_TARGET
    assert example.targets == (no, no, ord("x"), ord("y"), 2, no)
    assert example.predicted == 3


@pytest.mark.parametrize("kind", ["bytes", "bpe", "pieces"])
def test_answers_alone_are_learned(kind: str) -> None:
    """Of two answers every token and its end, and nothing of the questions between."""
    tokenizer = {
        "bytes": BYTES,
        "bpe": train_byte_bpe(LESSON, 600),
        "pieces": train_sentencepiece_bpe(LESSON, 600),
    }[kind]
    example = encode_example(tokenizer, SEGMENTS, start=1, end=2)
    learned = [target for target in example.targets if target != NO_TARGET]
    cut = learned.index(2)
    assert learned[-1] == 2
    assert learned.count(2) == 2
    answers = [tokenizer.decode(learned[:cut]), tokenizer.decode(learned[cut + 1 : -1])]
    assert [answer.strip() for answer in answers] == ["c d", "f"]
    assert len(example.targets) == len(example.tokens)
    for place, target in enumerate(example.targets[:-1]):
        assert target in (NO_TARGET, example.tokens[place + 1])


def test_the_open_prompt_is_how_the_example_begins() -> None:
    """What a user sends is, token by token, what the model learned to answer."""
    tokenizer = train_sentencepiece_bpe(LESSON, 600)
    example = encode_example(tokenizer, SEGMENTS[:2], start=1, end=2)
    prompt = [1, *tokenizer.encode(SEGMENTS[0].text)]
    assert list(example.tokens[: len(prompt)]) == prompt
    assert set(example.targets[: len(prompt) - 1]) == {NO_TARGET}
    assert example.targets[len(prompt) - 1] != NO_TARGET
    asked = vicuna([("a b", None)])
    assert [1, *tokenizer.encode(asked[0].text)] == prompt


def test_one_text_would_be_cut_in_the_wrong_place() -> None:
    """The trap: here prompt and answer share a token where they are encoded together."""
    lesson = "Response:\n\n" * 50 + "Response: " * 5
    tokenizer = train_byte_bpe(lesson, 300)
    prompt, answer = "Response:\n", "\nyes"
    together = tokenizer.encode(prompt + answer)
    assert together[: len(tokenizer.encode(prompt))] != tokenizer.encode(prompt)
    example = encode_example(tokenizer, [Segment(prompt), Segment(answer, learned=True)], end=None)
    learned = [target for target in example.targets if target != NO_TARGET]
    assert tokenizer.decode(learned) == answer


def test_a_question_cannot_end_an_answer() -> None:
    tokenizer = train_sentencepiece_bpe(LESSON, 600)
    end = tokenizer.specials["</s>"]
    example = encode_example(tokenizer, alpaca("stop</s>", "no"), end=end)
    assert example.tokens.count(end) == 1


def test_padded_and_flat_losses_are_those_of_single_dialogues() -> None:
    torch.manual_seed(0)
    size = Size(vocabulary=256, width=32, layers=2, heads=4, context=256)
    decoder = Decoder(make_family("llama2", size)).double()
    examples = [
        encode_example(BYTES, [Segment("ab" * n), Segment("xyz" * n, learned=True)], end=2)
        for n in (1, 4, 9)
    ]
    total, alone = sum(example.predicted for example in examples), 0.0
    for example in examples:
        loss = decoder.loss(torch.tensor([example.tokens]), torch.tensor([example.targets]))
        alone += loss.item() * example.predicted / total
    tokens, targets = pad_examples(examples, padding=7)
    assert decoder.loss(tokens, targets).item() == pytest.approx(alone, abs=1e-9)
    flat = flatten_examples(examples)
    assert flat.predicted == total
    logits = decoder(flat.tokens, lengths=flat.lengths)
    loss = functional.cross_entropy(logits[0], flat.targets[0])
    assert loss.item() == pytest.approx(alone, abs=1e-9)


def test_logits_of_the_prompt_get_no_gradient() -> None:
    example = encode_example(BYTES, [Segment("abc"), Segment("xy", learned=True)], end=2)
    logits = torch.randn(len(example.tokens), 256, requires_grad=True)
    functional.cross_entropy(logits, torch.tensor(example.targets)).backward()
    touched = logits.grad.abs().sum(1) > 0
    assert touched.tolist() == [False, False, True, True, True, False]


TASKS = {"first": lambda w: w[0], "last": lambda w: w[1], "upper": lambda w: w[0].upper()}


def _questions(words: list[str]) -> list[tuple[Segment, str]]:
    return [
        (Segment(f"Q: {task} {word} A:"), f" {answer(word)}")
        for word in words
        for task, answer in TASKS.items()
    ]


def test_instructions_are_followed_on_unseen_words() -> None:
    """Truth: the answer follows from instruction and word; a guess of the letter is 1 of 12."""
    draw = random.Random(1)
    words = ["".join(pair) for pair in itertools.product("abcdefghijkl", repeat=2)]
    draw.shuffle(words)
    asked, seen = _questions(words[:30]), _questions(words[30:])
    examples = [encode_example(BYTES, [q, Segment(a, learned=True)], end=2) for q, a in seen]
    torch.manual_seed(1)
    decoder = Decoder(make_family("llama2", Size(128, 64, 2, 4, 64)))
    optimiser = torch.optim.AdamW(decoder.parameters(), 4e-3)
    for _ in range(300):
        optimiser.zero_grad()
        decoder.loss(*pad_examples(draw.sample(examples, 32))).backward()
        optimiser.step()
    prompts = [BYTES.encode(question.text) for question, _ in asked]
    made = generate(decoder.eval(), prompts, 3, SamplingOptions(temperature=0.0), stop=2)
    right = sum(
        ids == [*BYTES.encode(answer), 2] for ids, (_, answer) in zip(made, asked, strict=True)
    )
    assert right > len(asked) / 2


def test_what_cannot_be_learned_is_told() -> None:
    with pytest.raises(InputError, match="an answer to learn"):
        encode_example(BYTES, alpaca("Go."), end=2)
    with pytest.raises(InputError, match="an answer to learn"):
        encode_example(BYTES, [], end=2)
    with pytest.raises(InputError, match="all but the last"):
        vicuna([("a", None), ("b", "c")])
