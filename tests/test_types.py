"""The shapes in the types are checked while the tests run."""

import pytest
import torch

from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import matrix_from_quaternion


def test_a_wrong_shape_is_caught() -> None:
    with pytest.raises(Exception, match="quaternion"):
        matrix_from_quaternion(torch.zeros(7, 3))


def test_axes_of_one_name_must_agree() -> None:
    with pytest.raises(Exception, match="target"):
        align(torch.zeros(4, 3), torch.zeros(5, 3))
