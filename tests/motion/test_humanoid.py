"""Parts of the body are found under the names of many programs."""

from itertools import pairwise

import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.motion.humanoid import LIMBS, PARTS, humanoid, part, parts, plain_name
from muybridge.motion.skeleton import Skeleton
from tests.motions import BVH_FILES

LEFT = ("shoulder", "upper_arm", "lower_arm", "hand", "upper_leg", "lower_leg", "foot", "toes")
NAMES = {  # left shoulder, upper arm, forearm, hand, thigh, shin, foot, toes of each program
    "mixamo": "mixamorig:Left{}|Shoulder Arm ForeArm Hand UpLeg Leg Foot ToeBase",
    "cmu": "Left{}|Shoulder Arm ForeArm Hand UpLeg Leg Foot ToeBase",
    "bandai": "{}_L|Shoulder UpperArm LowerArm Hand UpperLeg LowerLeg Foot Toes",
    "rigify": "{}.L|shoulder upper_arm forearm hand thigh shin foot toe",
    "rigify deform": "DEF-{}.L|shoulder upper_arm forearm hand thigh shin foot toe",
    "unreal": "{}_l|clavicle upperarm lowerarm hand thigh calf foot ball",
    "vrm": "left{}|Shoulder UpperArm LowerArm Hand UpperLeg LowerLeg Foot Toes",
    "vroid": "J_Bip_L_{}|Shoulder UpperArm LowerArm Hand UpperLeg LowerLeg Foot ToeBase",
    "biped": "Bip01 L {}|Clavicle UpperArm Forearm Hand Thigh Calf Foot Toe0",
    "smpl": "left_{}|collar shoulder elbow wrist hip knee ankle foot",
    "old bvh": "Left{}|Collar Shoulder Elbow Wrist Hip Knee Ankle Toe",
    "games105": "l{}|Torso_Clavicle Shoulder Elbow Wrist Hip Knee Ankle ToeJoint",
}


def body(pattern: str) -> Skeleton:
    """Hips, two spine joints, neck, head, and the limbs of both sides under the pattern's names."""
    frame, words = pattern.split("|")
    names, parents = ["Hips", "Spine", "Spine1", "Neck", "Head"], [-1, 0, 1, 2, 3]
    for side in ("left", "right"):
        swap = {"Left": "Right", "left": "right", "_L": "_R", ".L": ".R", "_l": "_r", " L ": " R "}
        mine = frame
        if side == "right":
            key = next((k for k in swap if k in frame), "l{")
            mine = frame.replace(key, swap.get(key, "r{"))
        for place, word in enumerate(words.split()):
            parents.append({0: 2, 4: 0}.get(place, len(names) - 1))
            names.append(mine.format(word))
    return Skeleton(tuple(names), tuple(parents), torch.zeros(len(names), 3, dtype=torch.float64))


@pytest.mark.parametrize("program", sorted(NAMES))
def test_every_program_names_the_same_parts(program: str) -> None:
    found = humanoid(body(NAMES[program]))
    wanted = {"hips": 0, "spine": 1, "chest": 2, "neck": 3, "head": 4}
    wanted |= {f"left_{limb}": 5 + i for i, limb in enumerate(LEFT)}
    wanted |= {f"right_{limb}": 13 + i for i, limb in enumerate(LEFT)}
    assert found == wanted
    assert list(found) == [name for name in PARTS if name in found]


@pytest.mark.skipif(not BVH_FILES, reason="no ../shared/data/bvh")
def test_recorded_clips_have_all_limbs() -> None:
    for path in BVH_FILES:
        skeleton = read_clip(path).skeleton
        found = humanoid(skeleton)
        assert {f"{s}_{limb}" for s in ("left", "right") for limb in LIMBS} <= set(found), path.name
        for side in ("left", "right"):  # each limb is one chain
            for limb in (LEFT[:4], LEFT[4:]):
                joints = [found[f"{side}_{name}"] for name in limb]
                for above, below in pairwise(joints):
                    assert skeleton.parents[below] == above, path.name


def test_groups_own_names_and_unknown_ones() -> None:
    skeleton = body(NAMES["unreal"])
    assert parts(skeleton, ("feet", "Head", "left_hand")) == (11, 19, 4, 8)
    with pytest.raises(InputError, match=r"expected a joint .* got 'tail'; check the spelling"):
        part(skeleton, "tail")


def test_names_lose_side_and_prefix_only() -> None:
    assert plain_name("mixamorig:LeftForeArm") == ("left", "forearm")
    assert plain_name("RThumb") == ("right", "thumb")
    assert plain_name("Bip01 R UpperArm") == ("right", "upperarm")
    assert plain_name("b") == ("", "b")
