"""Pinned feet: what stands stays, what flies is left alone, nothing jumps."""

from dataclasses import replace

import pytest
import torch

from muybridge.edit.feet import feet, foot_contacts, foot_slide
from muybridge.edit.pin import PinOptions, fade_out, pin
from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import BVH_FILES, DATA

needs_data = pytest.mark.skipif(not BVH_FILES, reason="the recordings are absent")


def _contacts(clip: Clip, *spans: tuple[str, int, int]) -> torch.Tensor:
    contacts = torch.zeros(clip.rotations.shape[:2], dtype=torch.bool)
    for name, start, stop in spans:
        contacts[start:stop, clip.skeleton.index(name)] = True
    return contacts


def test_a_standing_ankle_and_toe_do_not_move_and_the_rest_of_the_time_is_left_alone() -> None:
    clip = walker(120)
    spans = ("LeftFoot", 30, 50), ("LeftToeBase", 40, 60), ("RightToeBase", 70, 80)
    contacts = _contacts(clip, *spans)
    pinned = pin(clip, contacts)
    places = forward_clip(pinned).positions
    for name, start, stop in spans:
        held = places[start:stop, clip.skeleton.index(name)]
        assert float((held - held[:1]).norm(dim=-1).max()) < 1e-9, name
    assert foot_slide(clip, contacts) > 0.5
    assert foot_slide(pinned, contacts) < 1e-6
    away = geodesic_angle(pinned.rotations, clip.rotations).amax(-1)
    assert float(away[:17].max()) < 1e-7
    assert float(away[30:60].min()) > 0.01
    trunk = [clip.skeleton.index(n) for n in ("Spine", "Neck", "LeftArm", "RightForeArm")]
    assert bool((pinned.rotations[:, trunk] == clip.rotations[:, trunk]).all())


def test_bones_keep_their_lengths_and_knees_do_not_flip() -> None:
    clip = walker(120)
    contacts = _contacts(clip, ("LeftFoot", 30, 50), ("RightFoot", 60, 85))
    pinned = pin(clip, contacts)
    knee = clip.skeleton.index("LeftLeg")
    bend = geodesic_angle(pinned.rotations[:, knee], clip.rotations[:, knee])
    assert float(bend.max()) < 1.2
    step = geodesic_angle(pinned.rotations[1:, knee], pinned.rotations[:-1, knee])
    assert float(step.max()) < 0.4


def test_a_leg_that_is_too_short_brings_the_hips_down_smoothly() -> None:
    clip = walker(120)
    contacts = _contacts(clip, ("LeftFoot", 30, 75))
    free, held = (pin(clip, contacts, PinOptions(hips=h)) for h in (False, True))
    assert foot_slide(held, contacts) < 1e-6
    assert foot_slide(free, contacts) > 1e-3
    drop = clip.root[:, 1] - held.root[:, 1]
    assert float(drop.max()) > 0.005
    assert float(drop.diff().abs().max()) < 0.03
    assert float(drop[0]) == pytest.approx(0.0, abs=1e-3)


def test_nothing_stands_nothing_changes() -> None:
    clip = walker(30)
    pinned = pin(clip, _contacts(clip))
    assert float(geodesic_angle(pinned.rotations, clip.rotations).max()) < 1e-7
    assert torch.equal(pinned.root, clip.root)


def test_a_fade_begins_with_value_and_slope_and_ends_with_neither() -> None:
    known = torch.zeros(60, dtype=torch.bool)
    known[20:30] = True
    known[45:50] = True
    frame = torch.arange(60, dtype=torch.float64)
    values = torch.stack((0.1 * frame, torch.ones(60, dtype=torch.float64)), dim=-1)
    faded = fade_out(torch.where(known[:, None], values, torch.nan).nan_to_num(), known, 10)
    assert torch.equal(faded[known], values[known])
    assert bool((faded[:11] == 0.0).all())
    assert bool((faded[59] == 0.0).all())
    assert float(faded[30, 0]) == pytest.approx(3.0, abs=0.1)  # goes on with its slope
    assert float(faded.diff(dim=0).abs().max()) < 1.0
    short = fade_out(torch.ones(60, 1, dtype=torch.float64) * known[:, None], known, 100)
    assert bool((short[30:45] > 0.99).all())  # between two equal corrections nothing changes


@needs_data
@pytest.mark.parametrize("path", BVH_FILES, ids=lambda p: p.stem)
def test_recorded_feet_slide_less(path) -> None:
    clip = read_clip(path).frames(1, 251)
    contacts = foot_contacts(clip)
    pinned = pin(clip, contacts)
    before, after = foot_slide(clip, contacts), foot_slide(pinned, contacts)
    assert after < 0.2 * before
    speed = [
        float(forward_clip(c).positions.diff(dim=0).norm(dim=-1).max()) for c in (clip, pinned)
    ]
    assert speed[1] < 1.1 * speed[0] + 0.1 / clip.fps  # metres a frame


@needs_data
@pytest.mark.parametrize("name", ["walk60", "walk_forward", "walk_and_turn_left", "motion"])
def test_no_knee_pops(name: str) -> None:
    clip = read_clip(DATA / f"bvh/games105/{name}.bvh")
    pinned = pin(clip, foot_contacts(clip))
    jerk = [
        float(forward_clip(c).positions.diff(n=2, dim=0).norm(dim=-1).max()) for c in (clip, pinned)
    ]
    assert jerk[1] < 2.5 * jerk[0]


@needs_data
def test_contacts_of_a_walk_alternate() -> None:
    clip = read_clip(DATA / "bvh/games105/walk60.bvh")
    contacts = foot_contacts(clip)
    share = [float(contacts[:, list(f.joints)].any(-1).float().mean()) for f in feet(clip.skeleton)]
    assert 0.35 < min(share) <= max(share) < 0.7  # Perry: a foot stands for 60 % of a stride


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="skeleton with feet"):
        pin(smooth_clip(1))
    with pytest.raises(InputError, match="ease"):
        PinOptions(ease=-1.0)
    clip = walker(5)
    with pytest.raises(InputError, match="known pose"):
        pin(replace(clip, root=torch.full_like(clip.root, torch.nan)))
