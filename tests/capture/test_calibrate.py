"""The calibrate stage over folders: what it finds, what it uses, what it refuses."""

import os
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from muybridge.capture.board import Board
from muybridge.capture.board_pictures import picture_instants
from muybridge.capture.calibrate import CalibrateOptions, calibrate_folder
from muybridge.capture.calibration_folder import open_calibration_folder, read_scene
from muybridge.errors import InputError
from muybridge.files.calibration import write_calibration
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from tests.board_rig import arc, posed, poses
from tests.demo import demo_cameras, demo_folder
from tests.render_board import render_board

CHESSBOARDS = Path(__file__).parents[2] / "../shared/data/chessboards"
SMALL = Board("chessboard", 5, 4, 0.10)
BOARD_TOML = 'kind = "chessboard"\ncolumns = 5\nrows = 4\nsquare_mm = 100\n'


def rig():
    """Two cameras with small pictures."""
    return arc(2, (320, 240), spread_deg=40.0)


def picture(cameras, camera: int, world_from_board: Rigid, instant: int) -> np.ndarray:
    pose = Rigid(world_from_board.rotation[instant], world_from_board.translation[instant])
    return render_board(SMALL, cameras, camera, pose, blur_px=0.5, noise=1.0, seed=instant)


def write_pictures(folder: Path, cameras, world_from_board: Rigid, layout: str = "{name}/{i}.png"):
    """Board pictures of every camera and instant."""
    for c, name in enumerate(cameras.names):
        for i in range(len(world_from_board.translation)):
            path = folder / layout.format(name=name, i=f"{i:02d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture(cameras, c, world_from_board, i))


@pytest.fixture(scope="module")
def boards(tmp_path_factory) -> Path:
    """A folder with board pictures of two cameras, one folder each."""
    folder = tmp_path_factory.mktemp("boards")
    write_pictures(folder, rig(), poses(7, SMALL, seed=2))
    (folder / "board.toml").write_text(BOARD_TOML)
    return folder


def linked(source: Path, target: Path) -> Path:
    """The same files at another place, to be changed."""
    for path in source.rglob("*"):
        if path.is_file():
            new = target / path.relative_to(source)
            new.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, new)
    return target


def distance(cameras) -> float:
    return float((cameras.centres_world[1] - cameras.centres_world[0]).norm())


# -- boards ---------------------------------------------------------------------------------------


def test_board_pictures_give_the_rig(boards) -> None:
    seen: list[tuple[int, int]] = []
    result = calibrate_folder(boards, None, None, lambda done, total: seen.append((done, total)))
    assert result.cameras.names == ("cam1", "cam2")
    assert result.rms_px is not None
    assert result.rms_px < 0.2
    assert distance(result.cameras) == pytest.approx(distance(rig()), rel=0.02)
    assert seen == [(i + 1, 14) for i in range(14)]
    row = result.table[1]
    assert (row.name, row.size_px, row.views) == ("cam2", (320, 240), 7)
    assert row.focal_sigma_px is not None
    assert row.focal_px == pytest.approx(float(rig().matrix[1, 0, 0]), rel=0.03)
    assert any("Up was guessed" in f.sentence for f in result.findings)


def test_names_are_taken_over_tolerantly_and_in_order(boards) -> None:
    result = calibrate_folder(boards, ["Cam_02", "cam-1"])
    assert result.cameras.names == ("Cam_02", "cam-1")
    assert float(result.cameras.matrix[0, 0, 0]) > float(result.cameras.matrix[1, 0, 0])


def test_the_world_stands_on_the_board_that_lay_on_the_floor(boards) -> None:
    options = CalibrateOptions(floor_instant="3")
    result = calibrate_folder(boards, None, options)
    assert any("where the board lay" in f.sentence for f in result.findings)
    assert bool((result.cameras.centres_world[:, 1] > 0.5).all())
    with pytest.raises(InputError, match="at instant 99, got it at 0, 1, 2"):
        calibrate_folder(boards, None, CalibrateOptions(floor_instant="99"))


