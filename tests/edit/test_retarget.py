"""Retargeting: there and back, A-pose and T-pose, other trees, and feet that stand."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.clearance import hand_depths
from muybridge.edit.feet import foot_slide
from muybridge.edit.joint_map import read_map
from muybridge.edit.retarget import RetargetOptions, retarget
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle, identity_quaternion, multiply
from muybridge.motion.clip import Clip
from muybridge.motion.facing import heading
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.edit.rigs import drooped, rooted, scaled, split, turned, without
from tests.motions import DATA

PURE = RetargetOptions(feet=False, hands=False)
LIMBS = [f"{s}{n}" for s in ("Left", "Right") for n in ("Arm", "ForeArm", "UpLeg", "Leg")]
needs_data = pytest.mark.skipif(not (DATA / "bvh").is_dir(), reason="the recordings are absent")


def _directions(clip: Clip) -> torch.Tensor:
    """World directions of the limbs' bones."""
    pose, skeleton = forward_clip(clip).positions, clip.skeleton
    ends = [skeleton.index(n) for n in LIMBS]
    tips = [next(c for c in skeleton.children(j)) for j in ends]
    bones = pose[:, tips] - pose[:, ends]
    return bones / bones.norm(dim=-1, keepdim=True)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.7, 1.4), st.floats(-60.0, 60.0), st.floats(-3.0, 3.0))
def test_there_and_back_is_the_identity(seed: int, size: float, droop: float, way: float) -> None:
    clip = smooth_clip(seed, like=walker(20))
    other = turned(scaled(drooped(clip.skeleton, droop), size, 0.9), way)
    there = retarget(clip, other, options=PURE)
    back = retarget(there, clip.skeleton, options=PURE)
    turning = [j for j, end in enumerate(clip.skeleton.end_sites) if not end]
    error = geodesic_angle(back.rotations, clip.rotations)[:, turning].rad2deg()
    assert float(error.max()) < 1e-5  # asked for: 0.1 degrees
    assert float((back.root - clip.root).abs().max()) < 1e-9


def test_a_pose_and_t_pose_rigs_show_one_pose() -> None:
    clip = smooth_clip(5, like=walker(20))
    t_rig, a_rig = clip.skeleton, drooped(clip.skeleton)
    on_a = retarget(clip, a_rig, options=PURE)
    assert torch.allclose(_directions(on_a), _directions(clip), atol=1e-9)
    assert float((forward_clip(on_a).positions - forward_clip(clip).positions).abs().max()) < 1e-9
    # and the world orientations differ by the constant turn between the two rest poses alone
    left = t_rig.index("LeftArm")
    pair = (forward_clip(c).orientations[:, left] for c in (clip, on_a))
    assert float(geodesic_angle(*pair).rad2deg().sub(45.0).abs().max()) < 1e-6
    back = retarget(on_a, t_rig, options=PURE)
    a, b = (forward_clip(c).positions for c in (back, clip))
    assert float((a - b).abs().max()) < 1e-9


def test_a_rig_that_looks_another_way_faces_where_the_source_does() -> None:
    clip = walker(60, turn=0.6)
    out = retarget(clip, turned(clip.skeleton, 1.3), options=PURE)
    assert float((forward_clip(out).positions - forward_clip(clip).positions).abs().max()) < 1e-9


def test_a_rig_that_is_drawn_lying_stands() -> None:
    clip = walker(60, turn=0.6)
    lying = turned(turned(clip.skeleton, math.pi / 2, "x"), 0.3, "z")  # as Z-up programs draw it
    out = retarget(clip, lying, options=PURE)
    assert float((forward_clip(out).positions - forward_clip(clip).positions).abs().max()) < 1e-9
    back = retarget(out, clip.skeleton, options=PURE)
    assert float((forward_clip(back).positions - forward_clip(clip).positions).abs().max()) < 1e-9


