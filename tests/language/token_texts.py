"""Texts that tokenizers stumble over: scripts, signs, digits, blanks, line breaks."""

import random

from tests.language.texts import made_text

_SYLLABLES = ("ba", "na", "to", "ri", "shu", "ge", "lo", "ek", "th", "ing")
ODD = "It's 1234567 naïve cafés — DON'T   stop;\tself-made...  \r\n\n\n 世界 ﬁ e\u0301 \U0001f600 "
_ENGLISH = made_text(300, words=1500).translate(
    {ord(digit): syllable for digit, syllable in zip("0123456789", _SYLLABLES, strict=True)}
)
TEXT = _ENGLISH + "\n".join((ODD * 2).split("\n"))


def _made_chinese(lines: int = 120, signs: int = 300, seed: int = 1) -> str:
    """Lines of Han characters of which some often follow one another."""
    draw = random.Random(seed)
    pairs = ["".join(chr(0x4E00 + draw.randrange(signs)) for _ in range(2)) for _ in range(150)]
    parts = [*pairs, *"的是不了在人有我他这"] * 2 + pairs[:20] * 5
    return "".join("".join(draw.choices(parts, k=9)) + "。\n" for _ in range(lines))


CHINESE = _made_chinese()


def mixed_texts(count: int = 60, seed: int = 0) -> list[str]:
    """Short random texts of words, Han characters, signs and blanks."""
    draw = random.Random(seed)
    words = TEXT.split(" ")
    signs = [
        *"'.,;!?-_#\"()",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u00a0",
        "'S",
        "12",
        "2024",
        "é",
        "Ж",
    ]
    signs += [*CHINESE[:40], "ひ", "カー", "한", "\U0001f600", "ﬁ", "½", "'ll"]
    return [
        "".join(draw.choice(words if draw.random() < 0.5 else signs) for _ in range(length))
        for length in (draw.randint(1, 25) for _ in range(count))
    ]
