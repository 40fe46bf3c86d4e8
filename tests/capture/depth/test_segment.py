"""The person's pixels: against the truth of a rendered scene, with and without clutter."""

from functools import cache

import torch

from muybridge.capture.depth.backproject import backproject, ray_grid, to_world
from muybridge.capture.depth.planes import Plane, Room
from muybridge.capture.depth.raycast import raycast
from muybridge.capture.depth.segment import Segmenter, Sight, outline_of, thinned
from muybridge.geometry.camera import Cameras
from tests.depth_person import Faults, Person, depth_camera, disturbed, person, room, some_frames


@cache
def scene() -> tuple[Person, Cameras, torch.Tensor, torch.Tensor]:
    """One frame: the person, the camera, what it sees, and which pixels are the person's."""
    someone = some_frames(person(step=4), slice(10, 11))
    camera = depth_camera(20.0, 2.7, size=(160, 120), height=1.1, tilt_deg=-5.0)
    grid, planes = ray_grid(camera), room(camera)
    alone = raycast(camera, someone.starts[0], someone.ends[0], someone.radii, None, grid)
    empty = torch.tensor([[50.0, 0, 0]]).double()
    walls = raycast(camera, empty, empty + 0.1, torch.tensor([0.1]).double(), planes, grid)
    truth = alone < walls.nan_to_num(nan=torch.inf)
    return someone, camera, torch.where(truth, alone, walls), truth


def segmenter(camera: Cameras, background: tuple[torch.Tensor, ...] = ()) -> Segmenter:
    floor, wall = room(camera)
    known = Room(
        Plane(floor[:3], float(floor[3]), 0.025), (Plane(wall[:3], float(wall[3]), 0.025),)
    )
    return Segmenter(camera, (ray_grid(camera),), known, background)


def agreement(mask: torch.Tensor, truth: torch.Tensor) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


def test_person_is_cut_out_of_a_clean_and_a_bad_picture() -> None:
    """IoU above 0.95 and, of the pixels that have depth, above 0.9; soles are lost to the floor."""
    _, camera, depth, truth = scene()
    clean = segmenter(camera).see([depth])
    assert agreement(clean.masks[0], truth) > 0.95
    bad = disturbed(depth, Faults(), 0)
    seen = segmenter(camera).see([bad])
    assert agreement(seen.masks[0], truth & bad.isfinite()) > 0.9


def test_points_are_the_mask_s_pixels() -> None:
    _, camera, depth, _ = scene()
    sight = segmenter(camera).see([depth])
    world = to_world(backproject(depth, ray_grid(camera)), camera)
    torch.testing.assert_close(sight.points, world[sight.masks[0]])


def with_box(depth: torch.Tensor, camera: Cameras, x: float) -> torch.Tensor:
    """A thick post, larger than the person, that stands beside them."""
    foot = torch.tensor([[x, 0.3, 0.0]], dtype=torch.float64)
    top = torch.tensor([[x, 1.9, 0.0]], dtype=torch.float64)
    post = raycast(camera, foot, top, torch.tensor([0.3]).double())
    return torch.where(post < depth.nan_to_num(nan=torch.inf), post, depth)


def test_the_last_place_tells_the_person_from_a_larger_thing() -> None:
    someone, camera, depth, truth = scene()
    crowded = with_box(depth, camera, 1.0)
    where = someone.joints[0].mean(0)[[0, 2]]
    assert agreement(segmenter(camera).see([crowded], where).masks[0], truth) > 0.9


def test_the_empty_room_takes_away_what_always_stands_there() -> None:
    _, camera, depth, truth = scene()
    floor_and_wall = torch.where(truth, torch.nan, depth)
    empty = with_box(floor_and_wall.nan_to_num(nan=9.0), camera, 1.0)
    sight = segmenter(camera, (empty,)).see([with_box(depth, camera, 1.0)])
    assert agreement(sight.masks[0], truth) > 0.9


def test_nobody_is_nobody() -> None:
    _, camera, depth, truth = scene()
    sight = segmenter(camera).see([torch.where(truth, torch.nan, depth)])
    assert not sight.found
    assert not bool(sight.masks[0].any())
    outline = outline_of(sight, camera, 0, ray_grid(camera))
    assert bool(outline.person.all())  # says nothing


def test_thinning_keeps_cameras_apart_and_means_within_their_cubes() -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.rand(500, 3, generator=random, dtype=torch.float64) * 0.2
    owner = torch.arange(500) % 2
    thin, of_camera = thinned(Sight(points, owner, (), ()))
    assert len(thin) < 500
    for camera in (0, 1):
        own = points[owner == camera]
        cells = {tuple(c) for c in (own / 0.03).floor().long().tolist()}
        found = [tuple(c) for c in (thin[of_camera == camera] / 0.03).floor().long().tolist()]
        assert sorted(found) == sorted(cells)


def test_outline_points_to_the_nearest_pixel_of_the_person() -> None:
    _, camera, depth, _ = scene()
    sight = segmenter(camera).see([depth])
    outline = outline_of(sight, camera, 0, ray_grid(camera))
    grid = ray_grid(camera).normalized[:: outline.stride, :: outline.stride]
    own = grid[outline.person[0]]
    far = (outline.nearest[0].double() - grid).norm(dim=-1)
    index = torch.arange(0, far.numel(), 97)
    slow = (grid.reshape(-1, 2)[index, None] - own).norm(dim=-1).amin(-1)
    torch.testing.assert_close(far.flatten()[index], slow, rtol=0, atol=2e-6)
