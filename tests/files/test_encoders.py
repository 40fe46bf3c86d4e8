"""Logs of encoders: what is read, and what is refused in one sentence."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.encoders import clip_from_encoders
from muybridge.cli.capture_encoders import capture_encoders
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.encoders import EncoderLog, read_encoders, write_encoder_log
from muybridge.geometry.rotation import identity_quaternion
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton
from tests.motions import damaged

BONES = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.25, 0, 0]], dtype=torch.float64)
ARM = Skeleton(("shoulder", "elbow", "hand"), (-1, 0, 1), BONES)
SUIT: dict[str, Any] = {
    "skeleton": "skeleton.bvh", "unit": "m", "bits": 12, "calibration_s": [0, 0.05],
    "encoders": [
        {"column": "e1", "joint": "shoulder", "axis": "y"},
        {"column": "e2", "joint": "elbow", "axis": [0, 0, 2], "sign": -1, "gear": 0.5, "bits": 14},
        {"column": "e3", "joint": "elbow", "axis": "x", "unit": "deg", "pose_deg": 90},
    ],
}  # fmt: skip
LINES = "time_s,e1,e2,e3,note\n" + "".join(
    f"{0.01 * k:.2f},{100},{200},{5.5},ok\n" for k in range(9)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log, its suit and its skeleton."""
    still = Clip(ARM, identity_quaternion(1, 3), torch.zeros(1, 3).double(), 30.0)
    write_bvh(tmp_path / "skeleton.bvh", still, "m")
    (tmp_path / "suit.json").write_text(json.dumps(SUIT))
    (tmp_path / "suit.csv").write_text(LINES)
    return tmp_path


def test_a_described_suit(folder: Path) -> None:
    log, rig = read_encoders(folder / "suit.csv")
    assert log.columns == ("e1", "e2", "e3")
    assert log.values.shape == (9, 3)
    first, second, third = rig.encoders
    assert (first.per_turn, first.counts, first.joint) == (4096.0, True, 0)
    assert (second.axis, second.gear, second.per_turn) == ((0.0, 0.0, 1.0), -0.5, 16384.0)
    assert second.step == pytest.approx(math.pi / 16384)
    assert (third.per_turn, third.counts, third.pose) == (360.0, False, math.pi / 2)
    assert rig.calibration == (0.0, 0.05)


