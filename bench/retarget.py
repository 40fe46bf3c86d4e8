"""Recorded motions on each other's skeletons: limbs, feet, there and back, and speed.

Baseline "copied": local rotations by the names of the joints, as programs do that do not look at
rest poses, path scaled by the legs. "limbs" is the mean angle between the directions that source
and target give to upper arms, forearms, thighs and shanks, with orientations alone ("pure") and
with feet and hands cared for ("ours", the default), which bends legs and arms; "slide" the mean
horizontal speed of standing ankles and toes; "back" the largest angle of a matched limb after
A -> B -> A with orientations alone.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import torch

from muybridge.edit.feet import foot_slide
from muybridge.edit.joint_map import joint_map
from muybridge.edit.retarget import RetargetOptions, retarget
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import geodesic_angle, identity_quaternion
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests.motions import DATA

FILES = {
    "CMU": "pybvh/cmu_12_01_walk",
    "Mixamo": "games105/motion",
    "GAMES": "games105/walk60",
    "PyMO": "pymo/AV_8Walk_Meredith_HVHA_Rep1",
}
BONES = (("upper_arm", "lower_arm"), ("lower_arm", "hand"), ("upper_leg", "lower_leg"),
         ("lower_leg", "foot"))  # fmt: skip
FRAMES = 400
PURE = RetargetOptions(feet=False, hands=False)


def directions(clip: Clip) -> torch.Tensor:
    """Unit directions of the limbs' bones in the world."""
    parts, places = humanoid(clip.skeleton), forward_clip(clip).positions
    pairs = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in BONES]
    bones = torch.stack([places[:, parts[b]] - places[:, parts[a]] for a, b in pairs], dim=1)
    return bones / bones.norm(dim=-1, keepdim=True)


def limbs_apart(a: Clip, b: Clip) -> float:
    """Mean angle between bones, degrees."""
    cosine = (directions(a) * directions(b)).sum(-1).clamp(-1.0, 1.0)
    return float(cosine.arccos().rad2deg().mean())


def copied(clip: Clip, rig: Skeleton, path: torch.Tensor) -> Clip:
    """Local rotations of the joints that have partners, and nothing else."""
    source, target = joint_map(clip.skeleton, rig)
    rotations = identity_quaternion(len(clip), len(rig))
    for name, joint in target.items():
        rotations[:, joint] = clip.rotations[:, source[name]] if name in source else rotations[:, 0]
    return replace(clip, skeleton=rig, rotations=rotations, root=path, translations=None)


def main() -> None:
    """Print the table."""
    if not (DATA / "bvh").is_dir():
        print("the BVH files of ../shared/data are absent")
        return
    torch.set_num_threads(1)
    clips = {
        name: read_clip(DATA / f"bvh/{file}.bvh").frames(1, 1 + FRAMES)
        for name, file in FILES.items()
    }
    print(f"{'':18}{'limbs, degrees':>27}{'slide, cm/s':>24}{'back':>10}{'frames/s':>10}")
    print(
        f"{'source > target':18}{'copied':>9}{'pure':>9}{'ours':>9}"
        f"{'pure':>9}{'ours':>7}{'less':>8}"
    )
    for a, b in itertools.permutations(clips, 2):
        clip, rig = clips[a], clips[b].skeleton
        start = time.process_time()
        made = retarget(clip, rig)
        seconds = time.process_time() - start
        loose = retarget(clip, rig, options=PURE)
        assert made.contacts is not None
        naive = copied(clip, rig, loose.root)
        slides = [100.0 * foot_slide(c, made.contacts) for c in (loose, made)]
        back = retarget(loose, clip.skeleton, options=PURE)
        parts = humanoid(clip.skeleton)
        both = [j for n, j in parts.items() if n in humanoid(rig) and n.partition("_")[2]]
        turns = geodesic_angle(
            *(forward_clip(c).orientations[:, both] for c in (back, clip))
        ).rad2deg()
        print(
            f"{f'{a} > {b}':18}{limbs_apart(clip, naive):9.1f}{limbs_apart(clip, loose):9.3f}"
            f"{limbs_apart(clip, made):9.2f}"
            f"{slides[0]:9.2f}{slides[1]:7.2f}{100.0 * (1.0 - slides[1] / slides[0]):7.1f}%"
            f"{float(turns.max()):10.1e}{len(clip) / seconds:10.0f}"
        )


if __name__ == "__main__":
    main()
