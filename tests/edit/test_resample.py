"""Another frame rate: exact where it must be, close to a known motion, everything carried."""

import pytest
import torch

from muybridge.edit.resample import Method, resample
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, quaternion_from_rotvec
from muybridge.motion.kinematics import forward_clip
from tests.edit.swing import angles, path, swing
from tests.motions import random_clip

METHODS: tuple[Method, ...] = ("stepped", "slerp", "squad", "cubic")


@pytest.mark.parametrize("method", METHODS)
def test_every_second_frame_comes_back(method: Method) -> None:
    clip = swing()
    double = resample(clip, 120.0, method)
    assert len(double) == 241
    assert double.fps == 120.0
    assert float(geodesic_angle(double.rotations[::2], clip.rotations).max()) < 1e-7
    torch.testing.assert_close(double.root[::2], clip.root, rtol=0, atol=1e-12)
    back = resample(double, 60.0, method)
    assert len(back) == len(clip)
    assert float(geodesic_angle(back.rotations, clip.rotations).max()) < 1e-7
    torch.testing.assert_close(back.contacts, clip.contacts)
    torch.testing.assert_close(back.position_std, clip.position_std, rtol=0, atol=0)


def test_smoother_methods_are_closer_to_the_truth() -> None:
    """A known motion, from 10 to 100 frames a second: each method far better than the last."""
    low = swing(21, 10.0)
    times = torch.arange(201, dtype=torch.float64) / 100.0
    truth = quaternion_from_rotvec(angles(times))
    off = {}
    for method in METHODS:
        found = resample(low, 100.0, method)
        assert len(found) == 201
        off[method] = float(geodesic_angle(found.rotations, truth).max())
        slid = float((found.root - path(times)).norm(dim=-1).max())
        assert slid < {"stepped": 0.15, "slerp": 0.01, "squad": 0.005, "cubic": 0.004}[method]
    assert off["slerp"] < 0.2 * off["stepped"]
    assert off["squad"] < 0.6 * off["slerp"]
    assert off["cubic"] < 0.5 * off["squad"]


@pytest.mark.parametrize("fps", [24.0, 29.97, 50.0, 59.9, 144.0])
def test_any_rate(fps: float) -> None:
    clip = swing()
    found = resample(clip, fps)
    times = torch.arange(len(found), dtype=torch.float64) / fps
    assert float(times[-1]) <= 2.0 + 1e-9 < float(times[-1]) + 1.0 / fps
    torch.testing.assert_close(found.root, path(times), rtol=0, atol=2e-3)
    nearest = (times * 60.0).round().long()
    assert torch.equal(found.contacts, clip.contacts[nearest])  # type: ignore[index]
    assert [c.text for c in found.captions] == ["swings", "ends"]
    assert found.captions[0].end == 1.5
    assert found.captions[1].end <= found.duration


def test_unknown_poses_stay_unknown_and_spread_no_further() -> None:
    clip = swing()
    clip.rotations[50:53], clip.root[50:53] = float("nan"), float("nan")
    for method in METHODS:
        found = resample(clip, 120.0, method)
        lost = torch.isnan(found.root[:, 0])
        assert torch.equal(torch.nonzero(lost).flatten(), torch.arange(99, 106)), method
        assert torch.equal(lost, torch.isnan(found.rotations).any(-1).any(-1))


def test_joints_that_move_keep_moving() -> None:
    clip = random_clip(3, 6, 9, moving=True)
    found = resample(clip, 120.0, "cubic")
    torch.testing.assert_close(found.translations[::2], clip.translations, rtol=0, atol=1e-10)  # type: ignore[index]
    torch.testing.assert_close(
        forward_clip(found).positions[::2], forward_clip(clip).positions, rtol=0, atol=1e-9
    )


def test_one_frame_and_none() -> None:
    clip = swing()
    assert len(resample(clip.frames(0, 1), 30.0, "cubic")) == 1
    assert len(resample(clip.frames(0, 0), 30.0)) == 0
    assert len(resample(clip.frames(0, 2), 30.0, "squad")) == 1
    assert len(resample(clip.frames(0, 2), 240.0, "cubic")) == 5


def test_gradients_pass() -> None:
    low = swing(9, 10.0)
    root = low.root.clone().requires_grad_()
    from dataclasses import replace

    resample(replace(low, root=root), 25.0, "cubic").root.sum().backward()
    assert root.grad is not None
    assert bool((root.grad.abs().sum(-1) > 0).all())


def test_wrong_rates_and_methods_are_named(unchecked: None) -> None:
    with pytest.raises(InputError, match="positive frame rate, got -3"):
        resample(swing(), -3.0)
    with pytest.raises(InputError, match="got nan"):
        resample(swing(), float("nan"))
    with pytest.raises(InputError, match="'fast'"):
        resample(swing(), 30.0, "fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [1e9, 1e300])
def test_rates_beyond_any_use_are_refused(fps: float) -> None:
    with pytest.raises(InputError, match="at most 10,000,000 frames"):
        resample(random_clip(0), fps)
