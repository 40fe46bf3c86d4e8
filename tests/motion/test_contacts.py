"""Contacts on feet whose standing is known, and their laws."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.motion.contacts import (
    ContactOptions,
    anchors,
    detect,
    floor_height,
    runs,
    settled,
    slide,
)

FPS = 60.0


def _stepping(fps: float = FPS, floor: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """One ankle (t 1 3): it stands 0.5 s, swings 0.4 s and 0.6 m, and so on; and when it stands."""
    time = torch.arange(0.0, 4.0, 1.0 / fps, dtype=torch.float64)
    cycle, phase = torch.div(time, 0.9, rounding_mode="floor"), time % 0.9
    swing = ((phase - 0.5) / 0.4).clamp(0.0, 1.0)
    ease = swing * swing * (3.0 - 2.0 * swing)
    position = torch.zeros(len(time), 1, 3, dtype=torch.float64)
    position[:, 0, 2] = 0.6 * (cycle + ease)
    position[:, 0, 1] = floor + 0.08 + 0.12 * (torch.pi * ease).sin()
    return position, (swing == 0.0)


def test_steps_are_found() -> None:
    for fps in (30.0, 60.0, 120.0):
        position, stands = _stepping(fps)
        rest = floor_height(position, torch.zeros(1, dtype=torch.float64))
        assert abs(float(rest) - 0.28) < 0.002
        found = detect(position, fps, rest.expand(1))[:, 0]
        agree = (found == stands).double().mean()
        assert float(agree) > 0.85, fps
        assert int(runs(found.unsqueeze(1)).max()) == int(runs(stands.unsqueeze(1)).max())


def test_a_slow_hand_in_the_air_does_not_stand() -> None:
    position, _ = _stepping()
    rest = floor_height(position, torch.zeros(1, dtype=torch.float64))
    raised = position + torch.tensor([0.0, 0.3, 0.0], dtype=torch.float64)
    assert not bool(detect(raised, FPS, rest.expand(1)).any())


def test_a_rolling_joint_is_let_go() -> None:
    """0.15 m/s along the ground is slow enough to stand, but it does not stay."""
    time = torch.arange(120, dtype=torch.float64) / FPS
    position = torch.zeros(120, 1, 3, dtype=torch.float64)
    position[:, 0, 2] = 0.15 * time
    found = detect(position, FPS, torch.zeros(1, dtype=torch.float64))
    travelled = position[found[:, 0], 0, 2]
    assert float(travelled.max() - travelled.min()) <= 2.0 * ContactOptions().radius + 1e-9


def test_hysteresis_ignores_a_flicker() -> None:
    position, _ = _stepping()
    jump = position.clone()
    jump[10, 0, 2] += 0.012  # 0.72 m/s for one frame
    rest = torch.full((1,), 0.28, dtype=torch.float64)
    assert bool((detect(jump, FPS, rest) == detect(position, FPS, rest)).all())


def test_one_frame_and_no_frame() -> None:
    position = torch.zeros(1, 2, 3, dtype=torch.float64)
    assert bool(detect(position, FPS, torch.zeros(2, dtype=torch.float64)).all())
    nothing = torch.full((3, 1, 3), torch.nan, dtype=torch.float64)
    assert float(floor_height(nothing, torch.zeros(1, dtype=torch.float64))) == 0.0
    assert not bool(detect(nothing, FPS, torch.zeros(1, dtype=torch.float64)).any())


def _runs_slowly(mask: torch.Tensor) -> torch.Tensor:
    label, number = torch.zeros(mask.shape, dtype=torch.int64), 0
    for column in range(mask.shape[1]):
        for frame in range(mask.shape[0]):
            if mask[frame, column]:
                number += frame == 0 or not bool(mask[frame - 1, column])
                label[frame, column] = number
    return label


@given(st.integers(0, 10_000))
def test_runs_equal_a_slow_twin(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(17, 3, generator=generator) < 0.6
    assert torch.equal(runs(mask), _runs_slowly(mask))


def test_anchors_are_the_mean_of_their_run() -> None:
    generator = torch.Generator().manual_seed(0)
    position = torch.randn(6, 2, 3, dtype=torch.float64, generator=generator)
    contact = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 1], [1, 0], [1, 0]], dtype=torch.bool)
    found = anchors(position, contact)
    torch.testing.assert_close(found[0, 0], position[:2, 0].mean(0))
    torch.testing.assert_close(found[5, 0], position[4:, 0].mean(0))
    torch.testing.assert_close(found[2, 1], position[1:4, 1].mean(0))
    assert bool(found[2, 0].isnan().all())


def test_settled_contacts_do_not_slide() -> None:
    position, _ = _stepping()
    everything = torch.ones(position.shape[:2], dtype=torch.bool)
    still = settled(position, everything, FPS)
    assert float(slide(position, still).nan_to_num(nan=0.0).max()) < 0.005
    assert 0.3 < float(still.double().mean()) < 0.8


def test_detection_ignores_where_and_which_way_one_walks() -> None:
    position, _ = _stepping()
    rest = torch.full((1,), 0.28, dtype=torch.float64)
    turned = position[..., [2, 1, 0]] + torch.tensor([5.0, 0.0, -3.0], dtype=torch.float64)
    assert torch.equal(detect(position, FPS, rest), detect(turned, FPS, rest))
