"""Bad input: one clear sentence, exit code 2, no traceback, nothing half written.

Each case breaks one thing of a session, a file or a command line, then runs a verb in this process.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from muybridge.cli.main import main
from muybridge.files.calibration import read_calibration, write_calibration
from muybridge.files.keypoints import read_keypoints_folder, save_keypoints
from muybridge.files.trc import write_trc
from muybridge.geometry.camera import Cameras
from muybridge.motion.markers import Markers
from tests.sessions import cameras_named, make_session, make_video

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 10 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 90 0 0 0 0 0 0 0
0 91 0 1 2 3 4 5 6
"""


@dataclass(frozen=True)
class Case:
    """What to break and what the sentence must name."""

    break_it: Callable[[Path], list[str]]
    names: str


def _capture(change: Callable[[Path], None], *options: str) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        session = make_session(folder / "session", frames=8)
        change(session)
        rate = () if "--fps" in options else ("--fps", "30")
        return ["capture", str(session), "--out", str(folder / "out"), *rate, *options]

    return prepare


def _videos(change: Callable[[Path], None]) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        session = make_session(folder / "session", frames=8)
        for camera in ("cam01", "cam02", "cam03", "cam04"):
            make_video(session / "videos" / f"{camera}.mp4")
        change(session / "videos")
        return ["capture", str(session), "--out", str(folder / "out")]

    return prepare


def _keep(session: Path) -> None:
    """Nothing is wrong with this session."""


def _keep_one(videos: Path) -> None:
    for path in sorted(videos.iterdir())[1:]:
        path.unlink()


def _cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _calibration(
    text: Callable[[str], str], name: str = "calibration.yaml"
) -> Callable[[Path], None]:
    def change(session: Path) -> None:
        path = session / "calibration" / "calibration.yaml"
        content = text(path.read_text())
        path.unlink()
        (path.parent / name).write_text(content)

    return change


def _number(word: str) -> Callable[[Path], None]:
    return _calibration(lambda text: text.replace("620", word, 1))


def _keypoints(edit: Callable[[list[dict]], object]) -> Callable[[Path], None]:
    """Edit every JSON file of cam02."""

    def change(session: Path) -> None:
        for path in (session / "keypoints" / "cam02").iterdir():
            content = json.loads(path.read_text())
            edited = edit(content["people"])
            path.write_text(edited if isinstance(edited, str) else json.dumps(edited))

    return change


def _person(values: list[object]) -> dict[str, object]:
    return {"people": [{"pose_keypoints_2d": values}]}


def _file(name: str, content: str | bytes, *words: str) -> Callable[[Path], list[str]]:
    """A verb on one file; {file} and {out} stand for paths."""

    def prepare(folder: Path) -> list[str]:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [word.format(file=path, out=folder / "out") for word in words]

    return prepare


def _remove(path: str) -> Callable[[Path], None]:
    def change(session: Path) -> None:
        target = session / path
        for child in sorted(target.rglob("*"), reverse=True):
            child.rmdir() if child.is_dir() else child.unlink()
        target.rmdir() if target.is_dir() else target.unlink()

    return change


def _notes(folder: Path) -> list[str]:
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("x")
    return ["calibrate", str(folder / "notes")]


def _no_board(folder: Path) -> list[str]:
    for name in ("a.mp4", "b.mp4"):
        make_video(folder / "boards" / name)
    return ["calibrate", str(folder / "boards")]


def _nobody_anywhere(session: Path) -> None:
    for path in session.glob("keypoints/*/*.json"):
        path.write_text('{"people": []}')


def _other_cameras(session: Path) -> None:
    path = session / "calibration" / "calibration.yaml"
    write_calibration(path, cameras_named(("left", "right", "top")))


def _rig(change: Callable[[Cameras], Cameras]) -> Callable[[Path], None]:
    def edit(session: Path) -> None:
        path = session / "calibration" / "calibration.yaml"
        write_calibration(path, change(read_calibration(path)))

    return edit


def _mirrored(text: str) -> str:
    """The first row of the first rotation with its signs turned: determinant -1."""
    row = re.search(r"rotation: \[\[(.*?)\]", text)
    assert row is not None
    turned = ", ".join(str(-float(word)) for word in row[1].split(","))
    return text.replace(row[0], f"rotation: [[{turned}]", 1)


def _twice(session: Path) -> None:
    folder = session / "keypoints" / "cam01"
    shutil.copytree(folder, folder.with_name("cam01_json"))


def _like_another(session: Path) -> None:
    folder = session / "keypoints" / "cam01"
    shutil.copytree(folder, folder.with_name("Cam_1"))


def _frame_twice(session: Path) -> None:
    folder = session / "keypoints" / "cam01"
    shutil.copy(next(folder.iterdir()), folder / "cam01_0000_keypoints.json")


