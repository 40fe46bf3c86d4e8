"""Depth folders: round trips, the usual layouts, and one sentence for every kind of bad input."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files.calibration import write_calibration
from muybridge.files.depth import is_depth, read_depth, write_depth
from tests.depth_person import depth_camera
from tests.motions import damaged

SIZE = (12, 8)
K = [[20.0, 0.0, 5.5], [0.0, 21.0, 3.5], [0.0, 0.0, 1.0]]


def pictures(count: int = 3, seed: int = 0) -> torch.Tensor:
    """Depth in whole millimetres, some of it unknown."""
    random = np.random.default_rng(seed)
    units = random.integers(500, 5000, (count, SIZE[1], SIZE[0])).astype(np.float64)
    units[random.random(units.shape) < 0.2] = np.nan
    return torch.from_numpy(units / 1000.0)


def plain_folder(folder: Path, count: int = 3, **camera: object) -> torch.Tensor:
    """PNGs beside a camera.json, as another program would write them."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = pictures(count)
    for index, frame in enumerate(truth.nan_to_num(nan=0.0).numpy()):
        cv2.imwrite(
            str(folder / f"frame_{index + 9}.png"), (frame * 1000).round().astype(np.uint16)
        )
    (folder / "camera.json").write_text(json.dumps({"matrix": K, **camera}))
    return truth


def frames_of(take) -> torch.Tensor:
    return torch.stack([take.frame(index)[0] for index in range(len(take))])


def test_written_pictures_are_read_back(tmp_path: Path) -> None:
    camera, truth = (
        depth_camera(30.0, size=SIZE, distortion=(0.1, -0.2, 0.01, 0.0, 0.05)),
        pictures(),
    )
    write_depth(tmp_path, camera, truth, 29.97)
    take = read_depth(tmp_path)
    torch.testing.assert_close(frames_of(take), truth, equal_nan=True, rtol=0, atol=1e-12)
    assert take.placed
    assert take.fps == 29.97
    for field in ("size_px", "matrix", "distortion", "rotation", "translation"):
        assert torch.equal(getattr(take.cameras, field), getattr(camera, field)), field
    assert is_depth(tmp_path)


def test_writing_again_leaves_no_older_pictures(tmp_path: Path) -> None:
    camera = depth_camera(size=SIZE)
    write_depth(tmp_path, camera, pictures(5), 30.0)
    write_depth(tmp_path, camera, pictures(2), 30.0, placed=False)
    take = read_depth(tmp_path)
    assert len(take) == 2
    assert not take.placed


def test_a_broken_run_leaves_no_take(tmp_path: Path) -> None:
    def breaks():
        yield pictures()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_depth(tmp_path, depth_camera(size=SIZE), breaks(), 30.0)
    with pytest.raises(InputError, match="found no such file"):
        read_depth(tmp_path)


def test_order_is_that_of_the_numbers_in_the_names(tmp_path: Path) -> None:
    """frame_9 comes before frame_10."""
    truth = plain_folder(tmp_path)
    torch.testing.assert_close(frames_of(read_depth(tmp_path)), truth, equal_nan=True)


def test_tum_s_list_gives_order_rate_and_units(tmp_path: Path) -> None:
    truth = plain_folder(tmp_path, fps=5.0, units_per_metre=5000)
    names = ["frame_11.png", "frame_9.png", "frame_10.png"]
    lines = [f"{1305031102.16 + 0.04 * i} {name}" for i, name in enumerate(names)]
    (tmp_path / "depth.txt").write_text("# timestamp filename\n" + "\n".join(lines) + "\n")
    take = read_depth(tmp_path)
    assert take.fps == pytest.approx(25.0, rel=1e-4)
    expected = truth[[2, 0, 1]] / 5.0
    torch.testing.assert_close(frames_of(take), expected, equal_nan=True)
    assert read_depth(tmp_path, fps=60.0).fps == 60.0


