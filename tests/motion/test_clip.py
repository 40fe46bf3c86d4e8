"""The clip: cutting keeps everything that belongs to the frames."""

from dataclasses import replace

import pytest
import torch

from muybridge.errors import InputError
from muybridge.geometry.rotation import identity_quaternion
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton

SKELETON = Skeleton(("a", "b"), (-1, 0), torch.tensor([[9.0, 9, 9], [0, 1, 0]]).double())
ROOT = torch.arange(30, dtype=torch.float64).view(10, 3)
CLIP = Clip(
    SKELETON,
    identity_quaternion(10, 2),
    ROOT,
    fps=5.0,
    position_std=torch.rand(10, 2, dtype=torch.float64),
    contacts=torch.rand(10, 2) < 0.5,
    filled=torch.rand(10, 2) < 0.5,
    captions=(Caption("walk", 0.0, 1.0), Caption("turn", 0.8, 2.0)),
)


def test_length_and_duration() -> None:
    assert len(CLIP) == 10
    assert CLIP.duration == pytest.approx(2.0)


def test_frames_cut_everything() -> None:
    part = CLIP.frames(4, 7)
    assert len(part) == 3
    torch.testing.assert_close(part.root, ROOT[4:7])
    for name in ("position_std", "contacts", "filled"):
        assert torch.equal(getattr(part, name), getattr(CLIP, name)[4:7])
    assert [c.text for c in part.captions] == ["walk", "turn"]
    assert part.captions[1].start == pytest.approx(0.0)
    assert part.captions[0].end == pytest.approx(0.2)
    assert part.captions[1].end == pytest.approx(part.duration)
    assert CLIP.frames(6, 8).captions[0].text == "turn"


def test_the_root_path_replaces_the_root_offset() -> None:
    local = CLIP.local_translations()
    torch.testing.assert_close(local[:, 0], ROOT)
    torch.testing.assert_close(forward_clip(CLIP).positions[:, 1], ROOT + SKELETON.offsets[1])
    moving = replace(CLIP, translations=torch.full((10, 2, 3), 7.0).double())
    torch.testing.assert_close(moving.local_translations()[:, 0], ROOT)
    assert float(moving.local_translations()[:, 1].min()) == 7.0


def test_refusals() -> None:
    with pytest.raises(InputError, match="frame rate"):
        replace(CLIP, fps=0.0)
    with pytest.raises(InputError, match="10 frames and 2 joints"):
        Clip(SKELETON, identity_quaternion(10, 3), ROOT, fps=5.0)
