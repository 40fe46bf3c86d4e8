"""What a task is about: the smaller tree, what may turn, and what is dear."""

from muybridge.motion.ik.plan import joint_of, joints_of, plan
from tests.motion.ik.people import walker

SKELETON = walker(1).skeleton


def test_the_smaller_tree_has_what_lies_above_the_aims() -> None:
    hand, foot = joint_of(SKELETON, "left_hand"), joint_of(SKELETON, "right_foot")
    turning = frozenset({*SKELETON.lineage(hand)[1:], *SKELETON.lineage(foot)})
    task = plan(SKELETON, (hand, foot), turning, True, True)
    assert set(task.kept) == {*SKELETON.lineage(hand), *SKELETON.lineage(foot)}
    for joint, number in task.number.items():
        assert task.skeleton.names[number] == SKELETON.names[joint]
        parent = SKELETON.parents[joint]
        assert task.skeleton.parents[number] == task.number.get(parent, -1)
    names = {task.skeleton.names[joint] for joint in task.rig.turning}
    assert names == {SKELETON.names[joint] for joint in turning}
    assert {task.skeleton.names[j] for j in task.rig.limits.joints} >= {"LeftForeArm", "RightLeg"}
    assert plan(SKELETON, (hand, foot), turning, True, True) is task
    assert plan(SKELETON, (hand, foot), turning, True, False).rig.limits.joints == ()


def test_what_moves_more_is_dearer() -> None:
    joints = tuple(range(len(SKELETON)))
    dear = plan(SKELETON, joints, frozenset({0}), True, False).rig.dear
    cost = {name: float(dear[k]) for k, name in enumerate(SKELETON.names)}
    chain = [cost[n] for n in ("Hips", "Spine", "Spine1", "LeftArm", "LeftForeArm", "LeftHand")]
    assert chain == sorted(chain, reverse=True)
    assert cost["LeftUpLeg"] > cost["LeftLeg"] > cost["LeftFoot"]
    assert bool((dear > 0.0).all())


def test_groups_name_each_joint_once() -> None:
    feet = joints_of(SKELETON, ("feet", "left_foot"))
    assert [SKELETON.names[joint] for joint in feet] == ["LeftFoot", "RightFoot"]
