"""Write docs/systems.md from docs/systems.toml; `--check` only compares."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
ROOMS = {
    "C": "Capture",
    "A": "Animation",
    "P": "2-D pose",
    "V": "Action",
    "G": "Generative",
    "L": "Language",
    "S": "Systems, adaptation, alignment, truthfulness",
    "F": "Foundations",
}
PARTS = "abcde"
HEAD = """# Systems

Every system that muybridge is to hold, and how far each is. A row **works** when it has all of
(a) parity with the field's reference, (b) an invariant or property test, (c) a known truth
recovered on synthetic data, (d) a real-data number beside a baseline, (e) a command or an example.
Otherwise it is **partial**, and the letters that are missing are named. This page is made by
`python scripts/systems.py` from `docs/systems.toml`; a test holds the two together.
"""


def page() -> str:
    """The whole page as Markdown."""
    rows = tomllib.loads((DOCS / "systems.toml").read_text())
    text = [HEAD]
    states = [_state(row) for row in rows.values()]
    works = sum(state.startswith("works") for state in states)
    partial = sum(state.startswith("partial") for state in states)
    unbuilt = len(rows) - works - partial
    text.append(f"{len(rows)} rows: {works} work, {partial} partial, {unbuilt} not built yet.\n")
    for letter, room in ROOMS.items():
        text.append(f"## {letter}. {room}\n\n| row | system | state | code | test | command |")
        text.append("|---|---|---|---|---|---|")
        text += [_line(name, row) for name, row in rows.items() if name[0] == letter]
        text.append("")
    return "\n".join(text)


def _state(row: dict[str, object]) -> str:
    if "parts" not in row:
        return "not built yet"
    missing = [part for part in PARTS if part not in str(row["parts"])]
    note = f" ({row['note']})" if "note" in row else ""
    return ("partial, lacks " + ", ".join(missing) if missing else "works") + note


def _line(name: str, row: dict[str, object]) -> str:
    def code(key: str) -> str:
        values = row.get(key, [])
        listed = values if isinstance(values, list) else [values]
        return "<br>".join(f"`{value}`" for value in listed)

    cells = [name, str(row["title"]), _state(row), code("code"), code("test"), code("command")]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    target = DOCS / "systems.md"
    if "--check" in sys.argv:
        sys.exit(0 if target.read_text() == page() else "docs/systems.md is out of date")
    target.write_text(page())
