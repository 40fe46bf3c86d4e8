"""Paths on the floor: where they go, and files that hold none."""

import json
from pathlib import Path

import pytest
import torch

from muybridge.edit.floor_path import FloorPath, read_floor_path
from muybridge.errors import InputError

CORNER = torch.tensor([[0.0, 0.0], [0.0, 3.0], [4.0, 3.0]], dtype=torch.float64)


def test_places_along_a_corner() -> None:
    path = FloorPath(CORNER)
    assert path.length == 7.0
    found = path.at_distance(torch.tensor([-1.0, 1.0, 3.0, 5.0, 9.0], dtype=torch.float64))
    expected = [[0.0, 0.0], [0.0, 1.0], [0.0, 3.0], [2.0, 3.0], [4.0, 3.0]]
    assert found.tolist() == expected
    timed = path.timed(2.0)
    assert timed.duration == 3.5
    assert timed.at_time(torch.tensor(2.5, dtype=torch.float64)).tolist() == [2.0, 3.0]
    own = FloorPath(CORNER, torch.tensor([5.0, 6.0, 8.0], dtype=torch.float64))
    assert own.timed(9.0) is own
    assert own.at_time(torch.tensor(2.0, dtype=torch.float64)).tolist() == [2.0, 3.0]


def test_distance_to_the_nearest_place() -> None:
    points = torch.tensor([[1.0, 1.0], [-1.0, 3.0], [5.0, 3.0], [2.0, 2.0]], dtype=torch.float64)
    assert FloorPath(CORNER).apart(points).tolist() == [1.0, 1.0, 1.0, 1.0]


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    file.write_text("[[0, 0], [0, 3.0], [4, 3]]")
    assert torch.equal(read_floor_path(file).points, CORNER)
    file.write_text('{"points": [[0, 0], [0, 3.0], [4, 3]], "times": [0, 1, 2.5]}')
    times = read_floor_path(file).times
    assert times is not None
    assert times.tolist() == [0.0, 1.0, 2.5]


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "7", "null", '"path"', "[[0, 0]]", "[[0, 0], [0, 0]]", "[[0, 0], [1]]",
        "[[0, 0], [1, 2, 3]]", '[[0, 0], [1, "a"]]', "[[0, 0], [1, true]]", "[[0, 0], [1, 1e99]]",
        "[[0, 0], [NaN, 1]]", '{"point": [[0, 0], [1, 1]]}', '{"times": [0, 1]}',
        '{"points": [[0, 0], [1, 1]], "times": [1, 0]}', '{"points": [[0, 0], [1, 1]], "speed": 1}',
        '{"points": [[0, 0], [1, 1]], "times": [0]}', '{"points": [[0, 0], [1, 1]], "times": "a"}',
        '{"points": {"x": 0}}', "[" * 100_000,
    ],
    ids=range(22),
)  # fmt: skip
def test_files_that_hold_no_path(tmp_path: Path, content: str) -> None:
    file = tmp_path / "path.json"
    file.write_text(content)
    with pytest.raises(InputError, match="expected"):
        read_floor_path(file)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_speeds_out_of_range(speed: float) -> None:
    with pytest.raises(InputError, match="above 0 m/s"):
        FloorPath(CORNER).timed(speed)


def test_paths_that_are_too_long() -> None:
    with pytest.raises(InputError, match="are the points in metres"):
        FloorPath(CORNER * 1e4)
    with pytest.raises(InputError, match="up to 6 hours"):
        FloorPath(CORNER).timed(1e-6)


def test_points_survive_a_file(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    file.write_text(json.dumps((CORNER / 3.0).tolist()))
    assert torch.equal(read_floor_path(file).points, CORNER / 3.0)
