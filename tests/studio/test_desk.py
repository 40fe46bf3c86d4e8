"""The editing desk: dragging, keys, undo and saving, without a window."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from muybridge.edit.keys import ROOT_PATH
from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import humanoid
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import forward_clip
from muybridge.studio.desk import Desk
from tests.model_person import model_person

UP = torch.tensor([0.0, 0.25, 0.1], dtype=torch.float64)


def desk(folder: Path = Path("walk.bvh"), frames: int = 40) -> Desk:
    """The model person's walk on a desk."""
    return Desk(model_person(HALPE_26, frames)[0], folder)


def moved(before: Clip, after: Clip) -> torch.Tensor:
    """How far each joint has moved in each frame, metres."""
    return (forward_clip(after).positions - forward_clip(before).positions).norm(dim=-1)


def test_a_dragged_hand_gets_there_and_the_rest_of_the_clip_stays() -> None:
    work, hand = desk(), "left_hand"
    before, at = work.clip, humanoid(desk().clip.skeleton)
    goal = work.place(hand, 20) + UP
    shown = work.preview(hand, 20, goal, ("feet",))
    assert work.clip is before
    assert not work.can_undo
    work.drag(hand, 20, goal, ("feet",), ease=0.2)
    apart = moved(before, work.clip)
    assert float((work.place(hand, 20) - goal).norm()) < 1e-3
    assert float((shown[at[hand]] - goal).norm()) < 1e-3
    assert float(apart[20, [at["left_foot"], at["right_foot"]]].max()) < 5e-3
    assert float(apart[:7].max()) < 1e-9
    assert float(apart[34:].max()) < 1e-9
    steps = (apart[1:, at[hand]] - apart[:-1, at[hand]]).abs()
    assert float(steps.max()) < 0.08, "the change jumps"


def test_undo_and_redo_walk_through_all_drafts() -> None:
    work = desk()
    drafts = [work.clip]
    for frame in (5, 15, 25):
        work.drag("right_hand", frame, work.place("right_hand", frame) + UP)
        drafts.append(work.clip)
    for clip in reversed(drafts[:-1]):
        work.undo()
        assert work.clip is clip
    work.undo()
    assert work.clip is drafts[0]
    work.redo()
    assert work.clip is drafts[1]
    work.drag("head", 5, work.place("head", 5) + 0.1 * UP)
    assert not work.can_redo


def test_keys_hold_the_motion_and_take_a_drag() -> None:
    work = desk()
    start = work.clip
    work.key(0.003)
    assert work.keyed is not None
    assert work.keyed.count() < 0.6 * len(start) * len(start.skeleton)
    assert float(moved(start, work.clip).max()) <= 0.003
    before, goal = work.clip, work.place("left_hand", 17) + UP
    work.drag("left_hand", 17, goal, ("feet",))
    assert float((work.place("left_hand", 17) - goal).norm()) < 2e-3
    changed = geodesic_angle(before.rotations[17], work.clip.rotations[17]) > 1e-3
    names = [n for n, on in zip(start.skeleton.names, changed.tolist(), strict=True) if on]
    assert "LeftArm" in names
    assert all(17 in work.key_frames(name) for name in names)


def test_a_key_is_moved_added_and_deleted() -> None:
    work = desk()
    work.key()
    name = "LeftForeArm"
    frames = work.key_frames(name)
    work.move_key(name, 1, frames[1] + 1 if frames[2] > frames[1] + 1 else frames[1] - 1)
    assert work.key_frames(name) != frames
    work.undo()
    assert work.key_frames(name) == frames
    free = next(t for t in range(len(work.clip)) if t not in frames)
    curve = work.curve(name)
    work.insert_key(name, free)
    assert sorted((*frames, free)) == work.key_frames(name)
    assert float((work.curve(name) - curve).abs().max()) < 0.5, "a new key bends the curve"
    work.delete_key(name, work.key_frames(name).index(free))
    assert work.key_frames(name) == frames
    work.set_way(name, "stepped")
    held = work.clip.rotations[frames[0] : frames[1], work.clip.skeleton.index(name)]
    assert torch.equal(held, held[:1].expand_as(held))
    work.turn_key(ROOT_PATH, 0, work.clip.root[0] + UP)
    assert float((work.clip.root[0] - (desk().clip.root[0] + UP)).norm()) < 1e-6


def test_what_cannot_be_done_changes_nothing() -> None:
    work = desk()
    with pytest.raises(InputError, match="expected a keyed clip"):
        work.move_key("LeftArm", 0, 1)
    work.key()
    keyed = work.keyed
    for wrong in (
        lambda: work.move_key("LeftForeArm", 999, 1),
        lambda: work.move_key("LeftForeArm", 0, 39),
        lambda: work.insert_key("LeftForeArm", 0),
    ):
        with pytest.raises(InputError):
            wrong()
    assert work.keyed is keyed


@pytest.mark.parametrize("suffix", [".bvh", ".glb", ".npz"])
def test_a_changed_clip_is_saved_beside_its_source(suffix: str, tmp_path: Path) -> None:
    work = desk(tmp_path / f"walk{suffix}")
    assert not work.changed
    work.drag("left_hand", 3, work.place("left_hand", 3) + UP)
    assert work.changed
    path = work.save()
    assert path == tmp_path / f"walk_edited{suffix}"
    assert not work.changed
    again = forward_clip(read_clip(path)).positions
    names = read_clip(path).skeleton.names
    here = forward_clip(work.clip).positions[:, [work.clip.skeleton.names.index(n) for n in names]]
    assert float((again - here).norm(dim=-1).max()) < 1e-4
    with pytest.raises(InputError):
        work.save(tmp_path / "missing" / "x.xyz")
