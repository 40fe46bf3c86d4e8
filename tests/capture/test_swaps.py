"""Left/right swaps are found and undone, on synthetic people and on the demo trial."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from muybridge.capture.swaps import GROUPS, SwapOptions, exchange, repair_swaps, shortest_states
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import Keypoints
from tests.passersby import FPS, Faults, circle, film, rig, walk


def filmed(seed: int, frames: int = 150) -> tuple[Keypoints, Cameras]:
    """One person on a circle, 3 px of noise and 10 % of the joints missing."""
    cameras = rig()
    seconds = (torch.arange(frames, dtype=torch.float64) / FPS).expand(len(cameras), -1)
    person = partial(walk, circle(1.2, 6.0))
    return film([lambda s: person(seconds=s)], cameras, seconds, Faults(3.0, 0.1), seed)[0], cameras


def swaps(keypoints: Keypoints, share: float, seed: int) -> Tensor:
    """Swaps of the whole body, of the arms alone or of the legs alone: (C, T, G)."""
    g = torch.Generator().manual_seed(seed)
    shape = keypoints.points_px.shape[:2]
    hit = torch.rand(shape, generator=g) < share
    kind = torch.randint(0, 3, shape, generator=g)
    result = torch.zeros(*shape, len(GROUPS), dtype=torch.bool)
    result[hit & (kind == 0)] = True
    result[..., list(GROUPS).index("arms")] |= hit & (kind == 1)
    result[..., list(GROUPS).index("legs")] |= hit & (kind == 2)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_injected_swaps_are_repaired(seed: int) -> None:
    keypoints, cameras = filmed(seed)
    injected = swaps(keypoints, 0.1, seed)
    found = repair_swaps(exchange(keypoints, injected), cameras).swapped
    assert float((found & injected).sum() / injected.sum()) >= 0.95
    assert float((found & ~injected).sum() / (~injected).sum()) < 0.01


def test_clean_people_stay_as_they_are() -> None:
    keypoints, cameras = filmed(5)
    repair = repair_swaps(keypoints, cameras)
    assert float(repair.swapped.double().mean()) < 0.01
    assert int(repair.swapped[..., :2].sum()) == 0, "only eyes, 8 px apart, may be mistaken"


def test_a_camera_that_mirrors_for_long_is_outvoted() -> None:
    keypoints, cameras = filmed(6)
    injected = torch.zeros(4, 150, len(GROUPS), dtype=torch.bool)
    injected[2, 20:90] = True
    found = repair_swaps(exchange(keypoints, injected), cameras)
    assert float((found.swapped == injected).double().mean()) > 0.99
    assert torch.equal(found.swapped[..., :2], injected[..., :2])
    assert "cam3" in [f.camera for f in found.findings]


def test_exchange_is_its_own_inverse_and_spares_corrected_joints() -> None:
    keypoints, _ = filmed(7)
    injected = swaps(keypoints, 0.5, 7)
    twice = exchange(exchange(keypoints, injected), injected)
    torch.testing.assert_close(twice.points_px, keypoints.points_px, equal_nan=True)
    torch.testing.assert_close(twice.confidence, keypoints.confidence)
    wrist = keypoints.joints.index("left_wrist")
    corrected = torch.zeros_like(keypoints.seen)
    corrected[..., wrist] = True
    held = exchange(
        Keypoints(
            keypoints.cameras,
            keypoints.joints,
            keypoints.points_px,
            keypoints.confidence,
            FPS,
            corrected,
        ),
        injected,
    )
    for name in ("left_wrist", "right_wrist"):
        j = keypoints.joints.index(name)
        torch.testing.assert_close(
            held.points_px[..., j, :], keypoints.points_px[..., j, :], equal_nan=True
        )


def test_chain_is_the_best_of_all_sequences() -> None:
    """Slow twin: every one of the 2^8 sequences."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        unary, step = generator.random((8, 2)), generator.random((7, 2))

        def price(states: tuple[int, ...], unary=unary, step=step) -> float:
            total = sum(unary[t, s] for t, s in enumerate(states))
            changes = [int(a != b) for a, b in pairwise(states)]
            return float(total + sum(step[t, c] + 0.2 * c for t, c in enumerate(changes)))

        best = min(np.ndindex(*(2,) * 8), key=price)
        found = shortest_states(unary, step, 0.2)
        assert price(tuple(found)) == pytest.approx(price(best))


def test_several_people_are_refused() -> None:
    keypoints, cameras = filmed(8, frames=5)
    two = Keypoints(
        keypoints.cameras,
        keypoints.joints,
        keypoints.points_px.expand(-1, -1, 2, -1, -1),
        keypoints.confidence.expand(-1, -1, 2, -1),
        FPS,
    )
    with pytest.raises(InputError, match="associate people first"):
        repair_swaps(two, cameras, SwapOptions())
