"""The 27 numbers of motion matching: what each says, and that place and heading do not show."""

import math

import pytest
import torch

from muybridge.edit.features import (
    GROUPS,
    HORIZONS,
    ahead,
    features,
    scale_of,
    searchable,
    simulation_bone,
    turned,
)
from muybridge.edit.library import Library, library_from_clips
from muybridge.errors import InputError
from muybridge.motion.facing import moved
from muybridge.motion.kinematics import forward_clip
from tests.edit.walks import recorded, walk, walks
from tests.motions import random_clip


def _raw(library: Library) -> torch.Tensor:
    return features(library, simulation_bone(library))


def test_there_are_27_with_the_weights_of_the_reference() -> None:
    assert sum(columns for _, columns, _ in GROUPS) == 27
    assert [weight for *_, weight in GROUPS] == [0.75, 0.75, 1.0, 1.0, 1.0, 1.0, 1.5]
    assert [round(60 * seconds) for seconds in HORIZONS] == [20, 40, 60]
    assert _raw(walks()).shape == (len(walks()), 27)


def test_a_steady_walk_says_what_it_does() -> None:
    """1.2 m/s straight on: hips move along z, the trajectory lies ahead, the feet beside."""
    library = library_from_clips([walk(1.2, 0.0, 4.0)])
    middle = _raw(library)[20:60]
    left, right, hips = middle[:, 0:3], middle[:, 3:6], middle[:, 12:15]
    assert float((left[:, 0] - 0.10).abs().max()) < 0.02
    assert float((right[:, 0] + 0.10).abs().max()) < 0.02
    torch.testing.assert_close(hips[:, 2], torch.full_like(hips[:, 2], 1.2), atol=0.01, rtol=0.0)
    places, looks = middle[:, 15:21].reshape(-1, 3, 2), middle[:, 21:].reshape(-1, 3, 2)
    for step, seconds in enumerate(HORIZONS):
        expected = torch.tensor([0.0, 1.2 * seconds], dtype=torch.float64).expand(40, 2)
        torch.testing.assert_close(places[:, step], expected, atol=0.02, rtol=0.0)
        torch.testing.assert_close(
            looks[:, step], torch.tensor([0.0, 1.0], dtype=torch.float64).expand(40, 2),
            atol=1e-3, rtol=0.0,
        )  # fmt: skip


def test_a_turning_walk_looks_where_it_will_go() -> None:
    library = library_from_clips([walk(1.0, 0.8, 4.0)])
    looks = _raw(library)[30:60, 21:].reshape(-1, 3, 2)
    for step, seconds in enumerate(HORIZONS):
        angle = torch.atan2(looks[:, step, 0], looks[:, step, 1])
        torch.testing.assert_close(
            angle, torch.full_like(angle, 0.8 * seconds), atol=0.02, rtol=0.0
        )


def test_where_a_clip_lies_and_faces_does_not_show() -> None:
    clips = list(walks().clips)
    far = [moved(c, torch.tensor(2.5), torch.tensor([20.0, -7.0])) for c in clips]
    first, second = (_raw(library_from_clips(group)) for group in (clips, far))
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0.0)


def test_velocities_are_the_rates_of_positions() -> None:
    """A slow twin, joint by joint and frame by frame, from the clip's own kinematics."""
    library = library_from_clips([walk(1.1, 0.5, 3.0)])
    bone, raw = simulation_bone(library), _raw(library)
    clip = library.clips[0]
    positions = forward_clip(clip).positions
    foot = library.skeleton.index("RightFoot")
    for frame in (10, 33, 60):
        angle, place = bone.angles[frame], bone.places[frame]
        c, s = math.cos(-float(angle)), math.sin(-float(angle))
        rate = (positions[frame + 1, foot] - positions[frame - 1, foot]) * clip.fps / 2.0
        seen = torch.stack((c * rate[0] + s * rate[2], rate[1], c * rate[2] - s * rate[0]))
        torch.testing.assert_close(raw[frame, 9:12], seen)
        x, y, z = positions[frame, foot]
        x, z = x - place[0], z - place[1]
        seen = torch.stack((c * x + s * z, y, c * z - s * x))
        torch.testing.assert_close(raw[frame, 3:6], seen)


def test_scaled_groups_have_the_spread_of_their_weight() -> None:
    raw = _raw(walks())
    scale = scale_of(raw)
    scaled = scale.apply(raw)
    assert float(scaled.mean(0).abs().max()) < 1e-9
    start = 0
    for _, columns, weight in GROUPS:
        spread = scaled[:, start : start + columns].std(0, correction=0).mean()
        assert abs(float(spread) - weight) < 1e-9
        assert len(scale.size[start : start + columns].unique()) == 1
        start += columns
    still = scale_of(torch.ones(5, 27, dtype=torch.float64))
    assert bool(still.size.isfinite().all())


def test_no_frame_looks_into_another_clip_and_ends_are_not_found() -> None:
    library = walks()
    later = ahead(library, 1.0)
    assert bool((library.owners[later] == library.owners).all())
    assert int((later - torch.arange(len(library))).max()) == 30
    allowed = searchable(library)
    assert not bool(allowed[library.left < 10].any())
    assert bool(allowed[library.left >= 10].all())


def test_floor_vectors_turn_as_rotations_about_the_vertical() -> None:
    ahead_z = torch.tensor([0.0, 1.0], dtype=torch.float64)
    quarter = torch.tensor(math.pi / 2.0, dtype=torch.float64)
    torch.testing.assert_close(
        turned(ahead_z, quarter), torch.tensor([1.0, 0.0], dtype=torch.float64)
    )


def test_bodies_without_feet() -> None:
    library = library_from_clips([random_clip(3, frames=40)])
    with pytest.raises(InputError, match="a left and a right foot"):
        _raw(library)


def test_the_bone_of_recordings_is_calmer_than_their_hips() -> None:
    library = library_from_clips(recorded())
    bone = simulation_bone(library)
    for clip, start in zip(library.clips, library.starts.tolist(), strict=True):
        rows = slice(start, start + len(clip))
        hips = clip.root[:, [0, 2]]
        assert float((bone.places[rows] - hips).norm(dim=-1).max()) < 0.06
        assert float(bone.places[rows].diff(n=2, dim=0).norm()) < float(
            hips.diff(n=2, dim=0).norm()
        )