def test_intrinsics_and_extrinsics_apart(boards, tmp_path) -> None:
    """Pose2Sim's layout; the one extrinsic picture shows the board lying on the floor."""
    linked(boards, tmp_path / "intrinsics")
    (tmp_path / "intrinsics" / "board.toml").rename(tmp_path / "board.toml")
    for name in ("cam1", "cam2"):
        (tmp_path / "intrinsics" / name).rename(tmp_path / "intrinsics" / f"int_{name}_img")
    lying = posed(torch.tensor([[-torch.pi / 2, 0.0, 0.0]]), torch.zeros(1, 3), SMALL)
    above = arc(2, (320, 240), spread_deg=40.0, raised=1.6)
    write_pictures(tmp_path / "extrinsics", above, lying, "ext_{name}_img/{name}_ext.png")
    result = calibrate_folder(tmp_path, ["cam1", "cam2"])
    assert result.rig is not None
    assert len(result.rig.instants) == 1
    assert distance(result.cameras) == pytest.approx(distance(above), rel=0.03)
    assert any("where the board lay" in f.sentence for f in result.findings)
    heights = result.cameras.centres_world[:, 1]
    torch.testing.assert_close(heights, above.centres_world[:, 1], rtol=0.03, atol=0.0)


def test_films_are_matched_by_frame_and_delays_are_looked_for(tmp_path) -> None:
    cameras = rig()
    wave = torch.arange(14, dtype=torch.float64)[:, None]
    turn = 0.45 * torch.sin(
        wave * torch.tensor([[0.5, 0.37, 0.6]]) + torch.tensor([[0.3, 1.7, 0.9]])
    )
    world = posed(turn, 0.2 * torch.sin(wave * torch.tensor([[0.4, 0.6, 0.5]])), SMALL)
    for c, name in enumerate(cameras.names):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.bit_rate = 4_000_000
            for i in range(14):
                grey = picture(cameras, c, world, i)
                frame = av.VideoFrame.from_ndarray(np.stack([grey] * 3, -1), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    (tmp_path / "board.toml").write_text(BOARD_TOML)
    result = calibrate_folder(tmp_path)
    assert result.rig is not None
    assert abs(float(result.rig.delay_frames[1])) < 0.1
    assert distance(result.cameras) == pytest.approx(distance(cameras), rel=0.03)


def test_pictures_of_pairs_in_one_folder_reach_the_rms_of_the_issue() -> None:
    """left01.jpg, right01.jpg, ...: 0.21 px (0.444 with OpenCV's usual window)."""
    if not CHESSBOARDS.is_dir():
        pytest.skip(f"no pictures in {CHESSBOARDS}")
    options = CalibrateOptions(board=Board("chessboard", 9, 6, 1.0))
    result = calibrate_folder(CHESSBOARDS, None, options)
    assert result.cameras.names == ("left", "right")
    assert result.rms_px is not None
    assert result.rms_px <= 0.21


def test_a_board_that_is_not_described_is_found_but_has_no_size(boards, tmp_path) -> None:
    linked(boards, tmp_path)
    (tmp_path / "board.toml").unlink()
    with pytest.raises(InputError, match="size of the board's squares, found a chessboard"):
        calibrate_folder(tmp_path)


def test_a_wrong_description_is_corrected_and_said(boards, tmp_path) -> None:
    linked(boards, tmp_path)
    (tmp_path / "board.toml").unlink()
    swapped = BOARD_TOML.replace("columns = 5", "columns = 6").replace("rows = 4", "rows = 5")
    (tmp_path / "board.toml").write_text(swapped)
    result = calibrate_folder(tmp_path)
    assert distance(result.cameras) == pytest.approx(distance(rig()), rel=0.02)
    assert any(f.severity == "warning" and "board" in f.sentence for f in result.findings)


@pytest.mark.parametrize(
    ("names", "instants"),
    [
        (["cam03_ext.png"], ["0"]),
        (["left01.jpg", "left02.jpg"], ["1", "2"]),
        (["cam02_01_int.jpg", "cam02_07_int.jpg"], ["1", "7"]),
        (["shot01_cam3.png", "shot02_cam3.png"], ["1", "2"]),
        (["front.png", "back.png"], ["front", "back"]),
    ],
)
def test_instants_of_pictures_come_from_their_names(names, instants) -> None:
    assert [name for name, _ in picture_instants([Path(n) for n in names])] == instants


# -- what is refused ------------------------------------------------------------------------------


def test_board_never_seen_names_the_camera(boards, tmp_path) -> None:
    linked(boards, tmp_path)
    for path in (tmp_path / "cam2").iterdir():
        path.unlink()
        cv2.imwrite(str(path), np.full((240, 320), 90, np.uint8))
    with pytest.raises(InputError, match="of cam2"):
        calibrate_folder(tmp_path)


def test_one_camera_is_not_enough(boards, tmp_path) -> None:
    linked(boards / "cam1", tmp_path / "cam1")
    (tmp_path / "board.toml").write_text(BOARD_TOML)
    with pytest.raises(InputError, match="got only cam1"):
        calibrate_folder(tmp_path)


def test_boards_of_other_cameras_are_refused(boards) -> None:
    with pytest.raises(InputError, match="got none of cam7"):
        calibrate_folder(boards, ["cam1", "cam7"])


@pytest.mark.parametrize("content", [{}, {"notes.md": "hello"}, {"sub/readme": "hello"}])
def test_folders_with_nothing_of_use(tmp_path, content) -> None:
    for name, text in content.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.raises(InputError, match="nothing of use"):
        calibrate_folder(tmp_path)


def test_a_missing_folder(tmp_path) -> None:
    with pytest.raises(InputError, match="found none at"):
        calibrate_folder(tmp_path / "absent")


def test_a_picture_that_is_none(boards, tmp_path) -> None:
    linked(boards, tmp_path)
    path = tmp_path / "cam1" / "03.png"
    path.unlink()
    path.write_text("no picture")
    with pytest.raises(InputError, match=r"03\.png"):
        calibrate_folder(tmp_path)


# -- ready files ----------------------------------------------------------------------------------


def test_a_ready_file_is_taken_and_its_lenses_checked(boards, tmp_path) -> None:
    linked(boards, tmp_path)
    write_calibration(tmp_path / "calibration.yaml", rig())
    result = calibrate_folder(tmp_path, ["cam1", "cam2"])
    assert result.rms_px is None
    torch.testing.assert_close(result.cameras.matrix, rig().matrix)
    said = [f for f in result.findings if "agree with the calibration file" in f.sentence]
    assert [f.camera for f in said] == ["cam1", "cam2"]


def test_a_lens_that_disagrees_with_the_file_is_named(boards, tmp_path) -> None:
    linked(boards, tmp_path)
    matrix = rig().matrix.clone()
    matrix[1, 0, 0] *= 1.12
    write_calibration(tmp_path / "calibration.yaml", replace(rig(), matrix=matrix))
    result = calibrate_folder(tmp_path)
    said = [f for f in result.findings if f.severity == "warning" and "the file" in f.advice]
    assert [f.camera for f in said] == ["cam2"]
    unchecked = calibrate_folder(tmp_path, None, CalibrateOptions(check_lenses=False))
    assert unchecked.lenses == ()


def test_the_demos_calibration_is_read_by_its_cameras_names() -> None:
    folder = demo_folder() / "S00_Calibration"
    options = CalibrateOptions(check_lenses=False)
    result = calibrate_folder(folder, ["cam01", "cam02", "cam03", "cam04"], options)
    torch.testing.assert_close(result.cameras.translation, demo_cameras().translation)


def test_a_calibration_for_other_cameras_is_refused(tmp_path) -> None:
    write_calibration(tmp_path / "calibration.yaml", rig())
    with pytest.raises(InputError, match="camera5"):
        calibrate_folder(tmp_path, ["camera5", "camera6"])


def test_a_calibration_of_one_camera_is_refused(tmp_path) -> None:
    write_calibration(tmp_path / "calibration.yaml", rig().select([0]))
    with pytest.raises(InputError, match="two or more cameras"):
        calibrate_folder(tmp_path)


def test_the_newest_of_our_files_is_taken(tmp_path) -> None:
    old, new = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write_calibration(new, replace(rig(), names=("new1", "new2")))
    write_calibration(old, rig())
    os.utime(old, (1, 1))
    assert calibrate_folder(tmp_path).cameras.names == ("new1", "new2")
    assert calibrate_folder(old).cameras.names == ("cam1", "cam2")


def test_a_broken_file_alone_is_reported(tmp_path) -> None:
    (tmp_path / "calibration.yaml").write_text("format: muybridge-calibration\nversion: x")
    with pytest.raises(InputError):
        calibrate_folder(tmp_path)


# -- scene points ---------------------------------------------------------------------------------


POINTS = torch.tensor(
    [[0.5, 0.3, 0.1], [-0.5, 0.3, 0.0], [0.4, -0.3, 0.2], [-0.4, -0.3, 0.3], [0.0, 0.1, 0.4],
     [0.2, 0.0, -0.2], [-0.2, 0.2, -0.1]], dtype=torch.float64,
)  # fmt: skip


def scene_toml(up: str = "y") -> str:
    """The true pixels of POINTS; with Z up they are written as (z, x, y)."""
    written = POINTS if up == "y" else POINTS[:, [2, 0, 1]]
    rows = [f'up = "{up}"', f"points_world = {written.tolist()}", "[points_px]"]
    pixels = rig().project(POINTS)
    rows += [f"{name} = {p.tolist()}" for name, p in zip(rig().names, pixels, strict=True)]
    return "\n".join(rows)


@pytest.mark.parametrize("up", ["y", "z"])
def test_scene_points_place_the_lenses_of_a_file(tmp_path, up) -> None:
    lenses = rig().with_extrinsics(
        Rigid(
            matrix_from_rotvec(torch.zeros(2, 3, dtype=torch.float64)),
            torch.zeros(2, 3, dtype=torch.float64),
        )
    )
    write_calibration(tmp_path / "lenses.yaml", lenses)
    (tmp_path / "scene.toml").write_text(scene_toml(up))
    result = calibrate_folder(tmp_path, None, CalibrateOptions(source="scene"))
    torch.testing.assert_close(
        result.cameras.centres_world, rig().centres_world, rtol=0.0, atol=1e-3
    )
    assert result.rms_px is not None
    assert result.rms_px < 0.01
    assert result.table[0].views == len(POINTS)


def test_scene_points_with_lenses_from_boards(boards, tmp_path) -> None:
    linked(boards, tmp_path / "intrinsics")
    (tmp_path / "intrinsics" / "board.toml").rename(tmp_path / "board.toml")
    (tmp_path / "scene.toml").write_text(scene_toml())
    result = calibrate_folder(tmp_path, None, CalibrateOptions(source="scene"))
    error = (result.cameras.centres_world - rig().centres_world).norm(dim=-1)
    assert float(error.max()) < 0.1
    assert len(result.lenses) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("points_world = [[0, 0, 0]", "TOML"),
        ("points_world = [[0, 0]]", "lists of 3 numbers"),
        ("points_world = [[0, 0, nan]]\n[points_px]\ncam1 = [[1, 2]]", "finite points_world"),
        ('points_world = [["a", 0, 0]]', "lists of 3 numbers"),
        ("points_world = [[0, 0, 0]]", "table points_px"),
        ('up = "x"\npoints_world = [[0, 0, 0]]', 'up = "y" or "z"'),
        ("points_world = [[0, 0, 0]]\n[points_px]\ncam1 = [[1, 2], [3, 4]]", "expected 1 pixels"),
        ("points_world = [[0, 0, 0]]\n[points_px]\ncam1 = 3", "lists of 2 numbers"),
        ("", "lists of 3 numbers"),
    ],
)
def test_broken_scene_files_say_what_is_wrong(tmp_path, text, said) -> None:
    path = tmp_path / "scene.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_scene(path)


def test_unseen_points_may_be_left_empty(tmp_path) -> None:
    path = tmp_path / "scene.toml"
    path.write_text("points_world = [[0, 0, 0], [1, 0, 0]]\n[points_px]\ncam1 = [[], [3, 4]]")
    points = read_scene(path).points_px["cam1"]
    assert bool(points[0].isnan().all())
    assert points[1].tolist() == [3.0, 4.0]


def test_the_parts_of_a_folder(tmp_path) -> None:
    for name in ("left01.jpg", "left02.jpg", "right01.jpg", "cam3.mp4", "cam4/x.png", "board.toml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    content = open_calibration_folder(tmp_path)
    assert set(content.rig_sources) == {"left", "right", "cam3", "cam4"}
    assert content.rig_sources["cam3"] == tmp_path / "cam3.mp4"
    assert content.rig_sources["left"] == (tmp_path / "left01.jpg", tmp_path / "left02.jpg")
    assert content.board == tmp_path / "board.toml"
    assert content.shared
