"""Finding people, cutting them out, refining them: geometry, and how two estimates join."""

from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.errors import InputError
from muybridge.pose import runtime
from muybridge.pose.runtime import backend_sentence, make_runner
from muybridge.pose.topdown import Person, PersonFinder, TopDown, _blend, _shrink, cut_square
from tests.pose.pictures import background, draw_figure


@pytest.fixture(scope="module")
def detector() -> TopDown:
    return TopDown(PersonFinder(256, 0.2))


def _room(*people: tuple[tuple[int, int], int]) -> np.ndarray:
    picture = background(480, 640)
    for seed, (centre, scale) in enumerate(people):
        draw_figure(picture, centre, scale, seed + 1)
    return picture


def test_people_are_found_where_they_stand_largest_first() -> None:
    detector = TopDown(PersonFinder(256, 0.05))  # drawings convince less than people do
    people = detector(_room(((470, 220), 140), ((150, 230), 190)))
    assert len(people) == 2
    chests = [p.points_px[[5, 6, 11, 12]].mean(0).tolist() for p in people]
    np.testing.assert_allclose(chests, [[150, 230], [470, 220]], atol=18)
    assert people[0].area_px > people[1].area_px


def test_joints_move_with_the_picture(detector: TopDown) -> None:
    """A shift by whole pixels of the shrunken picture and of the crop shifts every joint alike."""
    wide = _room(((300, 200), 170))
    moved = np.roll(wide, 40, axis=1)
    (before,), (after,) = detector(wide), detector(moved)
    sure = before.confidence > 0.4
    shift = (after.points_px - before.points_px)[sure]
    np.testing.assert_allclose(shift.median(0).values, [40.0, 0.0], atol=3.0)


def test_nobody_in_an_empty_room(detector: TopDown) -> None:
    assert detector(background(480, 640)) == []


def test_a_person_at_the_edge_stays_in_the_crop(detector: TopDown) -> None:
    people = detector(_room(((40, 220), 180)))
    assert len(people) == 1
    assert abs(float(people[0].points_px[[5, 6, 11, 12], 0].mean()) - 40.0) < 20.0


@pytest.mark.parametrize(
    ("centre", "side"), [((50.0, 60.0), 40.0), ((2.0, 3.0), 30.0), ((99.0, 79.0), 64.0)]
)
def test_cut_square_keeps_pixels_in_their_place(centre: tuple[float, float], side: float) -> None:
    picture = np.zeros((80, 100, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.mgrid[:80, :100]
    picture[..., 2] = 255
    crop, (x, y), side_px = cut_square(picture, centre, side)
    assert crop.shape == (256, 256, 3)
    inside = np.argwhere(crop[..., 2] == 255)
    row, column = inside[len(inside) // 2]
    expected = (np.array([row, column]) + 0.5) * side_px / 256 - 0.5 + [y, x]
    np.testing.assert_allclose(crop[row, column, :2], expected, atol=1.0)
    outside = [(0, 0), (255, 255)]
    for row, column in outside:
        place = np.array([row + 0.5, column + 0.5]) * side_px / 256 + [y, x]
        is_in = (place >= 0).all() and place[0] < 80 and place[1] < 100
        assert (crop[row, column, 2] > 0) == is_in


def test_cut_square_outside_the_picture_is_black() -> None:
    crop, _, _ = cut_square(np.full((50, 50, 3), 9, np.uint8), (500.0, 500.0), 20.0)
    assert not crop.any()


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (480, 640), (7, 900), (20, 20)])
def test_shrink_fills_up_to_multiples_of_32(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 200, np.uint8)
    small, scale = _shrink(picture, 256)
    assert small.shape[0] % 32 == small.shape[1] % 32 == 0
    assert max(small.shape[:2]) == 256
    lit = small[..., 0] > 0
    height, width = lit.any(1).sum(), lit.any(0).sum()
    # the lit part's share of the filled picture is the picture's share of `scale`
    assert float(scale[0]) * width / small.shape[1] == pytest.approx(size[1])
    assert float(scale[1]) * height / small.shape[0] == pytest.approx(size[0])


def _person(points: torch.Tensor, confidence: float) -> Person:
    box = torch.tensor([0.0, 0.0, 100.0, 200.0], dtype=torch.float64)
    return Person(points, torch.full((17,), confidence, dtype=torch.float64), box, 0.9)


def test_blending_averages_only_what_agrees() -> None:
    points = torch.rand(17, 2, dtype=torch.float64) * 100.0
    other = points.clone()
    other[0] += torch.tensor([4.0, 0.0])
    other[1] += torch.tensor([60.0, 0.0])
    found = _person(other, 0.8)
    blended = _blend(points, torch.full((17,), 0.8, dtype=torch.float64), found, 20.0)
    assert float(blended[0, 0] - points[0, 0]) == pytest.approx(4.0 * 0.25 / 1.25)
    torch.testing.assert_close(blended[1:], points[1:])
    blended = _blend(points, torch.zeros(17, dtype=torch.float64), _person(other, 0.0), 20.0)
    torch.testing.assert_close(blended, points)


def test_one_person_found_twice_counts_once() -> None:
    picture = _room(((300, 220), 170))
    finder = PersonFinder(256, 0.2)
    (person,) = finder(picture)
    detect = TopDown(lambda _: [person, person])
    assert len(detect(picture)) == 1


def test_a_neighbour_that_the_crop_loses_keeps_the_finders_estimate() -> None:
    picture = _room(((300, 220), 170))
    (person,) = PersonFinder(256, 0.2)(picture)
    # somebody whom only the finder sees: Thunder looks there and sees the first person again
    shifted = person.points_px + torch.tensor([70.0, 0.0])
    ghost = Person(shifted, person.confidence, person.box_px, 0.5)
    detect = TopDown(lambda _: [person, ghost])
    people = detect(picture)
    assert len(people) == 2
    assert any(torch.equal(p.points_px, shifted) for p in people)


# -- back ends ---------------------------------------------------------------------------------
def test_onnx_and_torch_find_the_same(detector: TopDown, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    picture = _room(((300, 220), 170))
    onnx = TopDown(PersonFinder(256, 0.2, "onnx", tmp_path), "onnx", tmp_path)
    (a,), (b,) = detector(picture), onnx(picture)
    torch.testing.assert_close(a.points_px, b.points_px, atol=0.02, rtol=0)
    torch.testing.assert_close(a.confidence, b.confidence, atol=1e-4, rtol=0)
    graphs = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("-")[0] for name in graphs] == ["movenet_multipose", "movenet_thunder"]


def test_onnx_is_never_replaced_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"no package onnxruntime nor onnx; pip install"):
        make_runner("thunder", "onnx")
    with pytest.raises(InputError, match="use --backend torch"):
        backend_sentence("onnx")
    assert "PyTorch" in backend_sentence("torch")


def test_the_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert runtime.default_cache_folder() == tmp_path / "muybridge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert runtime.default_cache_folder() == Path.home() / ".cache" / "muybridge"
