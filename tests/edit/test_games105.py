"""The tasks of GAMES-105, lab 2, done with our functions, against what they ask for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from muybridge.edit.blend import blend, transition
from muybridge.edit.loop import LoopOptions, closure, loop
from muybridge.edit.resample import at_frames
from muybridge.edit.springs import decay
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import conjugate, geodesic_angle, multiply, rotvec_from_quaternion
from muybridge.motion.clip import Clip
from muybridge.motion.facing import placed, yaw, yaw_quaternion
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import DATA

GAMES = DATA / "bvh/games105"
needs_data = pytest.mark.skipif(not GAMES.is_dir(), reason="the recordings are absent")


def test_decompose_rotation_with_yaxis() -> None:
    """R = R_y R_xz, R_y about the vertical, R_xz about an axis in the xz plane."""
    rotations = smooth_clip(1).rotations.reshape(-1, 4)
    turn = yaw_quaternion(yaw(rotations))
    tilt = multiply(conjugate(turn), rotations)
    assert float(tilt[:, 1].abs().max()) < 1e-12
    assert float(turn[:, [0, 2]].abs().max()) == 0.0
    assert float(geodesic_angle(multiply(turn, tilt), rotations).max()) < 1e-7


@pytest.mark.parametrize("frame", [0, 25, -1])
def test_translation_and_rotation(frame: int) -> None:
    """A frame is moved to a floor point and turned to face a direction (x, z)."""
    clip, direction = walker(50, turn=0.7), torch.tensor([1.0, -0.4], dtype=torch.float64)
    goal = torch.tensor([3.0, -2.0], dtype=torch.float64)
    out = placed(clip, frame, torch.atan2(direction[0], direction[1]), goal)
    front = Rotation.from_quat(out.rotations[frame, 0].numpy()).apply([0.0, 0.0, 1.0])[[0, 2]]
    wanted = (direction / direction.norm()).numpy()
    assert np.allclose(front / np.linalg.norm(front), wanted, atol=1e-9)
    assert torch.allclose(out.root[frame, [0, 2]], goal)
    inner = (forward_clip(c).positions for c in (clip, out))
    apart = [(p.unsqueeze(1) - p.unsqueeze(2)).norm(dim=-1) for p in inner]
    assert torch.allclose(*apart, atol=1e-9)


def test_blend_two_motions_of_different_lengths() -> None:
    """n3 frames while both motions are run through evenly, with a weight for each frame."""
    walk, run = walker(60, speed=1.0), walker(41, steps=1.5, speed=2.0)
    weights = torch.linspace(0.0, 1.0, 50, dtype=torch.float64)
    even = [
        at_frames(c, torch.linspace(0, len(c) - 1, 50, dtype=torch.float64)) for c in (walk, run)
    ]
    mixed = blend(*even, weights)
    assert len(mixed) == 50
    knee = walk.skeleton.index("LeftLeg")
    ends = [c.rotations[20, knee].numpy() for c in even]
    truth = Slerp([0, 1], Rotation.from_quat(ends))(float(weights[20]))
    ours = Rotation.from_quat(mixed.rotations[20, knee].numpy())
    assert float((truth.inv() * ours).magnitude()) < 1e-9


def _lab_loop(clip: Clip, halflife: float = 0.2) -> torch.Tensor:
    """Joint rotations of the lab's loop: half of the difference to either end, by springs."""
    spins = clip.fps * rotvec_from_quaternion(
        multiply(conjugate(clip.rotations[:-1]), clip.rotations[1:])
    )
    apart = rotvec_from_quaternion(multiply(clip.rotations[-1], conjugate(clip.rotations[0])))
    rate = spins[-1] - spins[0]
    time = (torch.arange(len(clip), dtype=torch.float64) / clip.fps)[:, None]
    begin = decay(0.5 * apart, 0.5 * rate, halflife, time)[0]
    end = decay(-0.5 * apart, 0.5 * rate, halflife, time.flip(0))[0]
    from muybridge.geometry.rotation import quaternion_from_rotvec

    return multiply(quaternion_from_rotvec(begin + end), clip.rotations)


@needs_data
def test_build_loop_motion() -> None:
    """Ours closes fully, in pose and speed; the springs' tails leave the lab's a little open."""
    clip = read_bvh(GAMES / "run_forward.bvh", "m").clip
    lab = replace(clip, rotations=_lab_loop(clip))
    ours = loop(clip, LoopOptions(share=0.5))
    assert closure(ours)[0] < 1e-9 < closure(lab)[0] < closure(clip)[0]
    assert max(closure(ours)) < 1e-9
    # and both bend the clip alike
    body = slice(1, None)
    between = geodesic_angle(ours.rotations, lab.rotations)[:, body].mean()
    bent = geodesic_angle(lab.rotations, clip.rotations)[:, body].mean()
    assert float(between) < float(bent)


@needs_data
def test_concatenate_two_motions() -> None:
    """Walk until a frame, mix for some frames, run on: no jump anywhere."""
    walk = read_bvh(GAMES / "walk60.bvh", "m").clip
    run = read_bvh(GAMES / "run_forward.bvh", "m").clip
    mix_frame, mix_time = 60, 30
    out = transition(walk.frames(0, mix_frame + mix_time), run, mix_time / walk.fps)
    assert len(out) == mix_frame + len(run)
    assert torch.equal(out.root[:mix_frame], walk.root[:mix_frame])
    speed = [
        float((forward_clip(c).positions.diff(dim=0) * 60.0).norm(dim=-1).max())
        for c in (walk, run, out)
    ]
    assert speed[2] < 1.05 * max(speed[:2])  # asked for: 1.5