def _far_frame(session: Path) -> None:
    for folder in (session / "keypoints").iterdir():
        last = max(folder.iterdir())
        last.rename(folder / f"{folder.name}_000000900000_keypoints.json")


def _no_text_in_name(session: Path) -> None:
    folder = session / "keypoints" / "cam02"
    folder.rename(folder.with_name(os.fsdecode(b"cam02\xff")))


def _correction(**change: object) -> Callable[[Path], None]:
    edit = {"camera": "cam01", "frame": 2, "person": 0, "joint": "nose", "x": 1.0, "y": 2.0}
    return lambda s: (s / "corrections.json").write_text(json.dumps([edit | change])) and None


def _value(value: object, place: int = 0) -> Callable[[list[dict]], object]:
    """Another number in each person's list."""

    def edit(people: list[dict]) -> object:
        for person in people:
            person["pose_keypoints_2d"][place] = value
        return {"people": people}

    return edit


def _audio_only(videos: Path) -> None:
    with av.open(str(videos / "cam02.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for index in range(4):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 1024 * index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _out_inside(part: str) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        session = make_session(folder / "session", frames=2)
        return ["capture", str(session), "--out", str(session / part), "--fps", "30"]

    return prepare


def _points(change: Callable[[Tensor], Tensor]) -> Callable[[Path], list[str]]:
    """`reconstruct` on detections that were changed."""

    def prepare(folder: Path) -> list[str]:
        session = make_session(folder / "session", frames=6)
        detected = read_keypoints_folder(session / "keypoints", 30.0)
        points = change(detected.points_px)
        confidence = detected.confidence[:, : points.shape[1]]
        save_keypoints(folder / "k.npz", replace(detected, points_px=points, confidence=confidence))
        calibration = session / "calibration" / "calibration.yaml"
        out = folder / "out" / "p.trc"
        return ["reconstruct", str(folder / "k.npz"), str(calibration), "--out", str(out)]

    return prepare


def _solve(*options: str) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        file = folder / "a.trc"
        write_trc(file, Markers(("a",), torch.zeros(2, 1, 3, dtype=torch.float64), 30.0))
        return ["solve", str(file), *options]

    return prepare


def _one_calibrated(session: Path) -> None:
    write_calibration(session / "calibration" / "calibration.yaml", cameras_named(("cam01",)))


def _one_camera_of_keypoints(session: Path) -> None:
    for camera in ("cam02", "cam03", "cam04"):
        _remove(f"keypoints/{camera}")(session)


TO_BVH = ("convert", "{file}", "{out}.bvh")
TO_TRC = ("convert", "{file}", "{out}.trc")
TRC = "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"

CASES = {
    # the session
    "session missing": Case(lambda f: ["capture", str(f / "none")], "found none at"),
    "session empty": Case(lambda f: ["capture", str(f)], "got neither"),
    "session is a file": Case(_file("a.txt", "x", "capture", "{file}"), "session folder"),
    "no calibration": Case(_capture(_remove("calibration")), "calibration"),
    "calibration folder empty": Case(
        _capture(_remove("calibration/calibration.yaml")), "calibration"
    ),
    "keypoints asked for, none there": Case(
        _capture(_remove("keypoints"), "--keypoints"), "keypoints"
    ),
    "out is a file": Case(
        _file("out.txt", "x", "capture", "{file}", "--out", "{file}"), "session folder"
    ),
    "out is below a file": Case(_capture(lambda s: s.with_name("out").write_text("x")), "out"),
    # the videos
    "one camera": Case(_videos(_keep_one), "grid"),
    "empty video": Case(_videos(lambda v: (v / "cam02.mp4").write_bytes(b"")), "cam02.mp4"),
    "text as video": Case(_videos(lambda v: (v / "cam02.mp4").write_text("hi")), "cam02.mp4"),
    "truncated video": Case(_videos(lambda v: _cut(v / "cam02.mp4", 0.6)), "cam02.mp4"),
    "unequal rates": Case(_videos(lambda v: make_video(v / "cam02.mp4", fps=25.0)), "25.000"),
    "two of one name": Case(
        _videos(lambda v: (v / "cam02.mov").write_bytes(b"x")), "several called cam02"
    ),
    "other size than calibrated": Case(
        _videos(lambda v: make_video(v / "cam02.mp4", size=(200, 480))), "cam02"
    ),
    "nobody in the videos": Case(_videos(lambda v: None), "person"),
    "bad grid": Case(
        lambda f: ["crop", str(make_video(f / "a.mp4")), "--out", str(f / "o"), "--grid", "two"],
        "such as 2x2",
    ),
    "no grid to find": Case(
        lambda f: ["crop", str(make_video(f / "a.mp4")), "--out", str(f / "o")], "--grid"
    ),
    "crop.yaml broken": Case(
        lambda f: ["crop", str(make_video(f / "a.mp4")), "--out", str(f / "o"), "--crop",
                   str(make_session(f / "s", frames=2) / "calibration/calibration.yaml")],
        "rectangles",
    ),
    "inspect a file": Case(_file("a.txt", "x", "inspect", "{file}"), "folder with videos"),
    "inspect an empty folder": Case(lambda f: ["inspect", str(f)], "at least two cameras"),
    "detect nothing": Case(lambda f: ["detect", str(f / "none")], "folder with videos"),
    # the calibration
    "calibration of other cameras": Case(_capture(_other_cameras), "cam01"),
    "one calibrated camera": Case(_capture(_one_calibrated), "cam02"),
    "NaN in the calibration": Case(_capture(_number("nan")), "calibration.yaml"),
    "text in the calibration": Case(_capture(_number("abc")), "calibration.yaml"),
    "calibration cut off": Case(_capture(_calibration(lambda t: t[: len(t) // 2])), "calibration"),
    "TOML broken": Case(_capture(_calibration(lambda t: "[cam\n", "calib.toml")), "calib.toml"),
    "TOML with text for numbers": Case(
        _capture(_calibration(lambda t: '[cam01]\nmatrix = "a"\n', "calib.toml")), "calib.toml"
    ),
    "qca broken": Case(_capture(_calibration(lambda t: "<calibration>", "c.qca.txt")), "c.qca.txt"),
    "calibrate nothing": Case(lambda f: ["calibrate", str(f / "none")], "none"),
    "calibrate a folder of notes": Case(_notes, "n"),
    "board never seen": Case(_no_board, "board"),
    # the keypoints
    "keypoints of one camera": Case(_capture(_one_camera_of_keypoints), "camera"),
    "keypoints not JSON": Case(_capture(_keypoints(lambda p: "{nope")), "cam02"),
    "keypoints are a list": Case(_capture(_keypoints(lambda p: "[1, 2]")), "cam02"),
    "too few keypoints": Case(_capture(_keypoints(lambda p: _person([1.0] * 12))), "BODY_25"),
    "text in keypoints": Case(_capture(_keypoints(lambda p: _person(["x"] * 75))), "cam02"),
    "nobody in any view": Case(_capture(_nobody_anywhere), "person"),
    "no frame rate": Case(lambda f: ["capture", str(make_session(f / "s", frames=4))], "--fps"),
    "broken corrections": Case(
        _capture(lambda s: (s / "corrections.json").write_text("[{}]")), "correction"
    ),
    "one camera twice": Case(_capture(_twice), "one place for the detections of cam01"),
    "two cameras of one name": Case(_capture(_like_another), "Cam_1"),
    "a frame twice": Case(_capture(_frame_twice), "one file for frame 0"),
    "frames far apart": Case(_capture(_far_frame), "900000"),
    "a name that is no text": Case(_capture(_no_text_in_name), "cam02"),
    "a pixel is NaN": Case(_capture(_keypoints(_value(float("nan")))), "finite pixels"),
    "a pixel is 1e308": Case(_capture(_keypoints(_value(1e308))), "finite pixels"),
    "a pixel is null": Case(_capture(_keypoints(_value(None))), "list of numbers"),
    "corrected joint unknown": Case(_capture(_correction(joint="tail")), "tail"),
    "corrected camera unknown": Case(_capture(_correction(camera="cam9")), "cam9"),
    "corrected frame too late": Case(_capture(_correction(frame=99)), "99"),
    "corrected frame negative": Case(_capture(_correction(frame=-1)), "-1"),
    "corrected person unknown": Case(_capture(_correction(person=3)), "person below 1"),
    # rigs that cannot be
    "three of four cameras": Case(_capture(_rig(lambda c: c.select([0, 1, 2]))), "cam04"),
    "millimetres": Case(
        _capture(_rig(lambda c: replace(c, translation=1000.0 * c.translation))), "--unit mm"
    ),
    "all cameras in one place": Case(
        _capture(_rig(lambda c: replace(c.select([0] * 4), names=c.names))), "different places"
    ),
    "absurd focal length": Case(
        _capture(_rig(lambda c: replace(c, matrix=c.matrix * 1e300))), "cam01"
    ),
    "left-handed rotation": Case(_capture(_calibration(_mirrored)), "mirrors space"),
    # the command line
    **{f"--fps {fps}": Case(_capture(_keep, "--fps", fps), "--fps")
       for fps in ("0", "nan", "inf", "-5", "1e-9", "1e9")},
    **{f"--smoothness {s}": Case(_capture(_keep, "--smoothness", s), "smoothness")
       for s in ("-1", "nan", "inf")},
    **{f"--people {n}": Case(_capture(_keep, "--people", n), "--people") for n in ("0", "-1")},
    **{f"--min-views {n}": Case(_capture(_keep, "--min-views", n), "views")
       for n in ("9", "1", "0", "-3")},
    "--grid 0x9 of many videos": Case(_capture(_keep, "--grid", "0x9"), "such as 2x2"),
    "--workers 0": Case(_capture(_keep, "--workers", "0"), "workers"),
    **{f"out is the session's {part}": Case(_out_inside(part), "outside of the session")
       for part in ("calibration", "keypoints/out")},
    # other verbs
    "audio only": Case(_videos(_audio_only), "picture stream"),
    "crops of no pixel": Case(
        lambda f: ["crop", str(make_video(f / "a.mp4", 2, (16, 16))), "--out", str(f / "out"),
                   "--grid", "9x9"], "2 to 16384 pixels"
    ),
    "reconstruct nobody": Case(_points(lambda p: p * torch.nan), "person"),
    "reconstruct one camera's person": Case(
        _points(lambda p: torch.cat((p[:1], p[1:] * torch.nan))), "person"
    ),
    "reconstruct infinity": Case(_points(lambda p: p * torch.inf), "k.npz"),
    "reconstruct no frames": Case(_points(lambda p: p[:, :0]), "k.npz"),
    "reconstruct to an unknown file": Case(
        lambda f: ["reconstruct", "k.npz", "c.yaml", "--out", str(f / "a.xyz")], ".xyz"
    ),
    "solve to an unknown file": Case(_solve("--out", "a.xyz"), ".xyz"),
    "solve a cloud of points": Case(_solve(), "hips"),
    "solve without reason": Case(_solve("--smoothness", "nan"), "smoothness"),
    # motion files
    "BVH empty": Case(_file("a.bvh", "", *TO_TRC), "a.bvh"),
    "BVH without motion": Case(_file("a.bvh", BVH.split("MOTION")[0], *TO_TRC), "MOTION"),
    "BVH frame count lies": Case(
        _file("a.bvh", BVH.replace("Frames: 2", "Frames: 3"), *TO_TRC), "3"
    ),
    "BVH NaN": Case(_file("a.bvh", BVH.replace("0 91", "nan 91"), *TO_TRC), "a.bvh"),
    "BVH text": Case(_file("a.bvh", BVH.replace("0 91", "zero 91"), *TO_TRC), "a.bvh"),
    "BVH no time": Case(_file("a.bvh", BVH.replace("0.0333333", "0"), *TO_TRC), "a.bvh"),
    "BVH unknown channel": Case(
        _file("a.bvh", BVH.replace("3 Zrotation", "3 Wrotation"), *TO_TRC), "Wrotation"
    ),
    "GLB empty": Case(_file("a.glb", b"", *TO_BVH), "a.glb"),
    "GLB of noise": Case(_file("a.glb", b"glTF" + bytes(range(200)), *TO_BVH), "a.glb"),
    "C3D of text": Case(_file("a.c3d", "hello" * 200, *TO_TRC), "a.c3d"),
    "C3D empty": Case(_file("a.c3d", b"", *TO_TRC), "a.c3d"),
    "TRC of text": Case(_file("a.trc", "hello\nworld\n", "solve", "{file}"), "a.trc"),
    "TRC header only": Case(_file("a.trc", TRC, "solve", "{file}"), "a.trc"),
    "unknown format": Case(_file("a.xyz", "x", *TO_BVH), ".xyz"),
    "unknown target": Case(_file("a.bvh", BVH, "convert", "{file}", "{out}.mp3"), ".mp3"),
    "missing file": Case(lambda f: ["convert", str(f / "no.bvh"), str(f / "a.glb")], "no.bvh"),
    "view nothing": Case(lambda f: ["view", str(f / "none"), "--no-browser"], "none"),
    "view an empty folder": Case(lambda f: ["view", str(f), "--no-browser"], "take"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_exit_code_two_nothing_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    arguments = case.break_it(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2
    assert said.startswith("muybridge: ")
    assert "Traceback" not in said
    assert "\n" not in said, f"one line, not {said!r}"
    assert case.names in said
    assert "expected" in said
    assert ";" in said, f"says what to do: {said}"
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    results = [p for p in new if p.parent in (tmp_path / "out", tmp_path) or p.name[0] == "."]
    assert not results, f"left behind {results}"


def test_there_are_at_least_forty_cases() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_is_said_and_leaves_nothing(
    number: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = make_session(tmp_path / "session", frames=8)

    def full(self: Path, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SystemExit) as stop:
        main(["capture", str(session), "--out", str(tmp_path / "out"), "--fps", "30"])
    assert stop.value.code == 2
    assert "full" in capsys.readouterr().err
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
