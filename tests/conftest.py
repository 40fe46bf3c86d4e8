"""Every test starts from the same random numbers, alone or after others."""

import pytest
import torch


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed torch; generators of a test's own are not touched."""
    torch.manual_seed(0)
