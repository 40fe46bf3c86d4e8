"""Tests of the sentences that answer a wrong word."""

from collections.abc import Iterator

import pytest
from jaxtyping import config


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Types are not checked, as in daily use, so that the sentence itself is reached."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
