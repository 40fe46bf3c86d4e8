"""A person of our own proportions who walks on the spot: truth for every angle, bone and mark.

T frames, J joints, M markers. Metres, Y up.
"""

import torch

from muybridge.geometry.rotation import quaternion_from_rotvec, rotate
from muybridge.motion.body import SPANS, Body, template
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers

STATURE = 1.66
LENGTHS = {
    name: STATURE * span.fraction * (1.04 if "Leg" in name else 0.98)
    for name, span in SPANS.items()
}


def model_body(names: tuple[str, ...]) -> Body:
    """The person's skeleton, with legs a little longer and arms a little shorter than usual."""
    return template(names, LENGTHS, STATURE)


def model_person(
    names: tuple[str, ...], frames: int = 90, fps: float = 60.0
) -> tuple[Clip, Markers]:
    """The walk, within the limits of every joint, and its noiseless markers."""
    body = model_body(names)
    skeleton = body.skeleton
    phase = 2.0 * torch.pi * torch.arange(frames, dtype=torch.float64) / fps / 1.1
    rotvec = torch.zeros(frames, len(skeleton), 3, dtype=torch.float64)
    for side, shift in (("Left", 0.0), ("Right", torch.pi)):
        sign = 1.0 if side == "Left" else -1.0
        rotvec[:, skeleton.index(f"{side}UpLeg"), 0] = -0.2 - 0.4 * (phase + shift).sin()
        rotvec[:, skeleton.index(f"{side}Leg"), 0] = 0.6 + 0.45 * (phase + shift + 0.8).sin()
        rotvec[:, skeleton.index(f"{side}Arm"), 2] = -sign * 1.1
        rotvec[:, skeleton.index(f"{side}ForeArm"), 1] = -sign * (0.7 + 0.3 * (phase + shift).sin())
    root = torch.zeros(frames, 3, dtype=torch.float64)
    root[:, 1] = 0.9 + 0.02 * (2.0 * phase).sin()
    rotvec[:, 0, 1] = 0.6 + 0.2 * phase.sin()
    clip = Clip(skeleton, quaternion_from_rotvec(rotvec), root, fps)
    return clip, Markers(body.markers, landmarks_world(body, clip), fps)


def landmarks_world(body: Body, clip: Clip) -> torch.Tensor:
    """Where the body's markers are in each frame (T, M, 3)."""
    pose, owners = forward_clip(clip), list(body.marker_joints)
    return pose.positions[:, owners] + rotate(pose.orientations[:, owners], body.marker_offsets)
