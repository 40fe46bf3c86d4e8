"""Boards: geometry, descriptions, and the choice of views."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muybridge.capture.board import Board, BoardViews, read_board, select_views, spread_views
from muybridge.errors import InputError

DATA = Path(__file__).parents[2] / "../shared/data"


def test_corners_run_along_the_columns_first() -> None:
    corners = Board("charuco", 4, 5, 0.1).corners_board()
    assert corners.shape == (12, 3)
    assert corners[:4].tolist() == [
        pytest.approx(c) for c in ([0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0, 0.1, 0])
    ]


OURS = """
kind = "charuco"
columns = 4
rows = 5
square_mm = 54
marker_ratio = 0.7
dictionary = "DICT_5X5_50"
inverted = true
"""


def test_our_description(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(OURS)
    assert read_board(path) == Board("charuco", 4, 5, 0.054, 0.7, "DICT_5X5_50", True, False)


def test_description_of_caliscope() -> None:
    path = DATA / "charuco/charuco.toml"
    if not path.exists():
        pytest.skip("../shared/data/charuco is absent")
    board = read_board(path)
    assert (board.kind, board.corner_grid, board.inverted) == ("charuco", (3, 4), True)
    assert board.square_m == pytest.approx(0.054)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"charuco"', '"circles"', "expected kind"),
        ("columns = 4", "columns = 4.5", "expected columns"),
        ("rows = 5", "rows = 2", "expected rows"),
        ("rows = 5", "rows = true", "expected rows"),
        ("square_mm = 54", "square_mm = nan", "expected square_mm"),
        ("square_mm = 54", "square_mm = -3", "expected square_mm"),
        ("square_mm = 54", "", "expected square_m"),
        ("0.7", "1.2", "marker_ratio above 0 and below 1"),
        ("DICT_5X5_50", "DICT_5X5_51", "expected dictionary"),
        ("true", '"yes"', "expected inverted"),
        ("kind =", "kind", "expected a TOML file"),
    ],
)
def test_wrong_descriptions(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "board.toml"
    path.write_text(OURS.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_board(path)


def test_no_description(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_board(tmp_path / "board.toml")


@given(st.binary(max_size=8), st.integers(0, len(OURS) - 1), st.integers(0, 6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_descriptions(tmp_path: Path, piece: bytes, at: int, cut: int) -> None:
    path = tmp_path / "board.toml"
    path.write_bytes(OURS.encode()[:at] + piece + OURS.encode()[at + cut :])
    try:
        board = read_board(path)
    except InputError:
        return
    assert board.corner_grid[0] >= 2
    assert 0.0 < board.square_m < 1e5


def _views(count: int) -> BoardViews:
    """Most views in one place, two elsewhere."""
    board = Board("chessboard", 4, 3, 0.05)
    flat = board.corners_board()[:, :2] * 1000.0
    generator = torch.Generator().manual_seed(0)
    jitter = torch.randn(count, 1, 2, generator=generator, dtype=torch.float64)
    points = flat + 300.0 + jitter
    points[7] += 250.0
    points[11] = points[11] * 1.5
    return BoardViews("a", (1280, 960), board, tuple(map(str, range(count))), points)


def test_spread_keeps_the_views_that_differ() -> None:
    kept = spread_views(_views(40), 4)
    assert len(kept) == 4
    assert {"7", "11"} <= set(kept.instants)
    assert list(kept.instants) == sorted(kept.instants, key=int)


def test_spread_of_few_views_is_all_of_them() -> None:
    views = _views(12)
    assert spread_views(views, 12) is views


def test_spread_survives_corners_that_were_not_seen() -> None:
    views = _views(30)
    views.points_px[::2, :6] = torch.nan
    assert len(spread_views(views, 10)) == 10


def test_select_takes_names_and_corners_together() -> None:
    views = _views(12)
    some = select_views(views, torch.tensor([3, 1]))
    assert some.instants == ("3", "1")
    assert torch.equal(some.points_px, views.points_px[[3, 1]])
