"""Chains between any two joints, and the three inverse-kinematics tasks of the GAMES-105 course.

The tasks (github.com/GAMES-105/GAMES-105, lab1): a hand to a point from the hips or from the toes,
through the root; a hand held at a place beside the walking body; both hands with the left foot
fixed. Their tolerance is 0.01 m.
"""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import geodesic_angle, identity_quaternion, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.facing import heading, yaw_quaternion
from muybridge.motion.ik.path import METHODS, path_between, reach_along
from muybridge.motion.ik.points import PointOptions
from muybridge.motion.ik.reach import Goal, ReachOptions, reach
from muybridge.motion.kinematics import forward_clip
from tests.motion.ik.people import GAMES, walker

NAMES = {
    "synthetic": (
        "Hips", "LeftToeBase_end", "LeftHand_end", "RightHand_end", "LeftArm", "LeftHand"
    ),
    "walk60": (
        "RootJoint", "lToeJoint_end", "lWrist_end", "rWrist_end", "lShoulder", "lWrist"
    ),
}  # fmt: skip
by_method = pytest.mark.parametrize("method", list(METHODS))
by_clip = pytest.mark.parametrize("clip", list(NAMES))


def load(name: str) -> Clip:
    if name == "synthetic":
        return walker(20)
    if not GAMES.is_dir():
        pytest.skip("the GAMES-105 clips of ../shared/data are absent")
    return read_clip(GAMES / f"{name}.bvh").frames(0, 60)


def t_pose(clip: Clip) -> Clip:
    """As the course starts: all joints at rest, hips at their height."""
    still = identity_quaternion(1, len(clip.skeleton))
    lowest = forward_clip(Clip(clip.skeleton, still, torch.zeros(1, 3).double(), 1.0)).positions
    root = torch.tensor([[0.0, -float(lowest[..., 1].amin()), 0.0]], dtype=torch.float64)
    return Clip(clip.skeleton, still, root, 30.0)


@by_method
@by_clip
def test_part_1_a_hand_from_the_hips_and_from_the_toes(clip: str, method: str) -> None:
    hips, toes, hand, *_ = NAMES[clip]
    pose = t_pose(load(clip))
    skeleton = pose.skeleton
    options = PointOptions(iterations=200, tolerance=1e-4)
    for start, target in ((hips, (0.5, 0.75, 0.5)), (toes, (0.5, 0.5, 0.5))):
        aim = torch.tensor([target], dtype=torch.float64)
        found = reach_along(pose, start, hand, aim, method, options)
        after = forward_clip(found).positions[:, skeleton.index(hand)]
        assert float((after - aim).norm()) < 0.01
        fixed = skeleton.index(start)
        there, here = (forward_clip(c).positions[:, fixed] for c in (pose, found))
        torch.testing.assert_close(here, there, atol=1e-9, rtol=0.0)


@by_clip
def test_part_1_with_the_full_body(clip: str) -> None:
    _, toes, hand, *_ = NAMES[clip]
    pose = t_pose(load(clip))
    aim = torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)
    found = reach(pose, [Goal(hand, aim)], [toes], ReachOptions(limits=False))
    after = forward_clip(found).positions
    assert float((after[0, pose.skeleton.index(hand)] - aim).norm()) < 0.01
    fixed = pose.skeleton.index(toes)
    assert float((after[0, fixed] - forward_clip(pose).positions[0, fixed]).norm()) < 0.005


@by_clip
def test_part_2_a_hand_beside_the_walking_body(clip: str) -> None:
    """0.1 m to the left of the root, 0.3 m ahead, 1.4 m high; all else as recorded."""
    *_, shoulder, wrist = NAMES[clip]
    walk = load(clip)
    hand = walk.skeleton.index(wrist)
    goal = Goal(wrist, torch.tensor([0.1, 1.4, 0.3]).double(), relative=True, start=shoulder)
    found = reach(walk, [goal], (), ReachOptions(limits=False))
    offset = torch.tensor([0.1, 0.0, 0.3], dtype=torch.float64).expand(len(walk), 3)
    expected = walk.root + rotate(yaw_quaternion(heading(walk)), offset)
    expected[:, 1] = 1.4
    off = (forward_clip(found).positions[:, hand] - expected).norm(dim=-1)
    assert float(off.max()) < 0.01
    changed = (found.rotations - walk.rotations).abs().amax(-1).amax(0) > 1e-9
    chain, joint = set(), hand
    while joint != walk.skeleton.parents[walk.skeleton.index(shoulder)]:
        chain.add(joint)
        joint = walk.skeleton.parents[joint]
    assert set(changed.nonzero().flatten().tolist()) <= chain
    jumps = geodesic_angle(found.rotations[1:], found.rotations[:-1])
    assert float(jumps.max()) < 0.5


@by_clip
def test_bonus_two_hands_with_the_left_foot_fixed(clip: str) -> None:
    _, toes, left, right, *_ = NAMES[clip]
    pose = t_pose(load(clip))
    aims = torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.5, 0.5]], dtype=torch.float64)
    goals = [Goal(left, aims[0]), Goal(right, aims[1])]
    found = reach(pose, goals, [toes], ReachOptions(limits=False))
    after = forward_clip(found).positions[0]
    hands = [pose.skeleton.index(name) for name in (left, right)]
    assert float((after[hands] - aims).norm(dim=-1).max()) < 0.01
    fixed = pose.skeleton.index(toes)
    assert float((after[fixed] - forward_clip(pose).positions[0, fixed]).norm()) < 0.005


@by_method
def test_bones_and_all_that_hangs_on_them_stay_rigid(method: str) -> None:
    """Up, down and through the root; only the joints of the way turn against each other."""
    clip = walker(10)
    for start, end in (("LeftToeBase", "RightHand"), ("LeftHand", "LeftArm"), ("Head", "Hips")):
        before = forward_clip(clip)
        target = before.positions[:, clip.skeleton.index(end)] + 0.06
        found = reach_along(clip, start, end, target, method)
        after = forward_clip(found)
        lengths = [(p - p[:, [max(q, 0) for q in clip.skeleton.parents]]).norm(dim=-1)
                   for p in (before.positions, after.positions)]  # fmt: skip
        torch.testing.assert_close(*lengths)
        fixed = clip.skeleton.index(start)
        torch.testing.assert_close(after.positions[:, fixed], before.positions[:, fixed])
        path = path_between(clip.skeleton, fixed, clip.skeleton.index(end))
        turned = (found.rotations - clip.rotations).abs().amax(-1).amax(0) > 1e-9
        assert set(turned.nonzero().flatten().tolist()) <= {*path.joints, *path.owners}


def test_the_joint_where_the_way_turns_is_left_out() -> None:
    skeleton = walker(1).skeleton
    path = path_between(skeleton, skeleton.index("LeftFoot"), skeleton.index("LeftHand"))
    names = [skeleton.names[j] for j in path.joints]
    assert names == ["LeftFoot", "LeftLeg", "LeftUpLeg", "Spine", "Spine1", "LeftShoulder",
                     "LeftArm", "LeftForeArm", "LeftHand"]  # fmt: skip
    assert [skeleton.names[j] for j in path.owners][1:4] == ["LeftUpLeg", "Hips", "Spine"]
    with pytest.raises(InputError, match="expected two different joints"):
        path_between(skeleton, 3, 3)
