"""Keypoints and depth to points: truth, holes, edges, several cameras."""

from pathlib import Path

import pytest
import torch

from muybridge.capture.depth.lift import lift_keypoints, surface_depth
from muybridge.errors import InputError
from muybridge.files.depth import DepthTake, read_depth, write_depth
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import Keypoints
from tests.depth_person import Faults, Person, depth_camera, filmed, person, some_frames

SIZE = (200, 150)


def scene(folder: Path, bearings: tuple[float, ...]) -> tuple[Person, DepthTake, Keypoints]:
    """Joints projected into depth cameras, half a pixel of noise."""
    someone = some_frames(person(step=4), slice(4, 24, 2))
    cameras = [depth_camera(b, 2.7, SIZE, height=1.1, tilt_deg=-5.0) for b in bearings]
    for camera in cameras:
        pictures = filmed(someone, camera, Faults())
        write_depth(folder / camera.names[0], camera, pictures, someone.fps)
    take = read_depth(folder)
    seen = torch.stack([c.project(someone.joints)[0] for c in cameras])
    order = [[c.names[0] for c in cameras].index(name) for name in take.cameras.names]
    random = torch.Generator().manual_seed(0)
    noisy = seen[order] + 0.5 * torch.randn(seen.shape, generator=random, dtype=torch.float64)
    keypoints = Keypoints(
        take.cameras.names, someone.names, noisy.unsqueeze(2),
        torch.ones(noisy.unsqueeze(2).shape[:-1], dtype=torch.float64), someone.fps,
    )  # fmt: skip
    return someone, take, keypoints


def test_joints_by_one_camera(tmp_path: Path) -> None:
    """Median below 30 mm; what the body hides is wrong, as it must be without a body."""
    someone, take, keypoints = scene(tmp_path, (0.0,))
    markers = lift_keypoints(keypoints, take)
    errors = (markers.points_world - someone.joints).norm(dim=-1)
    assert float(errors.nanmedian()) < 0.030
    assert float(markers.seen.double().mean()) > 0.95
    assert bool((markers.views[markers.seen] == 1.0).all())


def test_depth_at_the_pixel_alone_is_worse(tmp_path: Path) -> None:
    """Baseline: the one pixel's depth, and no way into the body."""
    someone, take, keypoints = scene(tmp_path, (0.0,))
    lifted = lift_keypoints(keypoints, take).points_world
    plain = []
    for t in range(len(take)):
        px = keypoints.points_px[0, t, 0]
        u, v = px.round().long().unbind(-1)
        depth = take.frame(t)[0][v.clamp(0, SIZE[1] - 1), u.clamp(0, SIZE[0] - 1)]
        flat = take.cameras.normalize(px.unsqueeze(0))[0]
        rays = torch.cat((flat, torch.ones_like(flat[:, :1])), -1)
        inverse = take.cameras.camera_from_world.inverse()
        plain.append(inverse.apply((rays * depth.unsqueeze(-1)).unsqueeze(0))[0])
    ours, theirs = (
        (points - someone.joints).norm(dim=-1) for points in (lifted, torch.stack(plain))
    )
    both = ours.isfinite() & theirs.isfinite()
    assert float(ours[both].median()) < 0.5 * float(theirs[both].median())
    assert int(ours.isfinite().sum()) > int(theirs.isfinite().sum())  # holes are bridged


def test_two_cameras_are_averaged(tmp_path: Path) -> None:
    someone, take, keypoints = scene(tmp_path, (0.0, 60.0))
    both = lift_keypoints(keypoints, take)
    assert float(both.views.max()) == 2.0
    assert float((both.points_world - someone.joints).norm(dim=-1).nanmedian()) < 0.030


def test_window_takes_the_nearest_surface() -> None:
    depth = torch.full((20, 20), 4.0, dtype=torch.float64)
    depth[:, 9:12] = 2.0  # a thin limb before a wall
    depth[10, 10] = torch.nan
    points = torch.tensor([[10.0, 10.0], [2.0, 10.0], [torch.nan, 1.0], [40.0, 3.0]]).double()
    found = surface_depth(depth, points)
    assert found[:2].tolist() == [2.0, 4.0]
    assert not bool(found[2:].isfinite().any())
    assert not bool(surface_depth(torch.full_like(depth, torch.nan), points).isfinite().any())


def test_other_lengths_and_names_are_told(tmp_path: Path) -> None:
    _, take, keypoints = scene(tmp_path, (0.0,))
    short = Keypoints(
        keypoints.cameras, keypoints.joints, keypoints.points_px[:, :3],
        keypoints.confidence[:, :3], keypoints.fps,
    )  # fmt: skip
    with pytest.raises(InputError, match="expected keypoints of 10 frames"):
        lift_keypoints(short, take)
    other = Cameras(
        ("elsewhere",),
        *(
            getattr(take.cameras, name)
            for name in ("size_px", "matrix", "distortion", "rotation", "translation")
        ),
    )
    with pytest.raises(InputError, match="none of elsewhere"):
        lift_keypoints(keypoints, take, other)
