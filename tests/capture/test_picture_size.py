"""Videos of another size than their calibration: each explanation, and none."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from muybridge.capture.picture_size import Bars, fit_size, measure_bars
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from tests.demo import demo_cameras, demo_trial
from tests.rigs import ring

POINTS = torch.rand(30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PERSON = (POINTS - 0.5) * torch.tensor([0.8, 1.6, 0.8]) + torch.tensor([0.0, 1.0, 0.0])


def one() -> Cameras:
    return ring(4).select([0])


def film(path: Path, size: tuple[int, int], bars: Bars) -> Path:
    """A short noisy film with black bars."""
    width, height = size
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(4):
            grey = np.zeros((height, width, 3), np.uint8)
            inside = grey[bars.top : height - bars.bottom, bars.left : width - bars.right]
            coarse = generator.integers(
                60, 220, (inside.shape[0] // 16 + 1, inside.shape[1] // 16 + 1)
            )
            noise = coarse.repeat(16, 0).repeat(16, 1)[: inside.shape[0], : inside.shape[1], None]
            inside[:] = noise.astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        container.mux(stream.encode(None))
    return path


def test_equal_sizes_change_nothing() -> None:
    cameras = ring(2)
    fitted, findings = fit_size(cameras, [(1088, 1920)] * 2)
    assert findings == ()
    torch.testing.assert_close(fitted.matrix, cameras.matrix, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("scale", [0.5, 2.0, 0.6666])
def test_scaled_pictures(scale: float) -> None:
    cameras = one()
    size = (round(1088 * scale), round(1920 * scale))
    fitted, findings = fit_size(cameras, [size])
    edges = (cameras.project(PERSON) + 0.5) * torch.tensor([size[0] / 1088, size[1] / 1920])
    torch.testing.assert_close(fitted.project(PERSON), edges - 0.5, rtol=0.0, atol=0.6)
    assert findings[0].severity == "info"
    assert "scaled" in findings[0].sentence


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_quarter_turn_keeps_up_upward(scale: float) -> None:
    """The calibration's pictures lay on their side; the video is upright."""
    upright = one()
    width, height = 1088.0, 1920.0
    for clockwise in (True, False):
        turn = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).double()
        turn = turn if clockwise else turn.mT
        k = upright.matrix[0]
        matrix = torch.diag(torch.stack((k[1, 1], k[0, 0], k[2, 2])))
        matrix[0, 2] = k[1, 2] if clockwise else height - 1 - k[1, 2]
        matrix[1, 2] = width - 1 - k[0, 2] if clockwise else k[0, 2]
        k1, k2, p1, p2, k3 = upright.distortion[0].tolist()
        sign = -1.0 if clockwise else 1.0
        lying = replace(
            upright,
            size_px=torch.tensor([[height, width]], dtype=torch.float64),
            matrix=matrix[None],
            distortion=torch.tensor([[k1, k2, sign * p2, -sign * p1, k3]], dtype=torch.float64),
            rotation=turn @ upright.rotation,
            translation=(turn @ upright.translation[..., None])[..., 0],
        )
        side, stood = lying.project(PERSON)[0], upright.project(PERSON)[0]
        seen = torch.stack((stood[:, 1], width - 1 - stood[:, 0]), -1)
        if not clockwise:
            seen = torch.stack((height - 1 - stood[:, 1], stood[:, 0]), -1)
        torch.testing.assert_close(side, seen)  # the test's own turn is right
        size = (round(1088 * scale), round(1920 * scale))
        fitted, findings = fit_size(lying, [size])
        expected = (upright.project(PERSON) + 0.5) * scale - 0.5
        torch.testing.assert_close(fitted.project(PERSON), expected)
        torch.testing.assert_close(fitted.centres_world, upright.centres_world)
        assert "turned by 90 degrees" in findings[0].sentence


@pytest.mark.parametrize(
    ("size", "bars", "scale", "shift"),
    [
        ((540, 960), Bars(), 540 / 1088, (0.0, 0.0)),
        ((560, 960), Bars(left=8, right=8), 0.5, (8.0, 0.0)),
        ((544, 1000), Bars(top=20, bottom=20), 0.5, (0.0, 20.0)),
        ((544, 1000), Bars(bottom=40), 0.5, (0.0, 0.0)),
        ((544, 1000), Bars(top=40), 0.5, (0.0, 40.0)),
    ],
)
def test_black_bars_are_seen(tmp_path, size, bars, scale, shift) -> None:
    path = film(tmp_path / "cam01.mp4", size, bars)
    assert measure_bars(path) == bars
    if size == (540, 960):  # another aspect without bars cannot be explained
        with pytest.raises(InputError, match="cam01's video to be 1088x1920"):
            fit_size(one(), [(540, 900)], [path])
        return
    fitted, findings = fit_size(one(), [size], [path])
    expected = (one().project(PERSON) + 0.5) * scale - 0.5 + torch.tensor(shift)
    torch.testing.assert_close(fitted.project(PERSON), expected)
    assert "black bars" in findings[0].sentence


@pytest.mark.parametrize("size", [(1080, 1920), (1088, 1912), (1096, 1920)])
def test_block_padding_keeps_pixels_and_says_so(size) -> None:
    fitted, findings = fit_size(one(), [size])
    torch.testing.assert_close(fitted.project(PERSON), one().project(PERSON))
    assert findings[0].severity == "warning"
    assert "8 px" in findings[0].sentence


@pytest.mark.parametrize("size", [(1000, 1920), (1088, 1080), (640, 480)])
def test_the_inexplicable_is_refused(size) -> None:
    with pytest.raises(InputError, match=f"got {size[0]}x{size[1]}"):
        fit_size(one(), [size])


def test_too_few_videos_are_refused() -> None:
    with pytest.raises(InputError, match="each of 2 calibrated cameras, got 1"):
        fit_size(ring(2), [(1088, 1920)])


def test_the_demo_was_scaled_and_barred() -> None:
    """cam01 and cam02 are 1080 wide. Registering their background with the calibration pictures
    (SIFT, affine) gives x' = 0.9927 x and y' = 0.9925 y + 7.2: not cut off, but scaled."""
    videos = [demo_trial() / "videos" / f"cam0{c}.mp4" for c in (1, 2, 3, 4)]
    cameras = demo_cameras()
    fitted, findings = fit_size(cameras, [(1080, 1920)] * 2 + [(1088, 1920)] * 2, videos)
    assert [f.camera for f in findings] == ["cam01", "cam02"]
    assert all("scaled by 0.9926" in f.sentence and f.severity == "info" for f in findings)
    points = cameras.project(PERSON)[:2]
    expected = points * torch.tensor([0.9926, 0.9926]) + torch.tensor([0.0, 7.1])
    torch.testing.assert_close(fitted.project(PERSON)[:2], expected, rtol=0.0, atol=0.2)
    torch.testing.assert_close(fitted.matrix[2:], cameras.matrix[2:], rtol=0.0, atol=0.0)
