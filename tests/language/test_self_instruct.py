"""Self-instruct: likeness against a plain recursion, and a pool that grows by what is new."""

import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.language.self_instruct import Pool, ask_for_more, read_list, rouge_l, self_instruct

SEEDS = ["Name three rivers of France.", "Translate the sentence into German.", "Sort these words."]


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Length of the longest common subsequence, by its definition."""

    @cache
    def length(i: int, j: int) -> int:
        if i == len(one) or j == len(other):
            return 0
        if one[i] == other[j]:
            return 1 + length(i + 1, j + 1)
        return max(length(i + 1, j), length(i, j + 1))

    return length(0, 0)


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_likeness_is_its_definition(one: list[str], other: list[str]) -> None:
    common = _common(tuple(one), tuple(other))
    wanted = 0.0
    if common:
        recall, precision = common / len(one), common / len(other)
        wanted = 2 * recall * precision / (recall + precision)
    assert rouge_l(one, other) == pytest.approx(wanted)
    assert rouge_l(one, other) == rouge_l(other, one)


def test_likeness_of_lins_sentences() -> None:
    """Lin 2004, section 3.1: the order of words tells the two candidates apart."""
    reference = ["police", "killed", "the", "gunman"]
    assert rouge_l(reference, ["police", "kill", "the", "gunman"]) == 0.75
    assert rouge_l(reference, ["the", "gunman", "kill", "police"]) == 0.5


def test_what_is_kept() -> None:
    pool = Pool(SEEDS)
    assert pool.offer("Write a poem about autumn leaves.")
    assert not pool.offer("Write a poem about autumn.")  # 10 of 11 words
    assert not pool.offer("name three rivers of Spain")
    assert not pool.offer("Describe what the picture shows.")
    assert not pool.offer("Go on.")
    assert not pool.offer("word " * 200)
    assert pool.made == ["Write a poem about autumn leaves."]
    assert pool.refused == {"alike": 2, "senses": 1, "length": 2}


def test_lists_are_read() -> None:
    text = " Explain how tides work.\n10. List four uses\n  of a brick.\n11. Give the cap"
    assert read_list(text) == ["Explain how tides work.", "List four uses of a brick."]
    assert read_list("") == []
    assert ask_for_more(["A b.", "C d."]).split("\n")[1:] == ["1. A b.", "2. C d.", "3."]


def test_the_pool_grows_by_what_is_new() -> None:
    """A writer who often repeats what it was shown: only the rest is kept."""
    draw, prompts = random.Random(0), []
    verbs, things = (
        ("Explain", "Summarise", "Criticise", "Rewrite"),
        ("law", "poem", "proof", "menu"),
    )

    def write(prompt: str) -> str:
        prompts.append(prompt)
        shown = prompt.split("\n")[1][3:]
        new = f"{draw.choice(verbs)} one {draw.choice(things)} for {draw.choice(things)} readers."
        return f" {shown}\n10. {new}\n11. and"

    pool = self_instruct(SEEDS, write, 12, seed=1)
    assert len(pool.made) == 12
    assert pool.refused["alike"] >= 11
    made = [text.lower().rstrip(".").split() for text in (*SEEDS, *pool.made)]
    assert all(rouge_l(a, b) < 0.7 for i, a in enumerate(made) for b in made[:i])
    late = prompts[-1].split("\n")[1:-1]
    assert sum(row[3:] in pool.made for row in late) == 2
    assert len(self_instruct(SEEDS, lambda prompt: "", 5, rounds=3).made) == 0


def test_no_seed_is_told() -> None:
    with pytest.raises(InputError, match="to begin with"):
        self_instruct([], lambda prompt: prompt, 1)
