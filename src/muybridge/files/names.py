"""Names in motion files: unique, and free of what some programs cannot address."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["safe_names", "unique_names"]


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each repeated one with a number: hand, hand -> hand, hand_2."""
    taken: dict[str, None] = {}  # keeps its order
    for name in names:
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name}_{count}"
        taken[unique] = None
    return tuple(taken)


def safe_names(names: Iterable[str]) -> tuple[str, ...]:
    """Unique names without white space, braces and []:./, which three.js cannot address."""
    return unique_names(re.sub(r"[\s\[\]:./{}]", "_", name) or "joint" for name in names)