def test_legs_scale_the_path() -> None:
    clip = walker(60)
    out = retarget(clip, scaled(clip.skeleton, 0.5), options=PURE)
    level = [0, 2]
    assert float((out.root - 0.5 * clip.root)[:, level].abs().max()) < 1e-9
    lowest = (forward_clip(c).positions[..., 1].amin() for c in (out, clip))
    assert float(next(lowest) - next(lowest)) == pytest.approx(0.0, abs=0.01)
    kept = retarget(clip, scaled(clip.skeleton, 0.5), options=replace(PURE, scale=1.0))
    assert torch.allclose(kept.root[:, [0, 2]], clip.root[:, [0, 2]], atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: without(s, "Toe", "_end"),
        lambda s: without(s, "Shoulder"),
        lambda s: without(s, "Spine1"),
        lambda s: without(s, "Neck"),
        lambda s: split(s, "Spine", 3),
        lambda s: split(split(s, "Spine1", 2), "Head", 2),
        rooted,
    ],
    ids=["no toes", "no collar bones", "one spine", "no neck", "spines", "necks", "extra root"],
)
def test_other_trees_show_the_same_limbs(change) -> None:
    clip = smooth_clip(3, like=walker(30))
    other = change(clip.skeleton)
    there = retarget(clip, other, options=PURE)
    assert there.skeleton is other
    assert torch.allclose(_directions(there), _directions(clip), atol=1e-9)
    back = retarget(there, clip.skeleton, options=PURE)
    assert torch.allclose(_directions(back), _directions(clip), atol=1e-9)


def test_a_root_above_the_hips_takes_their_heading() -> None:
    clip = walker(40, turn=0.8)
    there = retarget(clip, rooted(clip.skeleton), options=PURE)
    assert torch.allclose(heading(there), heading(clip), atol=1e-9)
    hips = forward_clip(there).positions[:, 1]
    assert torch.allclose(hips, clip.root, atol=1e-9)


def test_more_spine_joints_share_the_bend() -> None:
    clip = walker(2)
    rotations = identity_quaternion(2, len(clip.skeleton))
    bend = torch.tensor([math.sin(0.3), 0.0, 0.0, math.cos(0.3)], dtype=torch.float64)
    rotations[:, clip.skeleton.index("Spine1")] = bend
    bent = replace(clip, rotations=rotations)
    other = split(clip.skeleton, "Spine1", 2)
    there = retarget(bent, other, options=PURE)
    turns = [
        float(geodesic_angle(there.rotations[0, other.index(n)], rotations[0, 0]))
        for n in ("Spine", "Spine1Part1", "Spine1")
    ]
    assert turns == pytest.approx([0.0, 0.3, 0.3], abs=1e-9)


@pytest.mark.parametrize("legs", [0.8, 1.25])
def test_feet_that_stood_stand(legs: float) -> None:
    clip = walker(150, speed=0.9)
    other = scaled(clip.skeleton, 1.1, legs)
    slid, stood = (retarget(clip, other, options=o) for o in (PURE, None))
    assert stood.contacts is not None
    if not bool(stood.contacts.any()):
        pytest.fail("the walker never stands")
    before, after = foot_slide(slid, stood.contacts), foot_slide(stood, stood.contacts)
    assert after < 0.2 * before


@needs_data
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("games105/walk60", "games105/motion"),
        ("pybvh/cmu_12_01_walk", "games105/walk60"),
        ("games105/motion", "pybvh/cmu_12_01_walk"),
        ("pymo/AV_8Walk_Meredith_HVHA_Rep1", "games105/walk60"),
    ],
    ids=lambda name: Path(name).stem[:8],
)
def test_recorded_walks_on_each_others_skeletons(source: str, target: str) -> None:
    unit = {"games105/walk60": "m"}
    clip = read_bvh(DATA / f"bvh/{source}.bvh", unit.get(source, "cm")).clip.frames(1, 251)
    rig = read_bvh(DATA / f"bvh/{target}.bvh", unit.get(target, "cm")).clip.skeleton
    slid, stood = (retarget(clip, rig, options=o) for o in (PURE, None))
    assert stood.contacts is not None
    before, after = foot_slide(slid, stood.contacts), foot_slide(stood, stood.contacts)
    assert before > 0.015  # metres/second
    assert after < 0.2 * before


@needs_data
def test_a_frame_of_the_clip_as_its_rest_pose() -> None:
    """The CMU file begins with a T-pose."""
    path = DATA / "bvh/pybvh/cmu_12_01_walk.bvh"
    clip = read_bvh(path).clip.frames(0, 100)
    rig = walker(1).skeleton
    by_frame = retarget(clip, rig, options=replace(PURE, rest_frame=0))
    assert float((_directions(by_frame)[0] - _directions_at_rest(rig)).norm(dim=-1).max()) < 0.35


