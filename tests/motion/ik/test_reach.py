"""Goals and pins on clips: what is asked, what is left alone, and how smoothly."""

from dataclasses import replace

import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import (
    geodesic_angle,
    identity_quaternion,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.clip import Clip
from muybridge.motion.facing import heading, moved, yaw_quaternion
from muybridge.motion.humanoid import part
from muybridge.motion.ik.goals import shares
from muybridge.motion.ik.limits import human_limits
from muybridge.motion.ik.reach import Goal, ReachOptions, reach, reach_take, solve_pose
from muybridge.motion.kinematics import forward_clip
from tests.motion.ik.people import BVH, walker

CLIP = walker(32)
HERE = forward_clip(CLIP)
HAND, FOOT = part(CLIP.skeleton, "left_hand"), part(CLIP.skeleton, "left_foot")
FEET = [FOOT, part(CLIP.skeleton, "right_foot")]


def places(clip: Clip, joint: int) -> torch.Tensor:
    return forward_clip(clip).positions[:, joint]


def vector(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_a_goal_for_each_frame_with_pinned_feet() -> None:
    wanted = HERE.positions[:, HAND] + vector(0.1, 0.25, 0.2)
    reached = reach_take(CLIP, [Goal("left_hand", wanted)], ["feet"])
    pose = forward_clip(reached.clip)
    assert float((pose.positions[:, HAND] - wanted).norm(dim=-1).max()) < 1e-4
    assert float((pose.positions[:, FEET] - HERE.positions[:, FEET]).norm(dim=-1).max()) < 1e-4
    turned = geodesic_angle(pose.orientations[:, FEET], HERE.orientations[:, FEET])
    assert float(turned.max()) < 1e-3
    goal, left, right = reached.outcomes
    assert (goal.part, goal.pinned, left.pinned, right.pinned) == ("left_hand", False, True, True)
    assert goal.before == pytest.approx(0.335, abs=0.001)
    assert max(goal.after, left.after, right.after) < 1e-4


def test_without_pins_only_the_trunk_and_the_limb_move() -> None:
    found = reach(CLIP, [Goal("left_hand", HERE.positions[:, HAND] + vector(0.0, 0.1, 0.1))])
    assert torch.equal(found.root, CLIP.root)
    changed = (found.rotations - CLIP.rotations).abs().amax(-1).amax(0) > 1e-9
    names = {CLIP.skeleton.names[j] for j in changed.nonzero().flatten().tolist()}
    assert names == {"Spine", "Spine1", "LeftShoulder", "LeftArm", "LeftForeArm"}
    found = reach(CLIP, [Goal("left_hand", HERE.positions[:, HAND] + 0.05, start="left_upper_arm")])
    changed = (found.rotations - CLIP.rotations).abs().amax(-1).amax(0) > 1e-9
    names = {CLIP.skeleton.names[j] for j in changed.nonzero().flatten().tolist()}
    assert names == {"LeftArm", "LeftForeArm"}


def test_around_a_moment_it_comes_and_goes_smoothly() -> None:
    wanted = HERE.positions[20, HAND] + vector(0.1, 0.2, 0.1)
    found = reach(CLIP, [Goal("left_hand", wanted, at=20 / 30.0, ease=0.4)], ["feet"])
    now = places(found, HAND)
    assert float((now[20] - wanted).norm()) < 1e-4
    outside = [k for k in range(len(CLIP)) if abs(k - 20) >= 12]
    assert torch.equal(found.rotations[outside], CLIP.rotations[outside])
    assert torch.equal(found.root[outside], CLIP.root[outside])
    change = now - HERE.positions[:, HAND]
    expected = shares(Goal("left_hand", wanted, at=20 / 30.0, ease=0.4), 32, 30.0)[:, None] * (
        wanted - HERE.positions[:, HAND]
    )
    torch.testing.assert_close(change, expected, atol=1e-4, rtol=0.0)
    jumps = geodesic_angle(found.rotations[1:], found.rotations[:-1])
    was = geodesic_angle(CLIP.rotations[1:], CLIP.rotations[:-1])
    assert float(jumps.max()) < float(was.max()) + 0.25


def test_shares_are_a_smooth_bell() -> None:
    goal = Goal("left_hand", vector(0, 0, 0), at=0.5, ease=0.25)
    share = shares(goal, 1001, 1000.0)
    assert float(share[500]) == 1.0
    assert float(share[:251].abs().max()) == 0.0
    torch.testing.assert_close(share, share.flip(0))
    speed = share.diff() * 1000.0
    assert float((speed.diff() * 1000.0).diff().abs().max()) < 10.0  # no step in acceleration
    assert bool((shares(Goal("x", vector(0, 0, 0)), 5, 30.0) == 1.0).all())


def test_goals_of_one_part_follow_each_other() -> None:
    first, second = (HERE.positions[k, HAND] + vector(0.05, 0.1, 0.1) for k in (10, 30))
    goals = [Goal("left_hand", first, at=10 / 30), Goal("left_hand", second, at=30 / 30)]
    now = places(reach(CLIP, goals, ["feet"]), HAND)
    assert float((now[10] - first).norm()) < 1e-4
    assert float((now[30] - second).norm()) < 1e-4


def test_relative_goals_turn_and_walk_with_the_body() -> None:
    """Reaching commutes with moving the whole clip about the floor."""
    goal = Goal("left_hand", vector(0.3, 1.1, 0.35), relative=True)
    found = reach(CLIP, [goal])
    angle = torch.tensor(1.1, dtype=torch.float64)
    there = moved(CLIP, angle, vector(0.7, -2.0))
    torch.testing.assert_close(
        places(reach(there, [goal]), HAND),
        places(moved(found, angle, vector(0.7, -2.0)), HAND),
        atol=1e-4, rtol=0.0,
    )  # fmt: skip
    floor = CLIP.root * vector(1, 0, 1)
    expected = floor + rotate(yaw_quaternion(heading(CLIP)), vector(0.3, 1.1, 0.35).expand(32, 3))
    torch.testing.assert_close(places(found, HAND), expected, atol=1e-4, rtol=0.0)


def test_free_coordinates_and_orientations() -> None:
    turn = quaternion_from_rotvec(vector(0.0, 0.3, 0.2))
    goal = Goal("left_hand", vector(torch.nan, 1.2, torch.nan), turn)
    pose = forward_clip(reach(CLIP, [goal], ["feet"]))
    torch.testing.assert_close(
        pose.positions[:, HAND, 1], torch.full((32,), 1.2).double(), atol=1e-4, rtol=0.0
    )
    assert float(geodesic_angle(pose.orientations[:, HAND], turn.expand(32, 4)).max()) < 1e-3
    only = forward_clip(reach(CLIP, [Goal("head", orientation=turn)]))
    head = part(CLIP.skeleton, "head")
    assert float(geodesic_angle(only.orientations[:, head], turn.expand(32, 4)).max()) < 1e-3


def test_the_root_itself_with_pinned_feet_squats() -> None:
    lower = CLIP.root - vector(0.0, 0.15, 0.0)
    found = reach(CLIP, [Goal("hips", lower)], ["feet"])
    pose = forward_clip(found).positions
    torch.testing.assert_close(found.root, lower, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(pose[:, FEET], HERE.positions[:, FEET], atol=1e-4, rtol=0.0)


def test_straight_legs_bend_although_no_small_turn_helps() -> None:
    """A T-pose: the hips go down, the ankles stay, and both knees go forwards."""
    skeleton = CLIP.skeleton
    still = identity_quaternion(1, len(skeleton))
    clip = Clip(skeleton, still, skeleton.offsets[:1], 30.0)
    lower = vector(torch.nan, 0.8 * float(skeleton.offsets[0, 1]), torch.nan)
    reached = reach_take(clip, [Goal("hips", lower)], ["feet"])
    assert max(outcome.after for outcome in reached.outcomes) < 1e-3
    knees = [skeleton.index(name) for name in ("LeftLeg", "RightLeg")]
    places = forward_clip(reached.clip).positions[0]
    assert float((places[knees, 2] - places[0, 2]).min()) > 0.1


def test_out_of_reach_is_said_and_not_an_error() -> None:
    reached = reach_take(
        CLIP.frames(0, 3),
        [Goal("left_hand", vector(0.0, 5.0, 0.0))],
        ["feet"],
        ReachOptions(iterations=15),
    )
    goal, *pins = reached.outcomes
    assert goal.after > 1.0
    assert max(pin.after for pin in pins) < 0.1
    assert bool(reached.clip.rotations.isfinite().all())


def test_limits_may_be_lifted() -> None:
    goal = Goal("left_hand", vector(-0.3, 1.0, -0.35), relative=True)
    limits = human_limits(CLIP.skeleton)
    within, beyond = (
        limits.exceeded(
            reach(CLIP.frames(0, 6), [goal], (), ReachOptions(limits=choice)).rotations
        ).max()
        for choice in (True, False)
    )
    was = limits.exceeded(CLIP.rotations).max()
    assert float(within) <= float(was) + 1e-6
    assert float(beyond) > float(within) + 0.02


def test_frames_without_a_pose_stay() -> None:
    broken = CLIP.rotations.clone()
    broken[5] = torch.nan
    clip = replace(CLIP, rotations=broken)
    found = reach(clip, [Goal("left_hand", HERE.positions[:, HAND] + 0.05)], ["feet"])
    assert bool(found.rotations[5].isnan().all())
    assert float((places(found, HAND)[6] - HERE.positions[6, HAND] - 0.05).norm()) < 1e-4


def test_one_pose_is_a_clip_of_one_frame() -> None:
    goal = Goal("left_hand", HERE.positions[3, HAND] + 0.1)
    rotations, root = solve_pose(CLIP.skeleton, CLIP.rotations[3], CLIP.root[3], [goal], ["feet"])
    whole = reach(CLIP.frames(3, 4), [goal], ["feet"])
    torch.testing.assert_close(rotations, whole.rotations[0])
    torch.testing.assert_close(root, whole.root[0])


def test_moving_joints_of_six_channel_files_keep_their_places() -> None:
    """The root is the first of the translations, too."""
    local = CLIP.local_translations().clone()
    local[:, 1:] *= 1.0 + 0.01 * torch.arange(32, dtype=torch.float64)[:, None, None] / 32
    clip = replace(CLIP, translations=local)
    wanted = places(clip, HAND) + 0.05
    found = reach(clip, [Goal("left_hand", wanted)], ["feet"])
    assert found.translations is not None
    torch.testing.assert_close(places(found, HAND), wanted, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(found.translations[:, 0], found.root)


@pytest.mark.parametrize(
    ("goal", "pins", "message"),
    [
        (Goal("left_hoof", vector(0, 0, 0)), (), "got 'left_hoof'"),
        (Goal("left_hand", vector(0, 0, 0)), ("tail",), "got 'tail'"),
        (Goal("left_hand"), (), "got neither"),
        (Goal("left_hand", vector(0, torch.inf, 0)), (), "got infinity"),
        (Goal("left_hand", torch.zeros(7, 3).double()), (), "got 7"),
        (Goal("left_hand", vector(0, 0, 0), at=9.0), (), "got 9 s"),
        (Goal("left_hand", vector(0, 0, 0), at=0.5, ease=0.0), (), "got 0 s"),
        (Goal("left_hand", vector(0, 0, 0), start="right_upper_arm"), (), "got 'right_upper_arm'"),
    ],
    ids=("part", "pin", "nothing", "infinity", "length", "moment", "ease", "start"),
)
def test_mistakes_are_named(goal: Goal, pins: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reach(CLIP, [goal], pins)
    with pytest.raises(InputError, match="expected at least one goal"):
        reach(CLIP, [])


@pytest.mark.skipif(not BVH.is_dir(), reason="the BVH files of ../shared/data are absent")
@pytest.mark.parametrize("name", ["games105/walk60", "games105/motion", "pybvh/cmu_12_01_walk"])
def test_recorded_clips_with_pinned_feet_and_hand(name: str) -> None:
    """Feet and the other hand within 5 mm (in fact a micrometre), goals met, no new jumps."""
    clip = read_clip(BVH / f"{name}.bvh").frames(0, 30)
    pose = forward_clip(clip).positions
    hand = part(clip.skeleton, "left_hand")
    wanted = pose[:, hand].lerp(pose[:, part(clip.skeleton, "head")], 0.3)
    reached = reach_take(clip, [Goal("left_hand", wanted)], ["feet", "right_hand"])
    assert max(outcome.after for outcome in reached.outcomes) < 1e-4
    jumps = geodesic_angle(reached.clip.rotations[1:], reached.clip.rotations[:-1]).max()
    was = geodesic_angle(clip.rotations[1:], clip.rotations[:-1]).max()
    assert float(jumps) < 1.5 * float(was)
