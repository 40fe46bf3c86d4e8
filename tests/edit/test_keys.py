"""Editing keys: each function does what it says, leaves the rest alone and the old clip whole."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.keyed import KeyedClip
from muybridge.edit.keys import (
    ROOT_PATH,
    delete_key,
    evaluate,
    insert_key,
    key_clip,
    key_near,
    move_key,
    reduction,
    set_interpolation,
    set_velocity,
    track,
    track_of,
    uniform_keys,
)  # fmt: skip
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, quaternion_from_rotvec
from muybridge.motion.kinematics import forward_clip
from tests.edit.swing import swing

CLIP = swing()
KEYED = key_clip(CLIP, 0.0005, 0.002)
ARM = "LeftArm"
TURN = quaternion_from_rotvec(torch.tensor([0.3, -0.5, 0.2], dtype=torch.float64))


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float(geodesic_angle(a, b).max()) < 1e-7


def arm(keyed: KeyedClip) -> torch.Tensor:
    return evaluate(keyed).rotations[:, 2]


def test_a_moved_key_moves_the_curve_there_and_nothing_else() -> None:
    at = len(track(KEYED, ARM)) // 2
    time = float(track(KEYED, ARM).times[at])
    moved = move_key(KEYED, ARM, at, value=TURN)
    frame = round(time * 60.0)
    assert same(arm(moved)[frame], TURN)
    assert not same(arm(KEYED)[frame], TURN)  # the old one is as it was
    assert moved.rotations[3] is KEYED.rotations[3]
    assert moved.root is KEYED.root
    times = track(KEYED, ARM).times
    outside = (KEYED.grid() <= times[at - 1]) | (KEYED.grid() >= times[at + 1])
    assert same(arm(moved)[outside], arm(KEYED)[outside])


def test_a_key_moved_in_time_takes_its_pose_along() -> None:
    keys = track(KEYED, ARM)
    later = float(0.5 * (keys.times[3] + keys.times[4]))
    moved = move_key(KEYED, ARM, 3, time=later)
    found = evaluate(moved, torch.tensor([later, later + 0.01], dtype=torch.float64))
    assert same(found.rotations[0, 2], keys.values[3])
    with pytest.raises(InputError, match="expected a time between"):
        move_key(KEYED, ARM, 3, time=float(keys.times[4]))


def test_an_inserted_key_leaves_the_curve_and_a_deleted_one_takes_it_back() -> None:
    keys = track(KEYED, ROOT_PATH)
    time = float(0.3 * keys.times[1] + 0.7 * keys.times[2])
    more = insert_key(KEYED, ROOT_PATH, time)
    assert more.count() == KEYED.count() + 1
    same_path = evaluate(more).root
    torch.testing.assert_close(same_path, evaluate(KEYED).root, rtol=0, atol=1e-12)
    back = delete_key(more, ROOT_PATH, key_near(more, ROOT_PATH, time))
    torch.testing.assert_close(evaluate(back).root, evaluate(KEYED).root, rtol=0, atol=0)
    turned = insert_key(KEYED, ARM, 0.777)
    assert float(geodesic_angle(arm(turned), arm(KEYED)).max()) < 0.003
    given = insert_key(KEYED, ARM, 0.777, TURN)
    assert same(track(given, ARM).values[key_near(given, ARM, 0.777)], TURN)


def test_ways() -> None:
    held = set_interpolation(KEYED, ARM, "stepped")
    keys = track(KEYED, ARM)
    index = torch.searchsorted(keys.times, KEYED.grid() + 1e-9, right=True) - 1
    assert same(arm(held), keys.values[index])
    one = set_interpolation(KEYED, ARM, "linear", 2)
    assert track(one, ARM).ways[1:4] == ("smooth", "linear", "smooth")
    between = (KEYED.grid() > keys.times[2]) & (KEYED.grid() < keys.times[3])
    assert same(arm(one)[~between], arm(KEYED)[~between])
    assert not same(arm(one)[between], arm(KEYED)[between])
    back = set_interpolation(one, ARM, "smooth", 2)
    assert same(arm(back), arm(KEYED))


def test_velocities() -> None:
    wanted = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    own = set_velocity(KEYED, ROOT_PATH, 1, wanted)
    time = float(track(own, ROOT_PATH).times[1])
    near = torch.tensor([time - 1e-6, time, time + 1e-6], dtype=torch.float64)
    root = evaluate(own, near).root
    torch.testing.assert_close((root[2] - root[0]) / 2e-6, wanted, rtol=0, atol=1e-3)
    automatic = set_velocity(own, ROOT_PATH, 1, None)
    assert bool(torch.isnan(track(automatic, ROOT_PATH).velocities[1]).all())


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_signs_of_quaternions_do_not_matter(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    flipped = tuple(
        replace(t, values=t.values * (2 * torch.randint(2, (len(t), 1), generator=generator) - 1))
        for t in KEYED.rotations
    )
    assert same(evaluate(replace(KEYED, rotations=flipped)).rotations, evaluate(KEYED).rotations)


def test_automatic_velocities_are_catmull_roms() -> None:
    from muybridge.edit.curves.rotation_cubic import rotation_hermite

    keys = track(KEYED, ARM)
    plain = replace(KEYED, rotations=(*KEYED.rotations[:2], track_of(keys.times, keys.values),
                                      *KEYED.rotations[3:]))  # fmt: skip
    wanted = rotation_hermite(keys.times, keys.values)(KEYED.grid())
    assert same(arm(plain), wanted)


def test_beyond_the_clip() -> None:
    times = torch.arange(-60, 301, dtype=torch.float64) / 60.0
    now = evaluate(KEYED)
    held = evaluate(KEYED, times)
    assert same(held.rotations[:61], now.rotations[:1])
    assert len(held) == 361
    cycled = evaluate(KEYED, times, "cycle", "cycle")
    assert same(cycled.rotations[61:180], now.rotations[1:120])
    assert same(cycled.rotations[181:300], now.rotations[1:120])
    assert same(
        evaluate(KEYED, times, "mirror", "mirror").rotations[:60], now.rotations[1:61].flip(0)
    )
    torch.testing.assert_close(cycled.root[181:300], now.root[1:120], rtol=0, atol=1e-9)
    gone = evaluate(KEYED, times, "cycle-offset", "cycle-offset")
    step = (gone.root[1:] - gone.root[:-1]).norm(dim=-1)
    assert float(step.max()) < 0.1  # it walks on: no jump where the turns meet
    assert float((gone.root[300] - now.root[0])[[0, 2]].norm()) > 2.0
    body = forward_clip(gone).positions - gone.root[:, None]
    again = forward_clip(cycled).positions - cycled.root[:, None]
    torch.testing.assert_close(body.norm(dim=-1), again.norm(dim=-1), rtol=0, atol=1e-9)
    straight = evaluate(KEYED, times, "linear", "linear")
    late = straight.root[200:]
    torch.testing.assert_close(late.diff(dim=0)[1:], late.diff(dim=0)[:-1], rtol=0, atol=1e-9)
    assert float((late[1] - late[0]).norm()) > 1e-3


def test_what_a_clip_carries_comes_along() -> None:
    again = evaluate(KEYED)
    assert again.captions == CLIP.captions
    assert torch.equal(again.contacts, CLIP.contacts)  # type: ignore[arg-type]
    assert torch.equal(again.filled, CLIP.filled)  # type: ignore[arg-type]
    torch.testing.assert_close(again.position_std, CLIP.position_std, rtol=0, atol=0)
    part = evaluate(KEYED, 1.0 + torch.arange(31, dtype=torch.float64) / 60.0)
    assert [(c.text, c.start) for c in part.captions] == [("swings", 0.0)]
    assert part.captions[0].end == pytest.approx(0.5)
    assert torch.equal(part.contacts, CLIP.contacts[60:91])  # type: ignore[arg-type,index]


def test_gradients_reach_key_values_and_velocities() -> None:
    values = [t.values.clone().requires_grad_() for t in KEYED.rotations]
    speeds = [t.velocities.clone().requires_grad_() for t in KEYED.rotations]
    tracks = tuple(
        replace(t, values=v, velocities=s)
        for t, v, s in zip(KEYED.rotations, values, speeds, strict=True)
    )
    clip = evaluate(replace(KEYED, rotations=tracks))
    forward_clip(clip).positions.square().sum().backward()
    assert values[2].grad is not None
    assert bool((values[2].grad.abs().sum(-1) > 0.0).all())
    assert bool(torch.isfinite(torch.cat([s.grad for s in speeds])).all())  # type: ignore[arg-type]


def test_mistakes_are_named(unchecked: None) -> None:
    for work, words in (
        (lambda: move_key(KEYED, "Elbow", 0, value=TURN), "Elbow"),
        (lambda: move_key(KEYED, 9, 0, value=TURN), "a joint from 0 to 4"),
        (lambda: move_key(KEYED, ARM, 99, value=TURN), "a key from 0"),
        (lambda: move_key(KEYED, ARM, 0, value=TURN[:3]), "4 numbers"),
        (lambda: move_key(KEYED, ARM, 0, value=2.0 * TURN), "unit quaternions"),
        (lambda: move_key(KEYED, ARM, 0, time=float("nan")), "a time between"),
        (lambda: insert_key(KEYED, ARM, 99.0), "between 0 and 2 s"),
        (lambda: insert_key(KEYED, ARM, 0.0), "not on a key"),
        (lambda: delete_key(KEYED, "Spine", 0), "the only one"),
        (lambda: set_interpolation(KEYED, ARM, "bouncy"), "'bouncy'"),  # type: ignore[arg-type]
        (lambda: evaluate(KEYED, torch.tensor([0.0, 1.0, 1.5])), "evenly spaced"),
        (lambda: uniform_keys(CLIP, 0), "at least one frame"),
        (lambda: key_clip(CLIP, -1.0), "limits above 0"),
        (lambda: key_clip(CLIP, 1e-300), "limits above 0"),
        (lambda: key_clip(CLIP, way="stepped"), "smooth or linear"),
        (lambda: replace(KEYED, rotations=KEYED.rotations[:2]), "one track a joint"),
        (lambda: replace(KEYED, frames=0), "at least one frame"),
        (lambda: replace(KEYED.root, ways=("smooth",)), "a velocity and a way a key"),
    ):
        with pytest.raises(InputError, match=words):
            work()


def test_the_error_is_kept() -> None:
    assert reduction(CLIP, KEYED).error <= 0.0005