def _directions_at_rest(rig) -> torch.Tensor:
    still = Clip(rig, identity_quaternion(1, len(rig)), torch.zeros(1, 3).double(), 60.0)
    return _directions(still)[0]


def test_names_of_ones_own(tmp_path: Path) -> None:
    clip = smooth_clip(2, like=walker(10))
    rig = clip.skeleton
    strange = replace(rig, names=tuple(f"bone {ord(n[0])}{k}" for k, n in enumerate(rig.names)))
    with pytest.raises(InputError, match=r"target skeleton.*--map"):
        retarget(clip, strange)
    parts = {
        f"{side.lower()}_{part}": [strange.names[rig.index(f"{side}{name}")], f"{side}{name}"]
        for side in ("Left", "Right")
        for part, name in (
            ("upper_leg", "UpLeg"), ("lower_leg", "Leg"), ("foot", "Foot"),
            ("upper_arm", "Arm"), ("lower_arm", "ForeArm"), ("hand", "Hand"),
        )
    }  # fmt: skip
    parts["hips"] = [strange.names[0], "Hips"]
    file = tmp_path / "map.json"
    file.write_text(json.dumps({**parts, strange.names[rig.index("Head")]: "Head"}))
    there = retarget(clip, strange, read_map(file), PURE)
    a, b = (forward_clip(c).positions for c in (there, clip))
    legs = [rig.index(n) for n in ("LeftLeg", "LeftFoot", "RightFoot")]
    apart = (a - b)[:, legs] - (a - b)[:, :1]  # toes are not in the map: the floor may differ
    assert float(apart.norm(dim=-1).max()) < 1e-9


def test_hands_stay_out_of_a_wider_trunk() -> None:
    clip = smooth_clip(4, 300, like=walker(300))
    clip = replace(clip, rotations=multiply(clip.rotations, clip.rotations))  # wilder
    wide = clip.skeleton.offsets.clone()
    for name in ("LeftArm", "RightArm"):
        wide[clip.skeleton.index(name)] *= 1.6
    rig = replace(clip.skeleton, offsets=wide)
    pierced, clear = (
        retarget(clip, rig, options=replace(PURE, hands=hands)) for hands in (False, True)
    )
    parts = humanoid(rig)
    source, before, after = (hand_depths(forward_clip(c), parts) for c in (clip, pierced, clear))
    assert float((before - source).max()) > 0.1
    assert float((after - source).max()) < 1e-6
    legs = [rig.index(n) for n in ("Hips", "LeftUpLeg", "RightLeg", "Head")]
    assert torch.equal(clear.rotations[:, legs], pierced.rotations[:, legs])


def test_flags_go_with_their_joints() -> None:
    clip = walker(10)
    filled = torch.zeros(10, len(clip.skeleton), dtype=torch.bool)
    filled[:, clip.skeleton.index("LeftHand")] = True
    there = retarget(replace(clip, filled=filled), split(clip.skeleton, "Spine", 2), options=PURE)
    assert there.filled is not None
    flagged = {there.skeleton.names[j] for j in there.filled[0].nonzero().flatten().tolist()}
    assert flagged == {"LeftHand", "LeftHand_end"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "JSON object of names"),
        ("{", "JSON file with joint names"),
        ("[" * 100_000, "JSON file with joint names"),
        ('{"LeftHand": 3}', "JSON object of names"),
        ('{"LeftHand": "nobody"}', "check the spelling"),
    ],
)
def test_maps_that_are_none_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "map.json"
    file.write_text(text)
    clip = walker(3)
    with pytest.raises(InputError, match=words):
        retarget(clip, clip.skeleton, read_map(file))


def test_other_mistakes_are_named() -> None:
    clip = walker(3)
    with pytest.raises(InputError, match="legs and arms in the source"):
        retarget(smooth_clip(1), clip.skeleton)
    with pytest.raises(InputError, match="positive scale"):
        RetargetOptions(scale=0.0)
    with pytest.raises(InputError, match="rest pose"):
        retarget(clip, clip.skeleton, options=RetargetOptions(rest_frame=7))
