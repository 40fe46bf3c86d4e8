"""The studio's panel for motions: dragging in a real browser, keys, curve, undo and save."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.edit.keys import ROOT_PATH
from muybridge.files.bvh import write_bvh
from muybridge.files.convert import read_clip
from muybridge.motion.keypoints import HALPE_26
from muybridge.studio.exhibit import open_exhibit
from tests.model_person import model_person
from tests.studio.browser import browse

FRAME = 20


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def panel(tmp_path: Path):
    """The motion editor over a walk of the model person, on frame 20."""
    editor = pytest.importorskip("muybridge.studio.motion_editor")
    stage = sys.modules["muybridge.studio.stage"]
    from muybridge.studio.desk import Desk

    path = tmp_path / "walk.bvh"
    write_bvh(path, model_person(HALPE_26, 40)[0])
    exhibit = open_exhibit(path)
    studio = stage.Studio(exhibit, _free_port())
    assert exhibit.figures[0].clip is not None
    panel = editor.MotionEditor(studio, Desk(exhibit.figures[0].clip, path))
    stage.set_value(studio.slider, FRAME)
    yield panel
    studio.close()


def test_the_gizmo_follows_its_part_and_moves_the_body(panel) -> None:
    stage = sys.modules["muybridge.studio.stage"]
    stage.set_value(panel.handle, "left_hand")
    assert panel.gizmo.visible
    start = panel.desk.place("left_hand", FRAME)
    assert np.allclose(panel.gizmo.position, start.numpy(), atol=1e-6)
    goal = start + torch.tensor([0.0, 0.2, 0.1], dtype=torch.float64)
    panel.gizmo.position = goal.numpy()
    panel.preview()
    assert not panel.desk.can_undo, "a preview is no change"
    panel.drop()
    assert float((panel.desk.place("left_hand", FRAME) - goal).norm()) < 2e-3
    stage.set_value(panel.studio.slider, 3)
    assert np.allclose(panel.gizmo.position, panel.desk.place("left_hand", 3).numpy(), atol=1e-6)
    panel._do(panel.desk.undo)
    assert not panel.desk.can_undo
    assert panel.undo.disabled


def test_keys_are_chosen_moved_added_and_deleted(panel) -> None:
    stage = sys.modules["muybridge.studio.stage"]
    assert not panel.key.visible
    panel._do(panel.desk.key)
    assert panel.key.visible
    stage.set_value(panel.track, "LeftForeArm")
    frames = panel.desk.key_frames("LeftForeArm")
    stage.set_value(panel.key, 1)
    assert panel.key_frame.value == frames[1] == panel.studio.frame
    dots = np.stack(panel.plot.data[4:7])
    assert np.isfinite(dots).sum() == 3 * len(frames), "every key is a dot on each curve"
    stage.set_value(panel.key_frame, frames[1] + (1 if frames[2] > frames[1] + 1 else -1))
    assert panel.desk.key_frames("LeftForeArm")[1] != frames[1]
    stage.set_value(panel.key_frame, frames[2] + 3)  # beyond the next key
    assert "Not done: expected a time" in panel.note.content
    panel._do(panel.desk.undo)
    assert panel.desk.key_frames("LeftForeArm") == frames
    stage.set_value(panel.way, "linear")
    assert panel.desk.keyed.rotations[0].ways
    stage.set_value(panel.track, ROOT_PATH)
    assert panel.plot.title == "metres"


def test_saving_says_where_and_fails_in_words(panel, tmp_path: Path) -> None:
    stage = sys.modules["muybridge.studio.stage"]
    stage.set_value(panel.handle, "head")
    panel.gizmo.position = np.add(panel.gizmo.position, (0.05, -0.1, 0.0))
    panel.drop()
    assert "changes to save" in panel.note.content
    stage.set_value(panel.target, str(tmp_path / "walk.txt"))
    panel.write()
    assert panel.note.content.startswith("Not saved: expected")
    stage.set_value(panel.target, str(tmp_path / "new.bvh"))
    panel.write()
    assert panel.note.content.startswith("Saved as")
    there = read_clip(tmp_path / "new.bvh")
    assert float((there.root - panel.desk.clip.root).abs().max()) < 1e-5


@pytest.mark.browser
def test_dragging_in_a_browser(panel, tmp_path: Path) -> None:
    """Pull the gizmo's upright arrow on the left hand; undo by the keyboard."""
    stage = sys.modules["muybridge.studio.stage"]
    stage.set_value(panel.handle, "left_hand")
    start = panel.desk.place("left_hand", FRAME).numpy()
    view = panel.studio.server.initial_camera
    view.look_at, view.position = tuple(start), tuple(np.add(start, (0.6, 0.3, 2.0)))
    close = "document.querySelector('button.mantine-CloseButton-root')?.click()"
    middle = "(()=>{const b=document.querySelector('canvas').getBoundingClientRect();"
    middle += "return [b.x + b.width / 2, b.y + b.height / 2]})()"
    address = f"http://127.0.0.1:{panel.studio.port}"
    answer = browse(address, tmp_path, [{"eval": middle, "name": "middle"}], wait_ms=4000)
    x, y = answer["values"]["middle"]
    steps = [
        {"eval": close, "name": "_"}, {"wait": 800}, {"drag": [x, y - 62, x, y - 150]},
        {"wait": 1500}, {"shot": "drag.png"}, {"eval": "document.body.innerText", "name": "text"},
    ]  # fmt: skip
    answer = browse(address, tmp_path, steps, wait_ms=8000)
    for word in ("Drag", "Pin feet", "Make keys", "Undo", "Save as"):
        assert word in answer["values"]["text"]
    moved = panel.desk.place("left_hand", FRAME).numpy() - start
    assert moved[1] > 0.08, f"the hand moved by {moved}"
    assert np.abs(moved[[0, 2]]).max() < 0.02, "the upright arrow moves upright"
    assert panel.desk.can_undo
    browse(address, tmp_path, [{"wait": 500}, {"press": "Control+z"}, {"wait": 1000}], wait_ms=6000)
    assert not panel.desk.can_undo
    assert np.allclose(panel.desk.place("left_hand", FRAME).numpy(), start)
