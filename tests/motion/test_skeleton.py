"""The skeleton's order, its queries and its refusals."""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.motion.skeleton import Skeleton

OFFSETS = torch.tensor([[0, 1, 0], [0, 0.5, 0], [3, 4, 0], [0, 0, 2]], dtype=torch.float64)
TREE = Skeleton(("root", "spine", "arm", "leg"), (-1, 0, 1, 0), OFFSETS)


def test_queries() -> None:
    assert len(TREE) == 4
    assert TREE.index("arm") == 2
    assert TREE.children(0) == (1, 3)
    assert TREE.levels() == [[0], [1, 3], [2]]
    assert TREE.lineage(2) == [2, 1, 0]
    assert TREE.lineage(0) == [0]
    assert TREE.rest_positions().tolist() == [[0, 1, 0], [0, 1.5, 0], [3, 5.5, 0], [0, 1, 2]]
    assert TREE.bone_lengths().tolist() == [0.0, 0.5, 5.0, 2.0]
    assert TREE.end_sites == (False,) * 4


@pytest.mark.parametrize(
    ("names", "parents", "message"),
    [
        ((), (), "at least one joint"),
        (("a", "a", "b", "c"), (-1, 0, 1, 2), "unique"),
        (("a", "b", "c", "d"), (-1, 2, 1, 0), "parents before children"),
        (("a", "b", "c", "d"), (-1, -1, 0, 0), "one root"),
        (("a", "b", "c", "d"), (0, 0, 0, 0), "one root"),
        (("a", "b"), (-1, 0), "per joint"),
    ],
)
def test_refusals(names: tuple[str, ...], parents: tuple[int, ...], message: str) -> None:
    offsets = OFFSETS if names else OFFSETS[:0]
    with pytest.raises(InputError, match=message):
        Skeleton(names, parents, offsets)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="root, spine, arm, leg"):
        TREE.index("tail")
