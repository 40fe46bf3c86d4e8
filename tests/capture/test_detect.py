"""Detection of whole videos: the demo's accuracy, resuming, processes, wrong input."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.capture import detect as module
from muybridge.capture.detect import DetectOptions, detect_videos, detection_findings
from muybridge.capture.detections import Chunk, fingerprint, load_chunks, save_chunk
from muybridge.errors import InputError
from muybridge.files.video import read_frames, write_frames
from muybridge.motion.keypoints import COCO_17, Keypoints
from muybridge.pose.runtime import Backend
from tests.demo import demo_trial, distances_px
from tests.pose.pictures import background, draw_figure

HERE = DetectOptions(workers=1, save_every=4)


def _walk(count: int, start: int = 100) -> Iterator[np.ndarray]:
    for k in range(count):
        picture = background(240, 320)
        draw_figure(picture, (start + 4 * k, 105), 90, 2)
        yield picture


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("videos")
    write_frames(folder / "cam1.mp4", _walk(10), 30.0)
    write_frames(folder / "cam2.mp4", _walk(7, 140), 30.0)
    return folder / "cam1.mp4", folder / "cam2.mp4"


def _same(a: Keypoints, b: Keypoints) -> bool:
    points = torch.equal(a.points_px.nan_to_num(-1.0), b.points_px.nan_to_num(-1.0))
    return points and torch.equal(a.confidence, b.confidence) and a.cameras == b.cameras


@pytest.fixture(scope="module")
def expected(videos: tuple[Path, Path]) -> Keypoints:
    return detect_videos(videos, options=HERE)


# -- accuracy ----------------------------------------------------------------------------------
def _assert_close_to_openpose(found: Keypoints) -> None:
    apart = distances_px(found)
    assert bool(found.seen[:, :, 0].any(-1).all()), "a person in every frame of every camera"
    assert float(apart.nanmedian()) <= 13.0
    assert float(apart.nanmean()) <= 15.0
    assert float(apart.nanmean(dim=(1, 2)).max()) <= 18.0


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_demo_agrees_with_openpose_in_its_first_frames(backend: Backend, tmp_path: Path) -> None:
    """The first five frames of each camera, encoded anew."""
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    for video in sorted((demo_trial() / "videos").glob("*.mp4")):
        write_frames(tmp_path / video.name, islice(read_frames(video), 5), 60.0)
    options = replace(HERE, save_every=50, backend=backend, cache_folder=tmp_path)
    _assert_close_to_openpose(detect_videos(sorted(tmp_path.glob("*.mp4")), options=options))


@pytest.mark.slow
def test_demo_agrees_with_openpose() -> None:
    found = detect_videos(sorted((demo_trial() / "videos").glob("*.mp4")))
    assert found.points_px.shape == (4, 100, 1, 17, 2)
    _assert_close_to_openpose(found)


# -- what comes out ----------------------------------------------------------------------------
def test_cameras_joints_and_a_shorter_video(expected: Keypoints) -> None:
    assert expected.cameras == ("cam1", "cam2")
    assert expected.joints == COCO_17
    assert expected.fps == 30.0
    assert expected.points_px.shape == (2, 10, 1, 17, 2)
    assert bool(expected.seen[0].all())
    assert bool(expected.seen[1, :7].all())
    assert bool(expected.points_px[1, 7:].isnan().all())
    assert float(expected.confidence[1, 7:].max()) == 0.0
    hips = expected.select_joints(("left_hip", "right_hip")).points_px[0, :, 0].mean(1)
    steps = hips[1:, 0] - hips[:-1, 0]
    assert abs(float(steps.mean()) - 4.0) < 1.0  # the figure walks 4 pixels a frame


def test_progress_counts_every_frame_once(videos: tuple[Path, Path]) -> None:
    seen: list[tuple[int, int]] = []
    detect_videos(videos, options=HERE, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (17, 17)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_two_processes_give_the_same(
    videos: tuple[Path, Path], expected: Keypoints, tmp_path: Path
) -> None:
    seen: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    found = detect_videos(
        videos,
        options=replace(HERE, workers=2),
        partial_folder=tmp_path,
        on_progress=lambda done, _: seen.append(done),
    )
    assert _same(found, expected)
    assert seen[-1] == 17
    assert signal.getsignal(signal.SIGINT) is handler
    assert sum(1 for _ in tmp_path.glob("cam1.*.npz")) == 3


# -- interruption ------------------------------------------------------------------------------
class _PullThePlugError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 4, 6, 12])
def test_an_interrupted_run_goes_on_and_ends_the_same(
    videos: tuple[Path, Path], expected: Keypoints, tmp_path: Path, after: int
) -> None:
    def stop(done: int, _: int) -> None:
        if done >= after:
            raise _PullThePlugError

    with pytest.raises(_PullThePlugError):
        detect_videos(videos, options=HERE, partial_folder=tmp_path, on_progress=stop)
    saved = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(saved) == {1: 0, 4: 0, 6: 1, 12: 3}[after]
    seen: list[int] = []
    found = detect_videos(
        videos, options=HERE, partial_folder=tmp_path, on_progress=lambda d, _: seen.append(d)
    )
    assert _same(found, expected)
    assert seen[0] == {1: 0, 4: 0, 6: 4, 12: 10}[after]
    for name, content in saved.items():
        assert (tmp_path / name).read_bytes() == content


def test_a_finished_run_is_only_read(
    videos: tuple[Path, Path], expected: Keypoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect_videos(videos, options=HERE, partial_folder=tmp_path)
    monkeypatch.setattr(module, "TopDown", None)
    assert _same(detect_videos(videos, options=HERE, partial_folder=tmp_path), expected)


def test_a_failure_in_one_process_ends_the_others(
    videos: tuple[Path, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "cam3.mp4"
    broken.write_bytes(videos[0].read_bytes())

    def cut(done: int, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_videos((*videos, broken), options=replace(HERE, workers=2), on_progress=cut)


def _chunk(start: int, frames: int, last: bool) -> Chunk:
    counts = np.ones(frames, dtype=np.int64)
    return Chunk(start, counts, np.full((frames, 17, 3), start, dtype=np.float32), last)


def test_chunks_are_read_up_to_the_first_gap_of_the_same_key(tmp_path: Path) -> None:
    for start in (0, 4, 12):
        save_chunk(tmp_path, "cam", "key", _chunk(start, 4, last=False))
    assert [chunk.start for chunk in load_chunks(tmp_path, "cam", "key")] == [0, 4]
    save_chunk(tmp_path, "cam", "another key", _chunk(4, 4, last=False))
    assert [chunk.start for chunk in load_chunks(tmp_path, "cam", "key")] == [0]
    (tmp_path / "cam.00000000.npz").write_bytes(b"PK broken")
    assert load_chunks(tmp_path, "cam", "key") == []
    assert load_chunks(tmp_path, "cam0", "key") == []


def test_another_video_or_option_has_another_fingerprint(videos: tuple[Path, Path]) -> None:
    one, two = videos
    prints = {fingerprint(one, "a"), fingerprint(two, "a"), fingerprint(one, "b")}
    assert len(prints) == 3
    assert fingerprint(one, "a") in prints


# -- wrong input -------------------------------------------------------------------------------
def test_no_videos() -> None:
    with pytest.raises(InputError, match="at least one video"):
        detect_videos([])


def test_two_cameras_of_one_name(videos: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "cam1.mp4").write_bytes(videos[0].read_bytes())
    with pytest.raises(InputError, match="two videos called cam1"):
        detect_videos([videos[0], tmp_path / "cam1.mp4"])


def test_unequal_frame_rates(videos: tuple[Path, Path], tmp_path: Path) -> None:
    write_frames(tmp_path / "cam9.mp4", _walk(2), 25.0)
    with pytest.raises(InputError, match="30 in cam1 and 25 in cam9"):
        detect_videos([videos[0], tmp_path / "cam9.mp4"])


def test_nobody_in_any_video(tmp_path: Path) -> None:
    write_frames(tmp_path / "cam1.mp4", (background(128, 128) for _ in range(2)), 30.0)
    with pytest.raises(InputError, match="expected a person in at least one of 1 videos"):
        detect_videos([tmp_path / "cam1.mp4"], options=HERE)


def test_a_truncated_video_keeps_what_was_done(videos: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        detect_videos([videos[0], tmp_path / "absent.mp4"])
    (tmp_path / "cam1.mp4").write_bytes(videos[0].read_bytes()[:200])
    with pytest.raises(InputError, match="expected"):
        detect_videos([tmp_path / "cam1.mp4"], options=HERE, partial_folder=tmp_path / "partial")


# -- findings ----------------------------------------------------------------------------------
def _crowd(people: int, empty: int) -> Keypoints:
    points = torch.rand(1, 20, people, 17, 2, dtype=torch.float64) * 100.0
    points[0, :empty] = torch.nan
    confidence = points[..., 0].isfinite().double()
    return Keypoints(("cam1",), COCO_17, points, confidence, 30.0)


def test_the_limit_of_six_people_is_told() -> None:
    findings = detection_findings(_crowd(6, 0), HERE)
    assert [f.severity for f in findings] == ["info", "warning"]
    assert "PyTorch" in findings[0].sentence
    assert findings[1].camera == "cam1"
    assert "at least 6 people in 20 of 20 frames" in findings[1].sentence
    assert len(detection_findings(_crowd(5, 0), HERE)) == 1


@pytest.mark.parametrize(("empty", "severity"), [(1, "info"), (12, "warning")])
def test_empty_frames_are_told(empty: int, severity: str) -> None:
    finding = detection_findings(_crowd(1, empty), HERE)[1]
    assert finding.severity == severity
    assert f"nobody in {empty} of 20 frames" in finding.sentence
