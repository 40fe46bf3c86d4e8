"""Gap lengths, bridges and spikes on tracks that can be checked by eye."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.capture.fill import despike, gap_lengths, interpolate

NAN = torch.nan


def _track(*heights: float) -> torch.Tensor:
    points = torch.zeros(len(heights), 1, 3, dtype=torch.float64)
    points[:, 0, 1] = torch.tensor(heights, dtype=torch.float64)
    points[points[..., 1].isnan()] = NAN
    return points


def test_gap_lengths() -> None:
    seen = torch.tensor([0, 1, 0, 0, 0, 1, 1, 0], dtype=torch.bool).unsqueeze(1)
    assert gap_lengths(seen)[:, 0].tolist() == [1, 0, 3, 3, 3, 0, 0, 1]


@given(st.integers(0, 10_000))
def test_gap_lengths_count_what_is_missing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    seen = torch.rand(23, 4, generator=generator) < 0.6
    length = gap_lengths(seen)
    assert torch.equal(length > 0, ~seen)


def test_lines_inside_and_constants_outside() -> None:
    filled = interpolate(_track(NAN, 1.0, NAN, NAN, 4.0, NAN), torch.zeros(6, 3).double())
    assert filled[:, 0, 1].tolist() == [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]


def test_a_hidden_point_travels_with_its_carrier() -> None:
    carrier = torch.zeros(6, 3, dtype=torch.float64)
    carrier[:, 2] = torch.arange(6, dtype=torch.float64).square()
    points = (carrier + 1.0).unsqueeze(1)
    hidden = points.clone()
    hidden[2:5] = NAN
    torch.testing.assert_close(interpolate(hidden, carrier), points)


def test_never_seen_stays_unknown() -> None:
    assert bool(interpolate(_track(NAN, NAN, NAN), torch.zeros(3, 3).double()).isnan().all())


def test_spikes_go_and_motion_stays() -> None:
    time = torch.arange(60, dtype=torch.float64) / 60.0
    points = torch.zeros(60, 1, 3, dtype=torch.float64)
    points[:, 0, 0] = 3.0 * time  # 3 m/s
    points[:, 0, 1] = 0.2 * (2.0 * torch.pi * time).sin()
    wrong = points.clone()
    wrong[20:22] += 0.5
    wrong[40] = NAN
    calm = despike(wrong, 60.0)
    gone = calm.isnan().any(-1)[:, 0].nonzero().squeeze(-1).tolist()
    assert gone == [20, 21, 40]
    torch.testing.assert_close(despike(points, 60.0), points)