def test_the_suit_of_the_documentation_reads(folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text()
    suit = page.partition("```json\n")[2].partition("```")[0]
    (folder / "suit.json").write_text(suit)
    (folder / "suit.csv").write_text("time_s,elbow_l,knee_l,wrist_l\n0,1,2,3\n0.1,1,2,3\n")
    names = ("LeftLeg", "LeftForeArm", "LeftHand")
    skeleton = Skeleton(names, ARM.parents, ARM.offsets)
    write_bvh(
        folder / "skeleton.bvh",
        Clip(skeleton, identity_quaternion(1, 3), torch.zeros(1, 3).double(), 30.0),
    )
    _, rig = read_encoders(folder / "suit.csv")
    assert [names[encoder.joint] for encoder in rig.encoders] == [
        "LeftForeArm",
        "LeftLeg",
        "LeftHand",
    ]
    assert (rig.root, rig.fps, rig.encoders[1].gear) == ("feet", 60.0, 0.5)


def test_a_header_that_says_it_all(folder: Path) -> None:
    (folder / "suit.json").unlink()
    head = "Timestamp (ms),shoulder.y [12 bit],elbow Zrotation [deg],elbow:X (rad),hand_x"
    (folder / "suit.csv").write_text(head + "\n0,0,0,0,0\n10,1024,45,0.5,90\n20,1024,45,0.5,90\n")
    log, rig = read_encoders(folder / "suit.csv")
    assert log.seconds.tolist() == pytest.approx([0.0, 0.01, 0.02])
    assert [e.joint for e in rig.encoders] == [0, 1, 1, 2]
    assert [e.per_turn for e in rig.encoders] == [4096.0, 360.0, 2.0 * math.pi, 360.0]
    clip = clip_from_encoders(log, rig).clip
    half = math.sqrt(0.5)
    expected = torch.tensor([0.0, half, 0.0, half], dtype=torch.float64)
    torch.testing.assert_close(clip.rotations[1, 0], expected)


def test_stamps_out_of_order_doubled_or_missing_are_left_out(folder: Path) -> None:
    stamps = ["0.00", "0.01", "0.01", "0.005", "", "0.02", "soon", "0.03", "0.04", "0.05", "0.06"]
    rows = "".join(f"{stamp},{k},0,0\n" for k, stamp in enumerate(stamps))
    (folder / "suit.csv").write_text("time_s,e1,e2,e3\n" + rows)
    log, _ = read_encoders(folder / "suit.csv")
    assert log.seconds.tolist() == [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert log.values[:, 0].tolist() == [0, 1, 5, 7, 8, 9, 10]
    assert log.dropped == 4


def test_empty_and_foreign_cells_are_missing(folder: Path) -> None:
    (folder / "suit.csv").write_text("time_s,e1,e2,e3\n0,1,,--\n0.1,2,nan,inf\n0.2,3\n")
    values = read_encoders(folder / "suit.csv")[0].values
    assert values[:, 0].tolist() == [1, 2, 3]
    assert bool(values[:, 1:].isnan().all())


def test_a_log_survives_writing(folder: Path) -> None:
    log, _ = read_encoders(folder / "suit.csv")
    values = log.values.clone()
    values[3, 1] = torch.nan
    write_encoder_log(folder / "suit.csv", EncoderLog(log.columns, log.seconds, values))
    again, _ = read_encoders(folder / "suit.csv")
    torch.testing.assert_close(again.values, values, equal_nan=True)
    torch.testing.assert_close(again.seconds, log.seconds)


def test_the_command_writes_the_motion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture_encoders(folder / "suit.csv", folder / "out.bvh")
    said = " ".join(capsys.readouterr().out.split())
    assert "3 encoders on 2 joints, 9 samples -> 9 frames at 100.00/s" in said
    clip = read_bvh(folder / "out.bvh").clip
    right_angle = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]).double()
    torch.testing.assert_close(clip.rotations[4, 1], right_angle, atol=1e-6, rtol=0)
    with pytest.raises(InputError, match="another file than the wearer's skeleton"):
        capture_encoders(folder / "suit.csv", folder / "skeleton.bvh")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"bit": 12}, "'bit'"),
    "no encoders": ({"encoders": []}, "list of encoders"),
    "encoders in words": ({"encoders": "three"}, "list of encoders"),
    "absent column": ({"encoders": [{"column": "e9", "joint": "elbow", "axis": "x"}]}, "'e9'"),
    "absent joint": ({"encoders": [{"column": "e1", "joint": "knee", "axis": "x"}]}, "'knee'"),
    "no joint": ({"encoders": [{"column": "e1", "axis": "x"}]}, "joint"),
    "bad axis": ({"encoders": [{"column": "e1", "joint": "elbow", "axis": "w"}]}, "'w'"),
    "zero axis": ({"encoders": [{"column": "e1", "joint": "elbow", "axis": [0, 0, 0]}]}, "axis"),
    "doubled column": ({"encoders": [{"column": "e1", "joint": "elbow", "axis": "x"}] * 2}, "two"),
    "zero gear": (
        {"encoders": [{"column": "e1", "joint": "elbow", "axis": "x", "gear": 0}]}, "gear"
    ),
    "no bits": ({"bits": 0}, "'0 bit'"),
    "too many bits": ({"bits": 99}, "'99 bit'"),
    "span backwards": ({"calibration_s": [2, 1]}, "later end"),
    "span of one": ({"calibration_s": [2]}, "two numbers"),
    "zero fps": ({"fps": 0}, "fps"),
    "fps in words": ({"fps": "fast"}, "'fast'"),
    "true as fps": ({"fps": True}, "fps"),
    "unknown root": ({"root": "hands"}, "'hands'"),
    "unknown unit": ({"unit": "feet"}, "feet"),
    "absent skeleton": ({"skeleton": "other.bvh"}, r"other\.bvh"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_wrong_descriptions_get_one_sentence(
    folder: Path, case: tuple[dict[str, Any], str]
) -> None:
    (folder / "suit.json").write_text(json.dumps(SUIT | case[0]))
    with pytest.raises(InputError, match=case[1]) as raised:
        read_encoders(folder / "suit.csv")
    assert "\n" not in str(raised.value)


LOGS = {
    "empty": ("", "empty"),
    "no time": ("e1,e2,e3\n1,2,3\n", "time_s"),
    "no encoder": ("time_s\n0\n1\n2\n", "time_s"),
    "doubled column": ("time_s,e1,e1\n0,1,2\n1,1,2\n", "twice"),
    "no samples": ("time_s,e1,e2,e3\n", "two samples"),
    "one sample": ("time_s,e1,e2,e3\n0,1,2,3\n", "two samples"),
    "time stands still": ("time_s,e1,e2,e3\n" + "0,1,2,3\n" * 5, "increase"),
    "unknown unit of time": ("time [min],e1,e2,e3\n0,1,2,3\n1,1,2,3\n", "s, ms or us"),
}


@pytest.mark.parametrize("case", LOGS.values(), ids=LOGS.keys())
def test_wrong_logs_get_one_sentence(folder: Path, case: tuple[str, str]) -> None:
    (folder / "suit.csv").write_text(case[0])
    with pytest.raises(InputError, match=case[1]) as raised:
        capture_encoders(folder / "suit.csv", folder / "out.bvh")
    assert "\n" not in str(raised.value)
    assert not (folder / "out.bvh").exists()


def test_a_log_alone_is_not_enough(folder: Path) -> None:
    (folder / "suit.json").unlink()
    with pytest.raises(InputError, match=r"'LeftForeArm\.z"):
        read_encoders(folder / "suit.csv")
    (folder / "skeleton.bvh").unlink()
    with pytest.raises(InputError, match="found neither"):
        read_encoders(folder / "suit.csv")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_read_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    still = Clip(ARM, identity_quaternion(1, 3), torch.zeros(1, 3).double(), 30.0)
    write_bvh(folder / "skeleton.bvh", still, "m")
    content = {"suit.csv": LINES.encode(), "suit.json": json.dumps(SUIT).encode()}
    spoilt = data.draw(st.sampled_from(sorted(content)))
    content[spoilt] = data.draw(damaged(content[spoilt], b'{}[],:"0129.-e \n\0\xff'))
    for name, raw in content.items():
        (folder / name).write_bytes(raw)
    try:
        clip = clip_from_encoders(*read_encoders(folder / "suit.csv")).clip
    except InputError:
        return
    assert bool(clip.rotations.isfinite().all())
