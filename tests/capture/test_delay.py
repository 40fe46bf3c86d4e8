"""Corner tracks read between frames."""

import pytest
import torch

from muybridge.capture.delay import in_film_order, sample_tracks
from muybridge.capture.sightings import Sightings
from tests.board_rig import CHESSBOARD

CORNERS = len(CHESSBOARD.corners_board())


def film(points: torch.Tensor, instants: tuple[str, ...] | None = None) -> Sightings:
    """One camera."""
    names = instants or tuple(map(str, range(len(points))))
    return Sightings(("cam1",), CHESSBOARD, names, points[None])


def path(time: torch.Tensor) -> torch.Tensor:
    """A cubic of time, the same for all corners but for a shift: [v n 2]."""
    corner = torch.arange(CORNERS, dtype=torch.float64)
    x = 0.02 * time**2 - 3.0 * time
    y = 5.0 * time - 0.03 * time**2
    return torch.stack((x[:, None] + corner, y[:, None] - corner), -1)


TIME = torch.arange(12, dtype=torch.float64)


@pytest.mark.parametrize("delay", [0.0, 0.25, 0.63, -0.4, 1.0, 2.7, -3.2])
def test_a_parabola_is_read_exactly(delay: float) -> None:
    sampled = sample_tracks(film(path(TIME)), torch.tensor([delay], dtype=torch.float64))
    expected = path(TIME + delay)
    inside = (TIME + delay >= 1.0) & (TIME + delay <= 10.0)
    torch.testing.assert_close(sampled.points_px[0][inside], expected[inside])
    step = 1e-5
    velocity = (path(TIME + delay + step) - path(TIME + delay - step)) / (2 * step)
    assert sampled.velocity_px is not None
    torch.testing.assert_close(
        sampled.velocity_px[0][inside], velocity[inside], rtol=1e-6, atol=1e-6
    )
    outside = (TIME + delay < 0.0) | (TIME + delay > 11.0)
    assert bool(sampled.points_px[0][outside].isnan().all())


def test_a_lone_view_is_kept_at_no_delay_and_lost_otherwise() -> None:
    points = path(TIME)
    points[:4], points[5:] = torch.nan, torch.nan
    kept = sample_tracks(film(points), torch.zeros(1).double())
    assert kept.points_px[0].isfinite().all(-1).all(-1).nonzero().flatten().tolist() == [4]
    assert kept.velocity_px is not None
    assert bool((kept.velocity_px[0, 4] == 0.0).all())
    assert not bool(
        sample_tracks(film(points), torch.tensor([0.5]).double()).points_px.isfinite().any()
    )


def test_frames_are_put_in_order_and_gaps_filled() -> None:
    points = path(torch.tensor([20.0, 10.0, 35.0]).double())
    ordered = in_film_order(film(points, ("20", "10", "35")))
    assert ordered.instants == ("10", "15", "20", "25", "30", "35")
    torch.testing.assert_close(ordered.points_px[0, [2, 0, 5]], points)
    assert bool(ordered.points_px[0, [1, 3, 4]].isnan().all())


def test_names_that_are_no_numbers_stay() -> None:
    named = film(path(TIME[:2]), ("first", "second"))
    assert in_film_order(named) is named
