"""OpenCV's storage files: what OpenCV writes is read, what is damaged is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from muybridge.errors import InputError
from muybridge.files.opencv_storage import read_storage, shown

VALUES = {
    "camera_matrix": np.array([[1234.5, 0.0, 640.0], [0.0, -1.2e-7, 1e10], [0.0, 0.0, 1.0]]),
    "D": np.array([[-0.25, 0.1, 1e-4, -2e-4, 0.0]]),
    "points": np.arange(24, dtype=np.float32).reshape(12, 2),
}


@pytest.mark.parametrize("suffix", ["yaml", "xml"])
def test_what_opencv_writes_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"stereo.{suffix}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in VALUES.items():
        storage.write(name, value)
    storage.write("rms", 0.25)
    storage.write("width", 1920)
    storage.write("camera_name", "left of the door")
    storage.release()
    found = read_storage(path.read_text(), path)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].shape == value.shape
    assert found["rms"].tolist() == [0.25]
    assert found["width"].tolist() == [1920.0]
    assert "camera_name" not in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<opencv_storage><K>", "OpenCV's XML"),
        (
            "<opencv_storage><K type_id='opencv-matrix'><rows>2</rows><cols>2</cols>"
            "<data>1 2 3</data></K></opencv_storage>",
            "2 x 2 numbers as K",
        ),
        ("K: !!opencv-matrix\n   rows: 1\n   cols: 2\n   dt: d\n   data: [ 1., x ]\n", "1 x 2"),
        ("K: !!opencv-matrix\n   rows: 9\n   cols: 2\n   dt: d\n   data: [ 1., 2. ]\n", "9 x 2"),
    ],
)
def test_damage_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_storage(text, Path("bad.yaml"))


def test_wrong_values_are_shown_short_and_on_one_line() -> None:
    said = shown("a\n" * 500)
    assert len(said) <= 62
    assert "\n" not in said
