"""Logs of inertial sensors: round trip, what is wrong in one sentence, damaged files."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from muybridge.errors import InputError
from muybridge.files.imu import (
    GRAVITY,
    ImuLog,
    Series,
    read_imu_folder,
    read_imu_log,
    write_imu_log,
)
from tests.motions import damaged

RECORDED = Path(__file__).parents[2] / "../shared/data/imu"
HEAD = (
    "Timestamp (us),Gyroscope X (deg/s),Gyroscope Y (deg/s),Gyroscope Z (deg/s),"
    "Accelerometer X (g),Accelerometer Y (g),Accelerometer Z (g)"
)


def log(count: int = 20) -> ImuLog:
    generator = torch.Generator().manual_seed(0)
    seconds = 9.0 + 0.02 * torch.arange(count).double()

    def values(columns: int) -> torch.Tensor:
        return torch.randn(count, columns, generator=generator, dtype=torch.float64)

    turns = torch.nn.functional.normalize(values(4), dim=-1)
    return ImuLog(
        "pelvis", Series(seconds, values(6)), Series(seconds, values(3)), Series(seconds, turns)
    )


def table(rows: int = 20, head: str = HEAD) -> str:
    lines = [f"{20_000 * k},1,2,3,0,0,1" for k in range(rows)]
    return "\n".join([head, *lines]) + "\n"


def place(folder: Path, text: str, name: str = "Inertial.csv") -> Path:
    (folder / "pelvis").mkdir(exist_ok=True)
    (folder / "pelvis" / name).write_text(text)
    return folder / "pelvis"


def test_a_log_comes_back(tmp_path: Path) -> None:
    one = log()
    write_imu_log(tmp_path / "pelvis", one)
    (two,) = read_imu_folder(tmp_path)
    assert two.name == "pelvis"
    for a, b in ((one.inertial, two.inertial), (one.magnetic, two.magnetic)):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a.seconds, b.seconds, atol=1e-6, rtol=0.0)
        torch.testing.assert_close(a.values, b.values, atol=1e-5, rtol=0.0)
    assert one.orientation is not None
    assert two.orientation is not None
    torch.testing.assert_close(one.orientation.values, two.orientation.values, atol=2e-6, rtol=0.0)


def test_units_become_si(tmp_path: Path) -> None:
    values = read_imu_log(place(tmp_path, table())).inertial
    torch.testing.assert_close(
        values.values[0, :3], torch.tensor([1.0, 2, 3]).double() * math.pi / 180
    )
    assert float(values.values[0, 5]) == pytest.approx(GRAVITY)
    assert float(values.seconds[1]) == pytest.approx(0.02)
    metric = HEAD.replace("deg/s", "rad/s").replace("(g)", "(m/s^2)").replace("(us)", "(ms)")
    values = read_imu_log(place(tmp_path, table(head=metric))).inertial
    torch.testing.assert_close(values.values[0], torch.tensor([1.0, 2, 3, 0, 0, 1]).double())
    assert float(values.seconds[1]) == pytest.approx(20.0)


def test_cells_without_a_number_are_nan_and_rows_may_be_short(tmp_path: Path) -> None:
    lines = table().splitlines()
    lines[3] = "40000,1,,nan,0,0,1"
    lines[5] = "80000,1,2"
    lines[6] = ""
    read = read_imu_log(place(tmp_path, "\r\n".join(lines))).inertial
    assert read.values[2].isnan().tolist() == [False, True, True, False, False, False]
    assert read.values[4].isnan().tolist() == [False, False, True, True, True, True]
    assert len(read.seconds) == 19


def test_repeated_and_backward_stamps_are_dropped_and_counted(tmp_path: Path) -> None:
    lines = table().splitlines()
    lines.insert(5, lines[4])
    lines.insert(9, lines[2])
    read = read_imu_log(place(tmp_path, "\n".join(lines))).inertial
    assert read.dropped == 2
    assert len(read.seconds) == 20
    assert bool((read.seconds[1:] > read.seconds[:-1]).all())


def test_columns_may_stand_in_any_order_and_have_company(tmp_path: Path) -> None:
    head = HEAD.split(",")
    order = [0, 4, 6, 5, 3, 2, 1]
    rows = [",".join(str(v) for v in (20_000 * k, 0, 1, 0, 3, 2, 1)) + ",17" for k in range(12)]
    text = "\n".join([",".join([head[i] for i in order] + ["Temperature (C)"]), *rows])
    read = read_imu_log(place(tmp_path, text)).inertial
    torch.testing.assert_close(read.values[0, 5], torch.tensor(GRAVITY).double())
    assert float(read.values[0, 2]) == pytest.approx(math.radians(3.0))


WRONG = {
    "no header": ("1,2,3\n4,5,6\n", "first line"),
    "no unit": (table(head=HEAD.replace(" (deg/s)", "")), "unit of the gyroscope"),
    "unknown unit": (table(head=HEAD.replace("(g)", "(furlong)")), "unit of the accelerometer"),
    "unknown clock": (table(head=HEAD.replace("(us)", "(ticks)")), "unit of the timestamp"),
    "missing axis": (table(head=HEAD.replace("Gyroscope Z", "Gyro W")), "Gyroscope z"),
    "axis twice": (table(head=HEAD.replace("Gyroscope Z", "Gyroscope X")), "got 2"),
    "too many cells": (table() + "1,2,3,4,5,6,7,8\n", "8 in the line"),
    "too short": (table(3), "at least 10 lines"),
    "words": (table(0) + "a,b,c,d,e,f,g\n" * 20, "usable lines"),
    "a clock that stands": (table(0, HEAD) + "\n" + "5,1,2,3,0,0,1\n" * 20, "grow"),
    "empty": ("", "empty"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(kind: str, tmp_path: Path) -> None:
    text, words = WRONG[kind]
    folder = place(tmp_path, text)
    with pytest.raises(InputError, match=words) as caught:
        read_imu_log(folder)
    assert "Inertial.csv" in str(caught.value)
    assert "; " in str(caught.value)


def test_a_folder_without_sensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_imu_folder(tmp_path)
    with pytest.raises(InputError, match="found no folder"):
        read_imu_folder(tmp_path / "absent")
    with pytest.raises(InputError, match="found none"):
        read_imu_log(tmp_path)


def test_quaternions_get_unit_length_and_zeros_are_missing(tmp_path: Path) -> None:
    one = log()
    assert one.orientation is not None
    values = 1.001 * one.orientation.values
    values[4] = 0.0
    write_imu_log(
        tmp_path / "pelvis", replace(one, orientation=replace(one.orientation, values=values))
    )
    read = read_imu_log(tmp_path / "pelvis").orientation
    assert read is not None
    assert bool(read.values[4].isnan().all())
    torch.testing.assert_close(read.values[:4].norm(dim=-1), torch.ones(4).double())
    write_imu_log(
        tmp_path / "pelvis", replace(one, orientation=replace(one.orientation, values=0.0 * values))
    )
    with pytest.raises(InputError, match="length 1"):
        read_imu_log(tmp_path / "pelvis")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damaged(table().encode(), b"0123456789,.-\n eXYZ()"))
def test_damaged_logs_are_read_or_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pelvis").mkdir(exist_ok=True)
    (tmp_path / "pelvis" / "Inertial.csv").write_bytes(content)
    try:
        read = read_imu_log(tmp_path / "pelvis").inertial
    except InputError:
        return
    assert bool((read.seconds[1:] > read.seconds[:-1]).all())
    assert read.values.shape[1] == 6
    assert not bool(read.values.isinf().any())


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded sensors are not in the repository")
def test_the_recorded_sensors_are_read() -> None:
    logs = read_imu_folder(RECORDED)
    assert [len(one.inertial.seconds) for one in logs] == [921, 911, 920, 900, 908, 920, 902]
    for one in logs:
        assert one.magnetic is not None
        assert one.orientation is not None
        assert one.inertial.dropped == 0
        rest = one.inertial.values[:40, 3:].norm(dim=-1).mean()
        assert float(rest) == pytest.approx(GRAVITY, rel=0.01)
