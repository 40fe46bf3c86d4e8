"""Sessions are found by their folders; the videos are compared before anything runs."""

import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from muybridge.capture.inspect import inspect_videos
from muybridge.capture.session import open_session
from muybridge.errors import InputError
from muybridge.files.video import write_frames


def _video(path: Path, count: int = 6, size: tuple[int, int] = (64, 48), fps: float = 30.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frames(path, (np.full((size[1], size[0], 3), 9 * t, np.uint8) for t in range(count)), fps)
    return path


def test_parts_are_found(tmp_path: Path) -> None:
    _video(tmp_path / "videos" / "cam02.mp4")
    _video(tmp_path / "videos" / "cam01.MP4".lower())
    (tmp_path / "videos" / "notes.txt").write_text("not a video")
    (tmp_path / "calibration").mkdir()
    session = open_session(tmp_path)
    assert [p.name for p in session.videos] == ["cam01.mp4", "cam02.mp4"]
    assert session.calibration is None, "an empty folder is no calibration"
    assert session.keypoints is None
    (tmp_path / "calibration" / "Calib.qca.txt").write_text("x")
    assert open_session(tmp_path).calibration == tmp_path / "calibration"


def test_bad_sessions_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none at"):
        open_session(tmp_path / "nowhere")
    with pytest.raises(InputError, match="got neither"):
        open_session(tmp_path)
    _video(tmp_path / "videos" / "a.mp4")
    (tmp_path / "videos" / "a.mov").write_bytes(b"x")
    with pytest.raises(InputError, match="several called a"):
        open_session(tmp_path)


def test_equal_videos_have_no_findings(tmp_path: Path) -> None:
    inspection = inspect_videos([_video(tmp_path / f"{c}.mp4") for c in "ab"])
    assert inspection.findings == ()
    assert inspection.fps == pytest.approx(30.0)


def test_one_camera_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"only a\.mp4"):
        inspect_videos([_video(tmp_path / "a.mp4")])
    with pytest.raises(InputError, match="got none"):
        inspect_videos([])


def test_unequal_rates_are_refused_by_name(tmp_path: Path) -> None:
    paths = [_video(tmp_path / f"{c}.mp4") for c in "ab"] + [_video(tmp_path / "c.mp4", fps=25.0)]
    with pytest.raises(InputError, match=r"c\.mp4 25\.000.*ffmpeg -i c\.mp4 -r 30"):
        inspect_videos(paths)


def test_lengths_and_sizes_are_named(tmp_path: Path) -> None:
    paths = [_video(tmp_path / "a.mp4"), _video(tmp_path / "b.mp4", 20, (32, 48))]
    sentences = " ".join(f.sentence for f in inspect_videos(paths).findings)
    assert "a 6, b 20 frames" in sentences
    assert "a 64x48, b 32x48" in sentences


def _uneven_video(path: Path, milliseconds: list[int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = Fraction(1, 1000)
        for stamp in milliseconds:
            image = np.full((48, 64, 3), stamp % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_varying_frame_rate_is_told(tmp_path: Path) -> None:
    uneven = [0, 33, 67, 100, 300, 333, 367, 400]
    paths = [_uneven_video(tmp_path / f"{c}.mp4", uneven) for c in "ab"]
    findings = inspect_videos(paths).findings
    assert [f.camera for f in findings if "varying frame rate" in f.sentence] == ["a", "b"]
    even = [
        _uneven_video(tmp_path / f"{c}.mp4", [round(t * 100 / 3) for t in range(8)]) for c in "cd"
    ]
    assert inspect_videos(even).findings == ()


@pytest.mark.parametrize("inside", ["videos", "calibration", "keypoints", "calibration/x"])
def test_results_may_not_lie_among_the_input(tmp_path: Path, inside: str) -> None:
    _video(tmp_path / "videos" / "a.mp4")
    session = open_session(tmp_path)
    with pytest.raises(InputError, match="outside of the session"):
        session.check_out(tmp_path / inside)
    session.check_out(tmp_path)
    session.check_out(tmp_path / "take")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are not text")
def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    _video(tmp_path / "videos" / "a.mp4")
    (tmp_path / "videos" / "a.mp4").rename(tmp_path / "videos" / os.fsdecode(b"b\xff.mp4"))
    with pytest.raises(InputError, match="readable characters"):
        open_session(tmp_path)
