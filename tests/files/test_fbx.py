"""FBX through Blender: there and back; and what is said where Blender is absent or fails."""

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muybridge.cli.main import main
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.convert import read_clip
from muybridge.files.fbx import BLENDER, find_blender, read_fbx, write_fbx
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.motions import BVH_FILES, random_clip

needs_blender = pytest.mark.skipif(
    not os.environ.get(BLENDER),
    reason="MUYBRIDGE_BPY does not name the python of a virtual environment with bpy==4.5.15",
)
needs_data = pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
NEAR = 3e-4  # metres; a curve that turns over by 360 degrees costs Blender's float32 times 1e-4


def furthest(found: Clip, clip: Clip) -> float:
    """Largest distance of a joint from where it was, metres."""
    order = [found.skeleton.index(name) for name in clip.skeleton.names]
    moved = forward_clip(found).positions[:, order] - forward_clip(clip).positions
    return float(moved.norm(dim=-1).max())


@pytest.mark.blender
@needs_blender
@needs_data
@pytest.mark.parametrize("path", BVH_FILES[1:12:4], ids=lambda path: path.stem)
def test_recorded_motion_survives(path: Path, tmp_path: Path) -> None:
    """Pose, rest pose, tips, length and frame rate; 45 to 524 frames, so not Blender's 250."""
    clip = read_clip(path)
    write_fbx(tmp_path / "a.fbx", clip)
    found = read_fbx(tmp_path / "a.fbx")
    assert (len(found), found.name) == (len(clip), "a")
    assert found.fps == pytest.approx(clip.fps, rel=1e-6)
    assert furthest(found, clip) < NEAR
    order = [found.skeleton.index(name) for name in clip.skeleton.names]
    rest = found.skeleton.offsets[order][1:]
    torch.testing.assert_close(rest, clip.skeleton.offsets[1:], atol=1e-5, rtol=0)
    assert [found.skeleton.end_sites[k] for k in order] == list(clip.skeleton.end_sites)
    assert found.translations is None


@pytest.mark.blender
@needs_blender
def test_the_command_goes_there_and_back(tmp_path: Path) -> None:
    clip = random_clip(3, frames=4, fps=29.97)
    write_bvh(tmp_path / "a.bvh", clip)
    main(["convert", str(tmp_path / "a.bvh"), str(tmp_path / "a.fbx")])
    main(["convert", str(tmp_path / "a.fbx"), str(tmp_path / "b.bvh")])
    found = read_bvh(tmp_path / "b.bvh").clip
    assert found.fps == pytest.approx(29.97, rel=1e-6)
    assert furthest(found, clip) < NEAR


@pytest.mark.blender
@needs_blender
def test_what_is_no_fbx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.fbx").write_text("; FBX 7.3.0 project file\n")
    with pytest.raises(InputError, match="ASCII FBX") as raised:
        read_fbx(tmp_path / "a.fbx")
    assert "\n" not in str(raised.value)


def test_without_blender_one_sentence_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(BLENDER, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    write_bvh(tmp_path / "a.bvh", random_clip(0))
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "a.bvh"), str(tmp_path / "a.fbx")])
    assert ended.value.code == 2
    assert "pip install bpy" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.bvh"]


def test_a_wrong_path_to_blender_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BLENDER, "/nowhere/python")
    with pytest.raises(InputError, match="'/nowhere/python'"):
        find_blender()


@pytest.mark.parametrize(
    ("body", "said"),
    [("import sys; sys.exit('no module named bpy')", "no module named bpy"), ("", "got nothing")],
)
def test_a_failing_blender_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    """A stand-in for Blender's Python that fails, or ends well and has written nothing."""
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\n{body}\n")
    fake.chmod(0o755)
    monkeypatch.setenv(BLENDER, str(fake))
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.fbx").write_text("old")
    with pytest.raises(InputError, match=said):
        write_fbx(out / "a.fbx", random_clip(0))
    assert [path.read_text() for path in out.iterdir()] == ["old"]
    with pytest.raises(InputError, match=r"a\.fbx: expected"):
        read_fbx(out / "a.fbx")


def test_gaps_and_long_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BLENDER, sys.executable)
    clip, broken = random_clip(0), random_clip(0)
    broken.root[4] = torch.nan
    with pytest.raises(InputError, match="1 of 5 frames"):
        write_fbx(tmp_path / "a.fbx", broken)
    names = ("x" * 64, *clip.skeleton.names[1:])
    with pytest.raises(InputError, match="at most 63 bytes"):
        write_fbx(tmp_path / "a.fbx", replace(clip, skeleton=replace(clip.skeleton, names=names)))
    assert list(tmp_path.iterdir()) == []
