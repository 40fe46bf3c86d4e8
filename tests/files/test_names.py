"""Names become unique and addressable, and change no more than that takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge.files.names import safe_names, unique_names

FEW = st.lists(st.sampled_from(["a", "a_2", "a_3", "b", ""]), max_size=12)


@given(FEW)
def test_unique_names_are_unique_and_the_first_of_a_kind_is_kept(names: list[str]) -> None:
    found = unique_names(names)
    assert len(found) == len(names) == len(set(found))
    assert all(new.startswith(old) for new, old in zip(found, names, strict=True))
    if len(set(names)) == len(names):
        assert found == tuple(names)


@given(st.lists(st.text("aZ9 []:./{}\t\u3000é", max_size=4), max_size=8))
def test_safe_names_can_be_addressed(names: list[str]) -> None:
    found = safe_names(names)
    assert len(set(found)) == len(names)
    assert not any(re.search(r"[\s\[\]:./{}]", name) for name in found)
    assert all(found)


@pytest.mark.parametrize(
    ("name", "expected"), [("mixamorig:Hips", "mixamorig_Hips"), ("", "joint"), ("Fuß", "Fuß")]
)
def test_known_names(name: str, expected: str) -> None:
    assert safe_names([name]) == (expected,)
