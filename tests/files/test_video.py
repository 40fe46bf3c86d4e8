"""Video files: facts, frames, rotation flags, and what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files.video import count_frames, frame_times, probe, read_frames, write_frames


def _ramp(count: int = 10, width: int = 64, height: int = 48):
    for t in range(count):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : width // 2] = 20 * t
        yield image


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_frames(tmp_path / "cam01.mp4", _ramp(), 29.97)
    return tmp_path / "cam01.mp4"


def test_probe_says_what_was_written(video: Path) -> None:
    info = probe(video)
    assert (info.name, info.width, info.height) == ("cam01", 64, 48)
    assert (info.frame_count, info.codec, info.rotation_deg) == (10, "h264", 0)
    assert info.fps == pytest.approx(29.97, abs=1e-3)
    assert info.duration == pytest.approx(10 / 29.97, abs=1e-3)
    assert count_frames(video) == 10


def test_frames_come_in_order_and_spans_are_exact(video: Path) -> None:
    levels = [int(image[:, :24].mean().round()) for image in read_frames(video)]
    np.testing.assert_allclose(levels, [20 * t for t in range(10)], atol=6)
    span = [int(image[:, :24].mean().round()) for image in read_frames(video, 3, 6)]
    assert span == levels[3:6]


def test_odd_sizes_lose_one_line(tmp_path: Path) -> None:
    write_frames(tmp_path / "odd.mp4", _ramp(3, 65, 49), 30.0)
    assert (probe(tmp_path / "odd.mp4").width, probe(tmp_path / "odd.mp4").height) == (64, 48)


def test_rotation_flags_are_applied(video: Path) -> None:
    """Phones store a quarter turn in the track header; here its matrix is patched in."""
    plain = next(iter(read_frames(video, 9)))
    data = video.read_bytes()
    identity = bytes.fromhex("00010000" + "00000000" * 3 + "00010000" + "00000000" * 3 + "40000000")
    turned = bytes.fromhex(
        "00000000" + "00010000" + "00000000" + "ffff0000" + "00000000" * 4 + "40000000"
    )
    track = data.index(identity, data.index(b"tkhd"))
    phone = video.with_name("phone.mp4")
    phone.write_bytes(data[:track] + turned + data[track + len(turned) :])
    info = probe(phone)
    assert (info.width, info.height, info.rotation_deg) == (48, 64, 90)
    upright = next(iter(read_frames(phone, 9)))
    np.testing.assert_array_equal(upright, np.rot90(plain, -1))


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "text", "header only", "cut in the middle", "folder"]
)
def test_bad_files_get_one_sentence(video: Path, damage: str) -> None:
    data = video.read_bytes()
    path = video.with_name("bad.mp4")
    content = {
        "empty": b"", "text": b"hello, I am not a video\n" * 50,
        "header only": data[:64], "cut in the middle": data[: len(data) // 2],
    }.get(damage)  # fmt: skip
    if content is not None:
        path.write_bytes(content)
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(InputError, match="expected") as caught:
        probe(path)
    assert "\n" not in str(caught.value)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def frames():
        yield from _ramp(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frames(tmp_path / "half.mp4", frames(), 30.0)
    assert list(tmp_path.iterdir()) == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.binary(max_size=40))
def test_damaged_videos_read_or_are_refused(
    video: Path, cut: float, at: float, junk: bytes
) -> None:
    data = bytearray(video.read_bytes())
    place = int(at * len(data))
    data[place : place + len(junk)] = junk
    path = video.with_name("damaged.mp4")
    path.write_bytes(data[: int(cut * len(data)) + 1] if cut < 0.5 else data)
    try:
        info = probe(path)
        count = sum(1 for _ in read_frames(path))
        times = frame_times(path)
    except InputError:
        return
    assert min(info.width, info.height, info.fps) > 0
    assert count <= len(times) + 1
