"""Rigs that no studio has are refused with a hint at the unit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from muybridge.capture.calibrate import CalibrateOptions, calibrate_folder
from muybridge.capture.rig_check import check_rig
from muybridge.errors import InputError
from muybridge.files.calibration import write_calibration
from muybridge.geometry.camera import Cameras
from tests.sessions import cameras_named

RIG = cameras_named(("a", "b", "c"))


def test_a_common_rig_passes() -> None:
    check_rig(RIG, "here")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rig: replace(rig, translation=1000.0 * rig.translation), "--unit mm"),
        (lambda rig: replace(rig, translation=0.001 * rig.translation), "different places"),
        (lambda rig: rig.select([0]), "two or more cameras"),
        (lambda rig: rig.select([0, 0, 1]), "got 0 m between a and a"),
        (lambda rig: replace(rig, matrix=1e9 * rig.matrix), "focal length"),
        (lambda rig: replace(rig, size_px=1e9 * rig.size_px), "focal length"),
    ],
)
def test_others_are_refused(change: Callable[[Cameras], Cameras], says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_rig(change(RIG), "here")


def test_millimetres_can_be_stated(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    write_calibration(path, replace(RIG, translation=1000.0 * RIG.translation))
    with pytest.raises(InputError, match="--unit mm"):
        calibrate_folder(path)
    read = calibrate_folder(path, None, CalibrateOptions(metres_per_unit=0.001)).cameras
    assert float((read.translation - RIG.translation).abs().max()) < 1e-9
