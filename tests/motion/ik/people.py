"""A walker without any recording, and the recorded clips where they are."""

from pathlib import Path

import torch

from muybridge.geometry.rotation import quaternion_from_rotvec
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import forward_clip

BVH = Path(__file__).parents[3] / "../shared/data/bvh"
GAMES = BVH / "games105"


def walker(frames: int = 40, fps: float = 30.0) -> Clip:
    """Someone who strolls along +Z with swinging arms and bent knees; synthetic."""
    skeleton = template(HALPE_26).skeleton
    phase = torch.arange(frames, dtype=torch.float64) / fps * 2.0 * torch.pi
    rotvec = torch.zeros(frames, len(skeleton), 3, dtype=torch.float64)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        swing = sign * phase.sin()
        rotvec[:, skeleton.index(f"{side}UpLeg"), 0] = -0.2 + 0.4 * swing
        rotvec[:, skeleton.index(f"{side}Leg"), 0] = 0.4 - 0.3 * swing
        rotvec[:, skeleton.index(f"{side}Arm"), 2] = -sign * 1.2
        rotvec[:, skeleton.index(f"{side}ForeArm"), 1] = -sign * (0.6 + 0.1 * swing)
    rotvec[:, 0, 1] = 0.1 * phase.sin()
    root = skeleton.offsets[0] + torch.zeros(frames, 3, dtype=torch.float64)
    root[:, 2] = 0.02 * torch.arange(frames, dtype=torch.float64)
    clip = Clip(skeleton, quaternion_from_rotvec(rotvec), root, fps)
    lowest = forward_clip(clip).positions[..., 1].amin()
    root[:, 1] -= lowest
    return clip