@pytest.mark.parametrize(
    "words",
    [
        {"fx": 20, "fy": 21, "cx": 5.5, "cy": 3.5, "width": 12, "height": 8},
        {"intrinsic_matrix": [20, 0, 0, 0, 21, 0, 5.5, 3.5, 1], "width": 12, "height": 8},
        {"matrix": K},
    ],
    ids=["numbers", "Open3D", "matrix"],
)
def test_lenses_are_written_in_three_ways(tmp_path: Path, words: dict[str, object]) -> None:
    plain_folder(tmp_path)
    (tmp_path / "camera.json").write_text(json.dumps(words))
    take = read_depth(tmp_path)
    assert take.cameras.matrix[0].tolist() == K
    assert take.cameras.size_px[0].tolist() == [12, 8]


@pytest.mark.parametrize("kind", ["npy", "npz", "metres"])
def test_arrays_instead_of_pictures(tmp_path: Path, kind: str) -> None:
    truth = pictures()
    units = truth.nan_to_num(nan=0.0).numpy()
    values = units.astype(np.float32) if kind == "metres" else (units * 1000).round().astype("u2")
    if kind == "npz":
        path = tmp_path / "take.npz"
        np.savez(path, depth=values, matrix=np.array(K), fps=15.0)
    else:
        path = tmp_path
        np.save(path / "depth.npy", values)
        (path / "camera.json").write_text(json.dumps({"matrix": K, "fps": 15}))
    take = read_depth(path)
    assert take.fps == 15.0
    torch.testing.assert_close(frames_of(take), truth, equal_nan=True, rtol=0, atol=1e-6)


def test_several_cameras_in_folders_and_in_one_archive(tmp_path: Path) -> None:
    cameras = [depth_camera(b, size=SIZE) for b in (0.0, 90.0)]
    for seed, camera in enumerate(cameras):
        write_depth(tmp_path / "take" / camera.names[0], camera, pictures(3, seed), 30.0)
    take = read_depth(tmp_path / "take")
    assert take.cameras.names == ("cam0", "cam90")
    torch.testing.assert_close(take.frame(2)[1], pictures(3, 1)[2], equal_nan=True)
    np.savez(
        tmp_path / "take.npz",
        depth=np.stack([pictures(3, seed).numpy() for seed in (0, 1)]),
        **{
            name: np.concatenate([getattr(c, name).numpy() for c in cameras])
            for name in ("matrix", "distortion", "rotation", "translation")
        },
    )
    packed = read_depth(tmp_path / "take.npz")
    assert torch.equal(packed.cameras.rotation, take.cameras.rotation)
    torch.testing.assert_close(packed.frame(1)[1], take.frame(1)[1], equal_nan=True)


def test_a_calibration_places_the_cameras(tmp_path: Path) -> None:
    cameras = [depth_camera(b, size=SIZE) for b in (0.0, 90.0)]
    for camera in reversed(cameras):
        write_depth(tmp_path / camera.names[0], camera, pictures(), 30.0, placed=False)
    with pytest.raises(InputError, match="calibrate them together"):
        read_depth(tmp_path)
    joined = type(cameras[0])(
        ("cam90", "cam0"),
        *(
            torch.cat([getattr(c, name) for c in reversed(cameras)])
            for name in ("size_px", "matrix", "distortion", "rotation", "translation")
        ),
    )
    write_calibration(tmp_path / "calibration.yaml", joined)
    take = read_depth(tmp_path)
    assert take.placed
    assert take.cameras.names == ("cam0", "cam90")
    torch.testing.assert_close(take.cameras.translation[1], cameras[1].translation[0])


def _eight_bits(folder: Path) -> None:
    cv2.imwrite(str(folder / "frame_10.png"), np.zeros(SIZE[::-1], np.uint8))


def _colour(folder: Path) -> None:
    cv2.imwrite(str(folder / "frame_10.png"), np.zeros((*SIZE[::-1], 3), np.uint16))


def _other_size(folder: Path) -> None:
    cv2.imwrite(str(folder / "frame_10.png"), np.zeros((9, 12), np.uint16))


def _no_camera(folder: Path) -> None:
    (folder / "camera.json").unlink()


def _no_pictures(folder: Path) -> None:
    for path in folder.glob("*.png"):
        path.unlink()


def _text(words: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "camera.json").write_text(words) and None


