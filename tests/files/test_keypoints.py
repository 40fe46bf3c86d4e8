"""Importers of other detectors' files, hand corrections, our own npz; every parser is fuzzed."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files.keypoints import (
    Correction,
    apply_corrections,
    load_keypoints,
    read_coco,
    read_corrections,
    read_halpe,
    read_keypoints_folder,
    read_openpose,
    save_corrections,
    save_keypoints,
)
from muybridge.motion.keypoints import BODY_25, BODY_25B, COCO_17, HALPE_26, Keypoints
from tests.demo import demo_trial

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _pose(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack((rng.uniform(10.0, 900.0, (count, 2)), rng.uniform(0.2, 0.9, count)))


def _body_25(seed: int = 0) -> np.ndarray:
    pose = _pose(25, seed)
    pose[8, :2] = (pose[9, :2] + pose[12, :2]) / 2.0
    return pose


def _write_openpose(folder: Path, poses: dict[str, list[list[np.ndarray]]]) -> None:
    for camera, frames in poses.items():
        (folder / camera).mkdir(parents=True)
        for number, people in enumerate(frames):
            content = {"people": [{"pose_keypoints_2d": p.ravel().tolist()} for p in people]}
            name = f"{camera}_{number:012d}_keypoints.json"
            (folder / camera / name).write_text(json.dumps(content))


def _simple(**changes: Any) -> Keypoints:
    points = torch.rand(2, 3, 1, 17, 2, dtype=torch.float64) * 1900.0
    confidence = torch.rand(2, 3, 1, 17, dtype=torch.float64) * 0.5 + 0.5
    points[1, 2, 0, 4] = torch.nan
    confidence[1, 2, 0, 4] = 0.0
    return Keypoints(("cam1", "cam2"), COCO_17, points, confidence, 60.0, **changes)


# -- OpenPose ----------------------------------------------------------------------------------
def test_openpose_body_25_keeps_points_and_confidence(tmp_path: Path) -> None:
    poses = {"a_json": [[_body_25(1)], [_body_25(2)]], "b_json": [[_body_25(3)], []]}
    poses["a_json"][0][0][4] = 0.0
    _write_openpose(tmp_path, poses)
    found = read_keypoints_folder(tmp_path, 50.0)
    assert (found.cameras, found.joints, found.fps) == (("a", "b"), BODY_25, 50.0)
    np.testing.assert_allclose(found.points_px[0, 1, 0], poses["a_json"][1][0][:, :2])
    np.testing.assert_allclose(found.confidence[1, 0, 0], poses["b_json"][0][0][:, 2])
    assert bool(found.points_px[0, 0, 0, 4].isnan().all())  # not at (0, 0)
    assert float(found.confidence[0, 0, 0, 4]) == 0.0
    assert not bool(found.seen[1, 1].any())


def test_openpose_people_come_largest_first(tmp_path: Path) -> None:
    small, large = _body_25(1), _body_25(1)
    small[:, :2] *= 0.1
    _write_openpose(tmp_path, {"a": [[small, large], [large]]})
    found = read_openpose(tmp_path, 60.0)
    assert found.points_px.shape == (1, 2, 2, 25, 2)
    np.testing.assert_allclose(found.points_px[0, 0, 0], large[:, :2])
    np.testing.assert_allclose(found.points_px[0, 0, 1], small[:, :2])
    assert bool(found.points_px[0, 1, 1].isnan().all())


@pytest.mark.parametrize(("count", "joints"), [(17, COCO_17), (26, HALPE_26)])
def test_openpose_files_of_pose2sim_hold_other_joints(
    tmp_path: Path, count: int, joints: tuple[str, ...]
) -> None:
    _write_openpose(tmp_path, {"a": [[_pose(count)]]})
    assert read_openpose({"cam": tmp_path / "a"}, 60.0).joints == joints


def test_openpose_order_is_told_apart_or_given(tmp_path: Path) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25(k)] for k in range(5)]})
    assert read_openpose(tmp_path, 60.0).joints == BODY_25
    assert read_openpose(tmp_path, 60.0, "body_25b").joints == BODY_25B


def test_openpose_frames_are_numbered_by_their_names(tmp_path: Path) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25(k)] for k in range(12)]})
    (tmp_path / "a" / "a_000000000005_keypoints.json").unlink()
    found = read_openpose(tmp_path, 60.0)
    assert found.frame_count == 12
    assert found.seen[0].any(-1).any(-1).tolist() == [k != 5 for k in range(12)]


def test_openpose_junk_files_are_left_out(tmp_path: Path) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25(k)] for k in range(3)]})
    for number in (1, 7):
        (tmp_path / "a" / f"del_a_{number}.json").write_text('{"version":1.3,"people":[]}')
    found = read_openpose(tmp_path, 60.0)
    assert found.frame_count == 3
    assert bool(found.seen.all())


def test_the_demos_detections_are_body_25b() -> None:
    found = read_keypoints_folder(demo_trial() / "pose", 60.0)
    assert found.cameras == ("cam01", "cam02", "cam03", "cam04")
    assert found.joints == BODY_25B
    assert found.frame_count == 100
    body = found.select_joints(("left_hip", "right_hip", "left_knee", "right_knee"))
    assert float(body.seen[:, :, 0].double().mean()) > 0.99


# -- one file a camera -------------------------------------------------------------------------
def _coco_entries(count: int, score_or_flag: float) -> list[dict[str, Any]]:
    entries = []
    for number in range(4):
        pose = _pose(count, number)
        pose[:, 2] = score_or_flag
        pose[3] = 0.0
        entries.append(
            {"image_id": f"img/cam1_{number:04d}.jpg", "keypoints": pose.ravel().tolist()}
        )
    return entries


def test_coco_scores_are_kept(tmp_path: Path) -> None:
    (tmp_path / "cam1.json").write_text(json.dumps(_coco_entries(17, 0.75)))
    found = read_coco(tmp_path, 60.0)
    assert (found.cameras, found.joints, found.frame_count) == (("cam1",), COCO_17, 4)
    assert float(found.confidence[0, 2, 0, 0]) == 0.75
    assert not bool(found.seen[:, :, :, 3].any())


def test_hidden_files_of_a_killed_program_are_no_cameras(tmp_path: Path) -> None:
    (tmp_path / "cam1.json").write_text(json.dumps(_coco_entries(17, 0.75)))
    (tmp_path / ".cam1.unfinished-x.json").write_text("[{")
    assert read_coco(tmp_path, 60.0).cameras == ("cam1",)


@pytest.mark.parametrize(("flag", "confidence"), [(2.0, 1.0), (1.0, 0.5)])
def test_coco_visibility_becomes_confidence(tmp_path: Path, flag: float, confidence: float) -> None:
    entries = _coco_entries(17, flag)
    entries[0]["keypoints"][2] = 2.0  # flags are known by a 2 somewhere
    (tmp_path / "cam1.json").write_text(json.dumps(entries))
    assert float(read_coco(tmp_path, 60.0).confidence[0, 1, 0, 0]) == confidence


def test_coco_frames_follow_the_images(tmp_path: Path) -> None:
    images = [{"id": 100 + k, "file_name": f"{k:06d}.png"} for k in range(6)]
    notes = [{"image_id": 103, "keypoints": _pose(17).ravel().tolist()}]
    content = {"images": images, "annotations": notes}
    (tmp_path / "cam1.json").write_text(json.dumps(content))
    found = read_keypoints_folder(tmp_path, 60.0)
    assert found.seen[0].any(-1).any(-1).tolist() == [False, False, False, True, False, False]


def test_lists_start_at_frame_one_though_nobody_is_there_yet(tmp_path: Path) -> None:
    for camera, first in (("a", 3), ("b", 1)):
        entries = [
            {"image_id": number, "keypoints": _pose(17).ravel().tolist()}
            for number in range(first, 6)
        ]
        (tmp_path / f"{camera}.json").write_text(json.dumps(entries))
    found = read_coco(tmp_path, 60.0)
    assert found.seen[0].any(-1).any(-1).tolist() == [False, False, True, True, True]
    assert bool(found.seen[1].any(-1).all())


@pytest.mark.parametrize(("count", "joints"), [(26, HALPE_26), (136, HALPE_26)])
def test_alphapose_halpe(tmp_path: Path, count: int, joints: tuple[str, ...]) -> None:
    (tmp_path / "cam1.json").write_text(json.dumps(_coco_entries(count, 0.5)))
    found = read_halpe({"cam1": tmp_path / "cam1.json"}, 60.0)
    assert found.joints == joints
    np.testing.assert_allclose(found.points_px[0, 1, 0, 19], _pose(count, 1)[19, :2])


def test_whole_body_has_feet(tmp_path: Path) -> None:
    (tmp_path / "cam1.json").write_text(json.dumps(_coco_entries(133, 0.5)))
    found = read_coco(tmp_path, 60.0)
    heel = found.select_joints(("left_heel",))
    np.testing.assert_allclose(heel.points_px[0, 0, 0, 0], _pose(133, 0)[19, :2])


@pytest.mark.parametrize("wrapped", [True, False])
def test_rtmpose_keeps_empty_frames_and_clips_scores(tmp_path: Path, wrapped: bool) -> None:
    pose = _pose(26)
    instance = {"keypoints": pose[:, :2].tolist(), "keypoint_scores": [1.3] * 26}
    frames = [{"frame_id": k + 1, "instances": [instance] if k == 1 else []} for k in range(4)]
    content = {"meta_info": {}, "instance_info": frames} if wrapped else frames
    (tmp_path / "cam1.json").write_text(json.dumps(content))
    (tmp_path / "corrections.json").write_text("[]")
    found = read_keypoints_folder(tmp_path, 60.0)
    assert (found.cameras, found.joints, found.frame_count) == (("cam1",), HALPE_26, 4)
    assert float(found.confidence.max()) == 1.0
    np.testing.assert_allclose(found.points_px[0, 1, 0], pose[:, :2])


# -- malformed input ---------------------------------------------------------------------------
BAD_FILES = {
    "not JSON": "{oops",
    "empty": "",
    "text where numbers are": '{"people":[{"pose_keypoints_2d":["a","b","c"]}]}',
    "null": '{"people":[{"pose_keypoints_2d":[null,1,1]}]}',
    "NaN": '{"people":[{"pose_keypoints_2d":[NaN,1,1]}]}',
    "too large": '{"people":[{"pose_keypoints_2d":[1e300,1,1]}]}',
    "a huge integer": '{"people":[{"pose_keypoints_2d":[' + "9" * 400 + ",1,1]}]}",
    "not threes": '{"people":[{"pose_keypoints_2d":[1,2]}]}',
    "wrong number of joints": '{"people":[{"pose_keypoints_2d":[1,2,0.5,3,4,0.5]}]}',
    "nobody": '{"people":[]}',
    "no people field": "{}",
    "a list": "[1]",
    "people is text": '{"people":"all"}',
    "a person is a number": '{"people":[3]}',
    "deep nesting": "[" * 100_000,
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_openpose_file_is_one_clear_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"expected .*;") as caught:
        read_keypoints_folder(tmp_path, 60.0)
    assert "\n" not in str(caught.value)


BAD_LISTS = {
    "a number": "3",
    "empty list": "[]",
    "no keypoints": '[{"image_id":1}]',
    "no image": '[{"keypoints":[1,2,3]}]',
    "image without number": '[{"image_id":"front.jpg","keypoints":[1,2,3]}]',
    "boolean image": '[{"image_id":true,"keypoints":[1,2,3]}]',
    "negative image": '[{"image_id":-4,"keypoints":[1,2,3]}]',
    "far frames": json.dumps(
        [{"image_id": i, "keypoints": [1.0, 2.0, 0.5] * 17} for i in (0, 10**12)]
    ),
    "instances is text": '[{"frame_id":1,"instances":"x"}]',
    "twice the frame": '[{"frame_id":1,"instances":[]},{"frame_id":1,"instances":[]}]',
    "scores missing": '[{"frame_id":1,"instances":[{"keypoints":[[1,2]]}]}]',
    "fewer scores": '[{"frame_id":1,"instances":[{"keypoints":[[1,2]],"keypoint_scores":[]}]}]',
    "ragged points": '[{"frame_id":1,"instances":[{"keypoints":[[1]],"keypoint_scores":[1]}]}]',
    "images without id": '{"images":[{}],"annotations":[]}',
    "nobody": '{"images":[{"id":1,"file_name":"1.jpg"}],"annotations":[]}',
    "other joints": json.dumps([{"image_id": 0, "keypoints": [1.0, 2.0, 0.5] * 19}]),
}


@pytest.mark.parametrize("content", BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_bad_list_is_one_clear_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "cam1.json").write_text(content)
    with pytest.raises(InputError, match="expected") as caught:
        read_keypoints_folder(tmp_path, 60.0)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_keypoints_folder(tmp_path / "absent", 60.0)
    with pytest.raises(InputError, match="got none"):
        read_keypoints_folder(tmp_path, 60.0)
    with pytest.raises(InputError, match="folder of JSON files for each camera"):
        read_openpose(tmp_path, 60.0)
    with pytest.raises(InputError, match="at least one camera"):
        read_coco({}, 60.0)
    with pytest.raises(InputError, match="found none"):
        read_coco({"a": tmp_path / "absent.json"}, 60.0)


def test_cameras_of_different_length_are_named(tmp_path: Path) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25()]] * 4, "b": [[_body_25()]] * 3})
    with pytest.raises(InputError, match="a: 0 to 3, b: 0 to 2"):
        read_openpose(tmp_path, 60.0)


def test_one_file_among_good_ones_may_not_differ(tmp_path: Path) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25()], [_pose(17)]]})
    with pytest.raises(InputError, match=r"one number of joints, of .*got 17, 25"):
        read_openpose(tmp_path, 60.0)


def test_two_files_of_one_frame(tmp_path: Path) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25()], [_body_25()]]})
    (tmp_path / "a" / "a_1_keypoints.json").write_text('{"people":[]}')
    with pytest.raises(InputError, match="one file for frame 1"):
        read_openpose(tmp_path, 60.0)


@pytest.mark.parametrize("fps", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_the_frame_rate_must_be_told(tmp_path: Path, fps: float | None) -> None:
    _write_openpose(tmp_path, {"a": [[_body_25()]]})
    with pytest.raises(InputError, match="frame rate"):
        read_openpose(tmp_path, fps)


JSON_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from([0, 1, "0001.jpg", [1.0, 2.0, 0.5] * 17, [[1.0, 2.0]] * 17, [0.5] * 17])
)  # fmt: skip
FIELDS = st.sampled_from(
    ["people", "pose_keypoints_2d", "image_id", "keypoints", "annotations", "images", "id",
     "file_name", "instances", "instance_info", "frame_id", "keypoint_scores",
     "camera", "frame", "person", "joint", "x", "y"]
)  # fmt: skip
ANY_JSON = st.recursive(
    JSON_LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=20,
)


def _reads_or_refuses(read: Callable[[Path], Keypoints], path: Path) -> None:
    message = "expected something, got something;"
    try:
        found = read(path)
        assert found.points_px.ndim == 5
    except InputError as error:
        message = str(error)
    assert message.startswith("expected")
    assert "\n" not in message


@FUZZ
@given(content=ANY_JSON)
def test_any_json_reads_or_is_refused(tmp_path: Path, content: Any) -> None:
    folder = tmp_path / "openpose" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / "1.json", tmp_path / "list" / "cam1.json", tmp_path / "edits.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    for read, place in (
        (lambda p: read_openpose(p, 60.0), tmp_path / "openpose"),
        (lambda p: read_keypoints_folder(p, 60.0), tmp_path / "list"),
        (lambda p: apply_corrections(_simple(), p), tmp_path / "edits.json"),
    ):
        _reads_or_refuses(read, place)


@FUZZ
@given(content=st.binary(max_size=200), cut=st.integers(0, 4000), flip=st.integers(0, 4000))
def test_any_bytes_read_or_are_refused(tmp_path: Path, content: bytes, cut: int, flip: int) -> None:
    whole = tmp_path / "whole.npz"
    if not whole.exists():
        save_keypoints(whole, _simple())
    good = bytearray(whole.read_bytes())
    good[flip % len(good)] ^= 0x55
    path = tmp_path / "broken.npz"
    for data in (content, good[:cut], bytes(good)):
        path.write_bytes(data)
        _reads_or_refuses(load_keypoints, path)
    (tmp_path / "cam1.json").write_bytes(content)
    with pytest.raises(InputError):
        read_keypoints_folder(tmp_path, 60.0)


# -- our own file ------------------------------------------------------------------------------
@pytest.mark.parametrize("with_corrections", [True, False])
def test_npz_round_trip(tmp_path: Path, with_corrections: bool) -> None:
    corrected = torch.rand(2, 3, 1, 17) > 0.5 if with_corrections else None
    keypoints = _simple(corrected=corrected)
    save_keypoints(tmp_path / "k.npz", keypoints)
    found = load_keypoints(tmp_path / "k.npz")
    assert (found.cameras, found.joints, found.fps) == (("cam1", "cam2"), COCO_17, 60.0)
    torch.testing.assert_close(
        found.points_px, keypoints.points_px, atol=1e-3, rtol=0, equal_nan=True
    )
    torch.testing.assert_close(found.confidence, keypoints.confidence, atol=1e-7, rtol=0)
    assert found.points_px.dtype == torch.float64
    if corrected is None:
        assert found.corrected is None
    else:
        assert found.corrected is not None
        assert bool((found.corrected == corrected).all())


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "k.npz"
    save_keypoints(path, _simple())
    before = path.read_bytes()
    with pytest.raises(InputError, match="expected a file name"):
        save_keypoints(tmp_path, _simple())

    def full(file: IO[bytes], **_: np.ndarray) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match="No space left"):
        save_keypoints(path, _simple())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["k.npz"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points_px", np.zeros((2, 3, 1, 17, 3))),
        ("points_px", np.zeros((2, 3, 1, 17, 2), dtype="U3")),
        ("confidence", np.zeros((2, 3, 1, 16))),
        ("corrected", np.zeros((2, 3, 1, 17))),
        ("head", np.array('{"cameras":["a"],"joints":[],"fps":60}')),
        ("head", np.array('{"cameras":7}')),
    ],
)
def test_npz_with_wrong_arrays(tmp_path: Path, name: str, value: np.ndarray) -> None:
    save_keypoints(tmp_path / "k.npz", _simple())
    with np.load(tmp_path / "k.npz") as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(tmp_path / "bad.npz", **{**arrays, name: value})
    with pytest.raises(InputError, match="expected"):
        load_keypoints(tmp_path / "bad.npz")


# -- hand edits --------------------------------------------------------------------------------
EDITS = (
    Correction("cam2", 1, 0, "left_knee", 123.5, 456.25),
    Correction("cam1", 0, 0, "nose", None, None),
)


def test_corrections_replace_only_what_they_name(tmp_path: Path) -> None:
    keypoints = _simple()
    save_corrections(tmp_path / "edits.json", EDITS)
    assert read_corrections(tmp_path / "edits.json") == EDITS
    edited = apply_corrections(keypoints, tmp_path / "edits.json")
    knee = (1, 1, 0, COCO_17.index("left_knee"))
    assert edited.points_px[knee].tolist() == [123.5, 456.25]
    assert float(edited.confidence[knee]) == 1.0
    assert edited.corrected is not None
    assert edited.corrected.nonzero().tolist() == [list(knee)]
    assert not bool(edited.seen[0, 0, 0, 0])
    untouched = torch.ones(2, 3, 1, 17, dtype=torch.bool)
    untouched[knee] = untouched[0, 0, 0, 0] = False
    assert torch.equal(
        edited.points_px[untouched].nan_to_num(), keypoints.points_px[untouched].nan_to_num()
    )
    assert torch.equal(edited.confidence[untouched], keypoints.confidence[untouched])


def test_no_corrections_change_nothing(tmp_path: Path) -> None:
    keypoints = _simple()
    save_corrections(tmp_path / "edits.json", [])
    edited = apply_corrections(keypoints, tmp_path / "edits.json")
    assert torch.equal(edited.points_px.nan_to_num(), keypoints.points_px.nan_to_num())
    assert edited.corrected is not None
    assert not bool(edited.corrected.any())


@pytest.mark.parametrize(
    "change",
    [
        {"camera": "cam9"}, {"joint": "tail"}, {"frame": 3}, {"frame": -1}, {"person": 1},
        {"x": "left"}, {"x": None}, {"y": float("nan")}, {"frame": 1.5}, {"frame": True},
        {"z": 1.0},
    ],
)  # fmt: skip
def test_wrong_corrections_are_named(tmp_path: Path, change: dict[str, Any]) -> None:
    edit = {"camera": "cam1", "frame": 0, "person": 0, "joint": "nose", "x": 1.0, "y": 2.0}
    (tmp_path / "edits.json").write_text(json.dumps([edit, {**edit, **change}]))
    with pytest.raises(InputError, match="correction 1 of"):
        apply_corrections(_simple(), tmp_path / "edits.json")
