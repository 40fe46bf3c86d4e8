"""Cameras placed by measured points: truth, wrong clicks and wrong measurements named."""

from dataclasses import replace

import pytest
import torch

from muybridge.capture.scene import locate_from_scene_points
from muybridge.errors import InputError
from tests.board_rig import turn_deg
from tests.demo import demo_cameras

# the points of the demo's Config.toml (Z up), in our axes
MEASURED = torch.tensor(
    [
        [-2.0, 0.3, 0.0], [-2.0, 0.0, 0.0], [-2.0, 0.0, 0.05], [-2.0, -0.3, 0.0],
        [0.0, 0.3, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.05], [0.0, -0.3, 0.0],
    ],
    dtype=torch.float64,
)[:, [1, 2, 0]]  # fmt: skip


def clicks(noise_px: float = 1.0, seed: int = 0) -> torch.Tensor:
    """The points as careful hands would mark them in the demo's four pictures."""
    generator = torch.Generator().manual_seed(seed)
    pixels = demo_cameras().project(MEASURED)
    assert bool(pixels.isfinite().all())
    return pixels + noise_px * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)


def unplaced():
    """The demo's lenses without their places."""
    cameras = demo_cameras()
    return replace(
        cameras,
        rotation=torch.eye(3, dtype=torch.float64).expand(4, 3, 3),
        translation=torch.zeros(4, 3, dtype=torch.float64),
    )


def test_exact_clicks_give_the_exact_places() -> None:
    truth = demo_cameras()
    found = locate_from_scene_points(unplaced(), MEASURED, clicks(0.0))
    assert found.rms_px < 1e-3
    torch.testing.assert_close(
        found.cameras.centres_world, truth.centres_world, rtol=0.0, atol=1e-4
    )
    assert turn_deg(found.cameras.rotation, truth.rotation) < 1e-3


def test_careful_clicks_give_centimetres() -> None:
    truth = demo_cameras()
    found = locate_from_scene_points(unplaced(), MEASURED, clicks(1.0))
    assert bool(found.agrees.all())
    assert 0.5 < found.rms_px < 2.0
    assert float((found.cameras.centres_world - truth.centres_world).norm(dim=-1).max()) < 0.10
    depth = (MEASURED[5] - truth.centres_world).norm(dim=-1)
    expected = 1000.0 * found.residuals_px[:, 5] * depth / truth.matrix[:, 0, 0]
    torch.testing.assert_close(found.residuals_mm[:, 5], expected, rtol=0.1, atol=0.1)
    assert [f.severity for f in found.findings] == ["info"]


@pytest.mark.parametrize("off_m", [0.10, 0.20])
@pytest.mark.parametrize("point", [0, 3, 6])
def test_a_wrong_click_is_named_and_left_out(point: int, off_m: float) -> None:
    """pose2sim#98: clicks 10-20 cm off."""
    truth, pixels = demo_cameras(), clicks(1.0)
    wrong = MEASURED[point] + torch.tensor([0.0, off_m, 0.0])
    pixels[2, point] = truth.project(wrong[None])[2, 0]
    found = locate_from_scene_points(unplaced(), MEASURED, pixels)
    assert found.agrees.logical_not().nonzero().tolist() == [[2, point]]
    said = [f for f in found.findings if f.severity == "warning"]
    assert len(said) == 1
    assert said[0].camera == "cam03"
    assert f"Scene point {point + 1} is marked" in said[0].sentence
    error = (found.cameras.centres_world - truth.centres_world).norm(dim=-1)
    assert float(error.max()) < 0.12


def test_a_wrong_measurement_is_told_from_a_wrong_click() -> None:
    measured = MEASURED.clone()
    measured[3, 0] += 0.15
    found = locate_from_scene_points(unplaced(), measured, clicks(1.0))
    assert found.agrees.logical_not().nonzero()[:, 1].unique().tolist() == [3]
    said = [f.sentence for f in found.findings if f.severity == "warning"]
    assert len(said) == 1
    assert "Scene point 4" in said[0]
    assert "measured position is wrong" in said[0]


def test_points_that_a_camera_does_not_see_are_fine() -> None:
    pixels = clicks(0.5)
    pixels[1, [0, 3]] = torch.nan
    found = locate_from_scene_points(unplaced(), MEASURED, pixels)
    assert found.agrees[1].tolist() == [False, True, True, False, True, True, True, True]
    assert bool(found.residuals_px[1, 0].isnan())


def test_too_few_points_are_refused_by_name() -> None:
    pixels = clicks()
    pixels[3, :5] = torch.nan
    with pytest.raises(InputError, match="4 or more scene points in cam04, got 3"):
        locate_from_scene_points(unplaced(), MEASURED, pixels)


def test_points_in_another_order_are_named() -> None:
    pixels = clicks()
    pixels[0] = pixels[0].roll(3, dims=0)
    found = locate_from_scene_points(unplaced(), MEASURED, pixels)
    said = [f for f in found.findings if f.severity == "warning"]
    assert len(said) >= 2
    assert {f.camera for f in said} == {"cam01"}
