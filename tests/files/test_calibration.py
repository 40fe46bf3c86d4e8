"""Calibration files: real ones, round trips, tolerant names, and everything that can be wrong."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.errors import InputError
from muybridge.files.calibration import match_cameras, read_calibration, write_calibration
from muybridge.geometry.camera import Cameras
from tests.demo import demo_folder, demo_trial

DATA = Path(__file__).parents[2] / "../shared/data"
FIELDS = ("size_px", "matrix", "distortion", "rotation", "translation")


def _rig(count: int = 2, seed: int = 0) -> Cameras:
    random = np.random.default_rng(seed)
    focal = random.uniform(500, 2000, count)
    matrix = np.zeros((count, 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = focal, focal * 1.003, 1.0
    matrix[:, :2, 2] = random.uniform(200, 900, (count, 2))
    return Cameras(
        tuple(f"cam{i + 1}" for i in range(count)),
        torch.tensor(random.integers(100, 4000, (count, 2)).astype(float)),
        torch.tensor(matrix),
        torch.tensor(random.normal(size=(count, 5)) * 0.1),
        torch.tensor(Rotation.random(count, random_state=seed).as_matrix()),
        torch.tensor(random.normal(size=(count, 3)) * 3.0),
    )


@pytest.fixture
def qualisys() -> Path:
    return demo_folder() / "S00_Calibration" / "Calib.qca.txt"


# -- real files -----------------------------------------------------------------------------------


def test_qualisys_cameras_see_the_reference_motion_where_openpose_did(qualisys: Path) -> None:
    """The right hip of Pose2Sim's own result, projected; camera 3 is known to be biased."""
    trc = DATA / "footage/Demo_0-100.trc"
    if not trc.exists():
        pytest.skip("../shared/data/footage is absent")
    cameras = read_calibration(qualisys)
    assert cameras.names == ("cam_01", "cam_02", "cam_03", "cam_04")
    assert cameras.size_px.tolist() == [[1088.0, 1920.0]] * 4
    rows = trc.read_text().splitlines()
    names = rows[3].split("\t")[2::3]
    column = 2 + 3 * names.index("RHip")
    point = torch.tensor([float(x) for x in rows[5].split("\t")[column : column + 3]]).double()
    projected = cameras.project(point[None])[:, 0]
    pose = demo_trial() / "pose"
    nearest = []
    for camera in range(4):
        people = json.loads(
            sorted((pose / f"cam0{camera + 1}_json").glob("*.json"))[0].read_text()
        )["people"]
        hips = [torch.tensor(p["pose_keypoints_2d"]).view(-1, 3)[12, :2] for p in people]
        nearest.append(min(float((hip - projected[camera]).norm()) for hip in hips))
    assert np.median(nearest) < 30.0, nearest
    assert max(nearest) < 80.0, nearest


def test_caliscope_rig() -> None:
    path = DATA / "charuco/camera_array.toml"
    if not path.exists():
        pytest.skip("../shared/data/charuco is absent")
    cameras = read_calibration(path)
    assert cameras.names == ("cam_0", "cam_1", "cam_2", "cam_3")
    focal = cameras.matrix[:, 0, 0].round().tolist()
    assert focal == [904.0, 760.0, 651.0, 640.0]
    assert (
        float((cameras.rotation @ cameras.rotation.mT - torch.eye(3).double()).abs().max()) < 1e-6
    )


# -- formats --------------------------------------------------------------------------------------

POSE2SIM = """
[int_cam01_img]
name = "cam01"
size = [ 1088.0, 1920.0]
matrix = [ [ 1681.2, 0.0, 532.9], [ 0.0, 1681.0, 948.1], [ 0.0, 0.0, 1.0]]
distortions = [ -0.046, 0.139, 0.0006, 0.0007]
rotation = [ 0.1, -0.2, 1.5]
translation = [ 0.5, -0.25, 3.5]
fisheye = false

[metadata]
adjusted = false
error = 0.0
"""


