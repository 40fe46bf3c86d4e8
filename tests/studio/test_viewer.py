"""The studio: what it can open, how limbs are placed, corrections, and what a browser shows."""

from __future__ import annotations

import json
import math
import socket
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.keypoints import Correction
from muybridge.motion.keypoints import Keypoints
from muybridge.studio.corrections import add_correction, own_frame, saved_corrections, slot_of
from muybridge.studio.exhibit import exhibit_clip, exhibit_markers, exhibit_take, open_exhibit
from muybridge.studio.figure import Capsule, figure, side_of
from muybridge.studio.filmstrip import Filmstrip
from muybridge.studio.viewer import view
from tests.studio.browser import browse, picture
from tests.studio.synthetic_take import SKELETON, synthetic_take, write_videos


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("name", ["missing.bvh", "picture.jpg"])
def test_what_cannot_be_shown_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    if name == "picture.jpg":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="expected a take's folder or a"):
        open_exhibit(tmp_path / name)


def test_missing_viser_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("viser", "muybridge.studio.stage", "muybridge.studio.editor"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(InputError, match=r"pip install .muybridge\[studio\]"):
        view(tmp_path)


def test_motion_files_are_opened(tmp_path: Path) -> None:
    from muybridge.files.bvh import write_bvh
    from muybridge.files.trc import write_trc

    person = synthetic_take(frame_count=5).people[0]
    write_bvh(tmp_path / "a.bvh", person.clip)
    write_trc(tmp_path / "b.trc", person.markers)
    clip, markers = open_exhibit(tmp_path / "a.bvh"), open_exhibit(tmp_path / "b.trc")
    assert (clip.name, clip.frame_count, clip.figures[0].markers) == ("a", 5, None)
    assert (markers.frame_count, markers.figures[0].clip) == (5, None)
    assert clip.centre[1] == pytest.approx(0.9, abs=0.4)


def test_take_brings_errors_for_every_joint() -> None:
    exhibit = exhibit_take(synthetic_take(people=2))
    for shown in exhibit.figures:
        assert shown.error_m is not None
        assert shown.error_m.shape == (45, len(SKELETON))
        assert float(shown.error_m.nanmean()) == pytest.approx(0.007, abs=0.004)


def test_limbs_reach_from_joint_to_joint() -> None:
    stage = pytest.importorskip("muybridge.studio.stage")
    generator = torch.Generator().manual_seed(0)
    positions = torch.randn(len(SKELETON), 3, generator=generator, dtype=torch.float64)
    positions[2] = positions[1] - torch.tensor([0.0, 0.0, 1.0])  # straight down the pill's axis
    limbs = figure(SKELETON)
    places, wxyz, scales = stage.limb_transforms(limbs, positions)
    w, x, y, z = wxyz.T
    axis = np.stack((2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)), 1)
    for limb, place, along, scale in zip(limbs, places, axis, scales, strict=True):
        a, b = positions[limb.start].numpy(), positions[limb.stop].numpy()
        start, stop = a + limb.near * (b - a), a + limb.far * (b - a)
        reach = scale[2] - scale[0]
        assert place + reach * along == pytest.approx(stop, abs=1e-9)
        assert place - reach * along == pytest.approx(start, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("left_hip", "left"), ("LeftUpLeg", "left"), ("RightHand", "right"), ("r_knee", "right"),
        ("Spine1", "middle"), ("hand.l", "left"), ("rib", "middle"), ("lumbar", "middle"),
    ],
)  # fmt: skip
def test_sides(name: str, side: str) -> None:
    assert side_of(name) == side


def test_figure_has_a_head_and_a_trunk() -> None:
    limbs = figure(SKELETON)
    head = SKELETON.index("head")
    assert any(limb.start == limb.stop == head for limb in limbs)
    corners = {SKELETON.index(f"{s}_{j}") for s in ("left", "right") for j in ("hip", "shoulder")}
    assert sum({limb.start, limb.stop} <= corners for limb in limbs) == 4
    assert all(isinstance(limb, Capsule) and limb.start_m > 0 for limb in limbs)


def test_figure_of_the_solved_skeleton_has_no_stump_on_its_head() -> None:
    from muybridge.motion.body import template
    from muybridge.motion.keypoints import HALPE_26

    skeleton = template(HALPE_26).skeleton
    head, top = skeleton.index("Head"), skeleton.index("Head_end")
    (limb,) = [c for c in figure(skeleton) if c.stop == top]
    assert limb.start == head
    assert (limb.near, limb.far) == (0.42, 0.58)
    arms = {skeleton.index("LeftArm"), skeleton.index("RightArm")}
    assert any({c.start, c.stop} == arms for c in figure(skeleton)), "the trunk ends at the arms"


def test_figure_grows_with_the_body() -> None:
    twice = replace(SKELETON, offsets=SKELETON.offsets * 2.0)
    for small, large in zip(figure(SKELETON), figure(twice), strict=True):
        assert large.start_m == pytest.approx(2.0 * small.start_m)


def test_corrections_are_kept_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "corrections.json"
    assert saved_corrections(path) == ()
    first = Correction("cam01", 3, 0, "left_wrist", 10.0, 20.0)
    add_correction(path, first)
    add_correction(path, Correction("cam02", 3, 0, "left_wrist", 1.0, 2.0))
    entries = add_correction(path, replace(first, x=11.5))
    entries = add_correction(path, Correction("cam02", 4, 0, "nose", None, None))  # hidden
    assert len(entries) == 3
    assert saved_corrections(path) == entries
    assert json.loads(path.read_text())[0] == {
        "camera": "cam01", "frame": 3, "person": 0, "joint": "left_wrist", "x": 11.5, "y": 20.0,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "{}x", '[{"camera": "a"}]', "[1]", '{"a": 1}'])
