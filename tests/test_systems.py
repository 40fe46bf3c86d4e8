"""docs/systems.md is what docs/systems.toml says, and what it names exists."""

import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = tomllib.loads((ROOT / "docs" / "systems.toml").read_text())


def test_the_page_is_current() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "systems.py"))["page"]()
    assert (ROOT / "docs" / "systems.md").read_text() == page, "run `python scripts/systems.py`"


def test_all_rows_are_listed() -> None:
    assert len(ROWS) == 90


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if "parts" in row])
def test_what_a_row_names_exists(name: str) -> None:
    row = ROWS[name]
    for key in ("code", "test"):
        assert row[key], f"{name} names no {key}"
        for path in row[key]:
            assert (ROOT / path).exists(), f"{name} names {path}, which does not exist"
    assert set(row["parts"]) <= set("abcde")
    assert "e" not in row["parts"] or row["command"], f"{name} claims a use and names none"
