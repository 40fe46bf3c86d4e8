"""`muybridge capture` reads one thing at a time: a session, or another sensor with its options."""

from pathlib import Path

import pytest

from muybridge.cli.capture import Capture
from muybridge.cli.capture_imu import ImuOptions
from muybridge.cli.main import main
from muybridge.cli.sensors import OPTIONS, chosen_sensor
from muybridge.errors import InputError

HERE = Path("x")


@pytest.mark.parametrize(
    ("verb", "sensor"),
    [
        (Capture(HERE), None),
        (Capture(HERE, people=2, fps=30.0), None),
        (Capture(markers=HERE, body="segments"), "markers"),
        (Capture(imu=HERE, imu_options=ImuOptions(pose="T")), "imu"),
        (Capture(depth=HERE, fps=30.0, smoothness=0.5, background=HERE), "depth"),
        (Capture(encoders=HERE, out=HERE), "encoders"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_source_is_chosen(verb: Capture, sensor: str | None) -> None:
    assert chosen_sensor(verb.given()) == sensor


@pytest.mark.parametrize(
    ("verb", "named"),
    [
        (Capture(), "none of them"),
        (Capture(HERE, markers=HERE), "2 of them"),
        (Capture(imu=HERE, depth=HERE), "2 of them"),
        (Capture(markers=HERE, people=2), "got people"),
        (Capture(imu=HERE, fps=3.0, grid="2x2"), "grid"),
        (Capture(HERE, body="person"), "got body"),
        (Capture(HERE, imu_options=ImuOptions(stature=1.6)), "got imu_options"),
        (Capture(encoders=HERE, background=HERE), "got background"),
    ],
    ids=["nothing", "two", "two sensors", "people", "grid", "body", "stature", "background"],
)
def test_what_does_not_belong_together_is_named(verb: Capture, named: str) -> None:
    with pytest.raises(InputError, match=named):
        chosen_sensor(verb.given())


@pytest.mark.parametrize("sensor", sorted(OPTIONS))
def test_a_source_that_is_not_there_is_one_sentence(
    sensor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.bvh"
    with pytest.raises(SystemExit) as ended:
        main(["capture", f"--{sensor}", str(tmp_path / "gone.c3d"), "--out", str(out)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("muybridge: expected")
    assert "gone" in said
    assert not out.exists()