def test_pose2sim_toml_turns_z_up_into_y_up(tmp_path: Path) -> None:
    path = tmp_path / "Calib_scene.toml"
    path.write_text(POSE2SIM)
    cameras = read_calibration(path)
    assert cameras.names == ("cam01",)
    assert cameras.distortion[0].tolist() == [-0.046, 0.139, 0.0006, 0.0007, 0.0]
    z_up = np.array([0.3, -0.4, 1.2])
    turn = Rotation.from_rotvec([0.1, -0.2, 1.5]).as_matrix()
    expected = turn @ z_up + [0.5, -0.25, 3.5]
    y_up = torch.tensor(z_up[[1, 2, 0]])
    found = cameras.camera_from_world.apply(y_up.expand(1, 1, 3))[0, 0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_up_and_unit_can_be_overruled(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(POSE2SIM)
    cameras = read_calibration(path, up="y", metres_per_unit=0.001)
    turn = Rotation.from_rotvec([0.1, -0.2, 1.5]).as_matrix()
    np.testing.assert_allclose(cameras.rotation[0].numpy(), turn, atol=1e-12)
    np.testing.assert_allclose(cameras.translation[0].numpy(), [0.0005, -0.00025, 0.0035])


@pytest.mark.parametrize("suffix", [".yml", ".xml"])
def test_opencv_single_camera(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"webcam{suffix}"
    rig = _rig(1)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", rig.matrix[0].numpy())
    storage.write("distortion_coefficients", rig.distortion[0].numpy().reshape(5, 1))
    storage.release()
    cameras = read_calibration(path)
    assert cameras.names == ("webcam",)
    assert cameras.size_px.tolist() == [[640.0, 480.0]]
    assert torch.equal(cameras.matrix, rig.matrix)
    assert torch.equal(cameras.distortion, rig.distortion)
    assert cameras.rotation[0].diagonal().tolist() == [1.0, -1.0, -1.0]  # y up, looking along -z


@pytest.mark.parametrize("split", [False, True])
def test_opencv_stereo_pair(tmp_path: Path, split: bool) -> None:
    """R and T take points of the first camera to the second; the sample writes them apart."""
    rig = _rig(2, seed=3)
    path = tmp_path / "intrinsics.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    for i in (0, 1):
        storage.write(f"M{i + 1}", rig.matrix[i].numpy())
        storage.write(f"D{i + 1}", rig.distortion[i].numpy().reshape(1, 5))
    if split:
        storage.release()
        storage = cv2.FileStorage(str(tmp_path / "extrinsics.yml"), cv2.FILE_STORAGE_WRITE)
    storage.write("R", rig.rotation[1].numpy())
    storage.write("T", rig.translation[1].numpy().reshape(3, 1))
    storage.release()
    cameras = read_calibration(path)
    points = torch.tensor([[0.3, -0.2, -2.0]]).double()  # y up: in front of the first camera
    first, second = cameras.camera_from_world.apply(points.expand(2, 1, 3))[:, 0]
    assert first.tolist() == pytest.approx([0.3, 0.2, 2.0])
    torch.testing.assert_close(second, rig.rotation[1] @ first + rig.translation[1])


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ours_comes_back_to_the_last_bit(tmp_path: Path, seed: int, count: int) -> None:
    path = tmp_path / "calibration.yaml"
    rig = _rig(count, seed)
    write_calibration(path, rig)
    back = read_calibration(path)
    assert back.names == rig.names
    for field in FIELDS:
        assert torch.equal(getattr(back, field), getattr(rig, field)), field


def test_ours_is_read_by_opencv_too(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    rig = _rig(2)
    write_calibration(path, rig)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    second = storage.getNode("cameras").at(1)
    assert second.getNode("name").string() == "cam2"
    assert second.getNode("matrix").at(0).at(0).real() == float(rig.matrix[1, 0, 0])


def test_ours_may_carry_comments_and_tiny_numbers(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    rig = _rig(1)
    rig.distortion[0, 4] = 1e-7
    write_calibration(path, rig)
    edited = path.read_text().replace("    translation:", "    # moved by hand\n    translation:")
    path.write_text(edited.replace("]\n", "]  # looked at\n"))
    assert torch.equal(read_calibration(path).distortion, rig.distortion)


# -- names ----------------------------------------------------------------------------------------


def test_names_match_whatever_the_separators() -> None:
    rig = _rig(3)
    found = match_cameras(rig, ["Cam_03", "CAM-1"])
    assert found.names == ("Cam_03", "CAM-1")
    assert torch.equal(found.matrix, rig.matrix[[2, 0]])


@pytest.mark.parametrize(
    ("names", "message"),
    [(["cam7"], "got none among cam1"), (["cam1", "cam_01"], "for two of them")],
)
def test_names_that_do_not_fit_are_named(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        match_cameras(_rig(2), names)


def test_cameras_that_cannot_be_told_apart_need_the_exact_name() -> None:
    rig = _rig(2)
    twins = Cameras(("cam1", "cam_1"), *(getattr(rig, field) for field in FIELDS))
    assert torch.equal(match_cameras(twins, ["cam_1"]).matrix, rig.matrix[1:])
    with pytest.raises(InputError, match="cam1, cam_1"):
        match_cameras(twins, ["CAM1"])


# -- what can be wrong ----------------------------------------------------------------------------

BROKEN_TOML = {
    "a NaN": ("532.9", "nan", "finite numbers as matrix"),
    "text for a number": ("1681.2", '"wide"', "finite numbers as matrix"),
    "a missing key": ("translation", "transition", "expected translation"),
    "no focal length": ("1681.2", "0.0", "positive size and focal length"),
    "a negative size": ("1088.0", "-1088.0", "positive size and focal length"),
    "a matrix that is no rotation": (
        "[ 0.1, -0.2, 1.5]",
        "[[1.0,0.0,0.0],[0.0,2.0,0.0],[0.0,0.0,1.0]]",
        "bends or mirrors",
    ),
    "a mirror": (
        "[ 0.1, -0.2, 1.5]",
        "[[1.0,0.0,0.0],[0.0,1.0,0.0],[0.0,0.0,-1.0]]",
        "bends or mirrors",
    ),
    "a fisheye": ("fisheye = false", "fisheye = true", "got a fisheye"),
    "the rational model": ("0.0007]", "0.0007, 0.0, 0.1, 0.2, 0.3]", "up to five distortion"),
    "broken TOML": ("]", "", "expected TOML"),
    "no camera": ("[int_cam01_img]", "[metadata.x]", "expected cameras"),
}


@pytest.mark.parametrize("case", BROKEN_TOML)
def test_broken_toml_is_one_clear_sentence(tmp_path: Path, case: str) -> None:
    old, new, message = BROKEN_TOML[case]
    text = POSE2SIM.split("[metadata]")[0] if case == "no camera" else POSE2SIM
    assert old in text
    path = tmp_path / "calib.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        read_calibration(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"\xff\xfe\x00", "expected text"),
        (b"hello", "neither Qualisys"),
        (b"<calibration><cameras>", "expected Qualisys XML"),
        (b"<calibration></calibration>", "expected cameras"),
        (b"<c><camera serial='a'/></c>", "camera a"),
        (b"%YAML:1.0\n---\na: 1\n", "expected camera_matrix"),
        (b"%YAML 1.0\nformat: muybridge-calibration\ncameras:\n", "expected cameras"),
        (b"format: muybridge-calibration\n  - name: 3 4\n", "name in quotes"),
        (b'format: muybridge-calibration\n  - name: "a"\n', "expected size_px"),
        (b"format: muybridge-calibration\nnonsense\n", "'key: value' in line 2"),
    ],
)
def test_other_broken_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "calibration"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_calibration(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no file"):
        read_calibration(tmp_path / "none.toml")
    with pytest.raises(InputError, match="found no file"):
        read_calibration(tmp_path)


def test_doubled_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    rig = _rig(2)
    write_calibration(path, Cameras(("a", "a"), *(getattr(rig, field) for field in FIELDS)))
    with pytest.raises(InputError, match="different camera names"):
        read_calibration(path)


def _whole_files(tmp_path: Path) -> list[bytes]:
    ours = tmp_path / "ours.yaml"
    write_calibration(ours, _rig(1))
    qualisys = b"""<calibration><cameras><camera serial="c1"><fov_video bottom="9" left="0"
    right="9" top="0"/><transform r11="1" r12="0" r13="0" r21="0" r22="1" r23="0" r31="0" r32="0"
    r33="1" x="1" y="2" z="3"/><intrinsic centerPointU="5" centerPointV="5" focalLengthU="9"
    focalLengthV="9" radialDistortion1="0" radialDistortion2="0" radialDistortion3="0"
    tangentalDistortion1="0" tangentalDistortion2="0"/></camera></cameras></calibration>"""
    opencv = []
    for suffix in (".yml", ".xml"):
        path = tmp_path / f"opencv{suffix}"
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("image_width", 640)
        storage.write("image_height", 480)
        storage.write("camera_matrix", _rig(1).matrix[0].numpy())
        storage.write("distortion_coefficients", np.zeros((5, 1)))
        storage.release()
        opencv.append(path.read_bytes())
    return [ours.read_bytes(), POSE2SIM.encode(), qualisys, *opencv]


@given(st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_never_give_anything_but_cameras_or_a_sentence(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Cut, overwrite and insert: the reader returns finite cameras or raises InputError."""
    content = bytearray(data.draw(st.sampled_from(_whole_files(tmp_path))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=4),
                st.sampled_from([b"nan", b"1e999", b"[", b"]", b'"', b"-", b"\n", b"{}", b"<"]),
            )
        )
        content[at : at + data.draw(st.integers(0, 5))] = piece
    path = tmp_path / "damaged.toml"
    path.write_bytes(bytes(content))
    try:
        cameras = read_calibration(path)
    except InputError as error:
        message = str(error)
        event(message.split(" ")[1])
        assert len(message.splitlines()) == 1
        return
    for field in FIELDS:
        assert bool(getattr(cameras, field).isfinite().all()), field