def _listed(words: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "depth.txt").write_text(words) and None


def _short(folder: Path) -> None:
    (folder / "frame_10.png").write_bytes((folder / "frame_10.png").read_bytes()[:20])


FAULTS = {
    "8 bits": (_eight_bits, "got 8 bits a pixel"),
    "colour": (_colour, "got a colour picture"),
    "another size": (_other_size, "of 12x8 pixels, got 12x9"),
    "no camera file": (_no_camera, "found no such file"),
    "no pictures": (_no_pictures, "found none; export"),
    "a cut picture": (_short, "damaged file"),
    "no JSON": (_text("{"), "as JSON"),
    "a list": (_text("[1, 2]"), "no table of values"),
    "a flat matrix": (_text('{"matrix": [1, 2, 3]}'), "matrix must be 3 x 3"),
    "no focal length": (_text('{"matrix": [[0,0,0],[0,0,0],[0,0,1]]}'), "focal lengths"),
    "NaN": (_text('{"matrix": [[NaN,0,0],[0,1,0],[0,0,1]]}'), "finite"),
    "half a pose": (_text(json.dumps({"matrix": K, "rotation": K})), "go together"),
    "no rotation": (
        _text(json.dumps({"matrix": K, "rotation": K, "translation": [0, 0, 0]})),
        "no rotation matrix",
    ),
    "no units": (_text(json.dumps({"matrix": K, "units_per_metre": 0})), "above 0"),
    "size of nothing": (_text(json.dumps({"matrix": K, "size_px": [0, 8]})), "size_px"),
    "a list of other files": (_listed("0.1 nowhere.png\n"), "existing file in line 1"),
    "a list without times": (_listed("# t f\nnow frame_9.png\n"), "existing file in line 2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_told_in_one_sentence(tmp_path: Path, fault: str) -> None:
    plain_folder(tmp_path)
    spoil, words = FAULTS[fault]
    spoil(tmp_path)
    with pytest.raises(InputError, match="expected") as told:
        read_depth(tmp_path)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_other_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder"):
        read_depth(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found none"):
        read_depth(tmp_path)
    plain_folder(tmp_path)
    with pytest.raises(InputError, match="positive frame rate"):
        read_depth(tmp_path, fps=-1.0)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="expected depth and matrix"):
        read_depth(tmp_path / "bad.npz")
    np.savez(tmp_path / "flat.npz", depth=np.zeros((3, 4), "u2"), matrix=np.array(K))
    with pytest.raises(InputError, match="T x"):
        read_depth(tmp_path / "flat.npz")
    np.savez(tmp_path / "bytes.npz", depth=np.zeros((1, 3, 4), "u1"), matrix=np.array(K))
    with pytest.raises(InputError, match="8 bits"):
        read_depth(tmp_path / "bytes.npz")


def test_cameras_with_different_numbers_of_pictures(tmp_path: Path) -> None:
    for bearing, count in ((0.0, 3), (90.0, 2)):
        camera = depth_camera(bearing, size=SIZE)
        write_depth(tmp_path / camera.names[0], camera, pictures(count), 30.0)
    with pytest.raises(InputError, match="got 3 in cam0, 2 in cam90"):
        read_depth(tmp_path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Never a traceback: whatever bytes change in the camera, a picture, the list or an archive."""
    plain_folder(tmp_path)
    (tmp_path / "depth.txt").write_text("0.0 frame_9.png\n0.1 frame_10.png\n")
    archive = tmp_path / "take.npz"
    np.savez(archive, depth=pictures().numpy(), matrix=np.array(K), fps=30.0)
    name = data.draw(st.sampled_from(["camera.json", "frame_9.png", "depth.txt", "take.npz"]))
    content = (tmp_path / name).read_bytes()
    alphabet = b'{}[]",:.-0159eEnul #\n' if name.endswith(("json", "txt")) else b""
    (tmp_path / name).write_bytes(data.draw(damaged(content, alphabet)))
    try:
        take = read_depth(archive if name == "take.npz" else tmp_path)
        frame = take.frame(0)[0]
    except InputError:
        return
    known = frame[frame.isfinite()]
    assert bool((known > 0.0).all())