def test_broken_corrections_are_named_and_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "corrections.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"corrections\.json"):
        add_correction(path, Correction("a", 0, 0, "nose", 0.0, 0.0))
    assert path.read_text() == text


def test_own_frame_inverts_the_offset() -> None:
    assert own_frame(10, 3.0) == 7
    assert own_frame(10, -2.4) == 12


def test_slot_is_that_of_the_same_person() -> None:
    take = synthetic_take(people=2, frame_count=4)
    both = [p.keypoints for p in take.people]
    mixed = torch.cat([both[1].points_px, both[0].points_px], dim=2)
    confidence = torch.cat([both[1].confidence, both[0].confidence], dim=2)
    raw = Keypoints(both[0].cameras, both[0].joints, mixed, confidence, both[0].fps)
    seen = both[0].points_px[2, 1, 0].clone()
    seen[3] = math.nan
    assert slot_of(raw, 2, 1, seen) == 1
    assert slot_of(raw, 2, 99, seen) == 0


def test_filmstrip_jumps_about(tmp_path: Path) -> None:
    take = synthetic_take(frame_count=90)
    film = Filmstrip(write_videos(take, tmp_path)[0])
    forward = [film.small(i) for i in range(90)]
    assert all(image is not None for image in forward)
    fresh = Filmstrip(film.video)
    for index in (15, 2, 88, 3, 70, 71, 64):
        small, full = fresh.small(index), fresh.full(index)
        assert small is not None
        assert np.array_equal(small, forward[index])
        assert full is not None
        assert full.shape == (480, 640, 3)
    assert fresh.small(90) is None
    assert fresh.small(-1) is None
    film.close()
    fresh.close()


@pytest.mark.browser
def test_the_studio_in_a_browser(tmp_path: Path) -> None:
    editor = pytest.importorskip("muybridge.studio.editor")
    take = synthetic_take(frame_count=20)
    take = replace(take, videos=write_videos(take, tmp_path / "videos"))
    studio = editor.edited_studio(exhibit_take(take, tmp_path), _free_port())
    try:
        stage = sys.modules["muybridge.studio.stage"]
        stage.set_value(studio.slider, 9)
        assert studio.frame == 9
        answer = browse(
            f"http://127.0.0.1:{studio.port}",
            tmp_path,
            [
                {"eval": "document.querySelector('button.mantine-CloseButton-root')?.click()",
                 "name": "_"},
                {"wait": 800},
                {"shot": "studio.png"},
                {"eval": "document.body.innerText", "name": "text"},
            ],
            wait_ms=9000,
        )  # fmt: skip
    finally:
        studio.close()
    text = answer["values"]["text"]
    for word in ("walk", "Frame", "Colour", "Correct a detection"):
        assert word in text
    scene = picture(tmp_path / "studio.png")[:, :940].reshape(-1, 3).astype(int)
    blue = (scene[:, 2] - scene[:, 0] > 30) & (scene[:, 2] < 220)
    orange = (scene[:, 0] - scene[:, 2] > 40) & (scene[:, 0] < 230)
    assert blue.sum() > 800, "the left limbs are not to be seen"
    assert orange.sum() > 800, "the right limbs are not to be seen"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", studio.port)) != 0, "the server still runs"


def test_editor_saves_what_is_set(tmp_path: Path) -> None:
    editor = pytest.importorskip("muybridge.studio.editor")
    stage = sys.modules["muybridge.studio.stage"]
    take = synthetic_take(frame_count=6)
    take = replace(take, offsets_frames=take.offsets_frames + torch.tensor([0.0, 2.0, 0.0, 0.0]))
    studio = stage.Studio(exhibit_take(take, tmp_path), _free_port())
    try:
        panel = editor.Editor(studio)
        stage.set_value(studio.slider, 4)
        panel.camera.value, panel.joint.value = "cam02", "left_knee"
        detected = take.people[0].keypoints.points_px[1, 4, 0, 13]
        assert (panel.x.value, panel.y.value) == pytest.approx(tuple(detected.tolist()))
        stage.set_value(panel.x, 100.0)
        panel.write()
    finally:
        studio.close()
    (saved,) = saved_corrections(tmp_path / "corrections.json")
    assert saved.place == ("cam02", 2, 0, "left_knee")
    assert (saved.x, saved.y) == pytest.approx((100.0, float(detected[1])), abs=0.01)


def test_close_up_marks_the_chosen_pixel() -> None:
    editor = pytest.importorskip("muybridge.studio.editor")
    image = np.full((200, 300, 3), 90, dtype=np.uint8)
    seen = torch.tensor([[20.0, 30.0], [math.nan, math.nan]], dtype=torch.float64)
    for chosen in ((0.0, 0.0), (299.0, 199.0), (150.0, 100.0)):
        cut = editor.close_up(image, seen, chosen)
        assert cut.shape == (300, 300, 3)
        middle = cut[140:160, 140:160].reshape(-1, 3).astype(int)
        assert (middle[:, 0] - middle[:, 2] > 100).any()


def test_exhibits_of_nothing_known() -> None:
    person = synthetic_take(frame_count=3).people[0]
    blank = replace(person.markers, points_world=person.markers.points_world * math.nan)
    exhibit = exhibit_markers(blank, "blank")
    assert exhibit.floor_m == 0.0
    assert exhibit_clip(person.clip, "x").figures[0].positions is not None
