"""`muybridge convert`: there and back."""

from pathlib import Path

import pytest
import torch

from muybridge.cli.main import main
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.clip import load_clip
from muybridge.files.gltf import read_glb
from muybridge.files.trc import read_trc
from muybridge.motion.kinematics import forward_clip
from tests.motions import random_clip


def test_a_clip_survives_the_way_through_glb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = random_clip(3, frames=4)
    write_bvh(tmp_path / "a.bvh", clip)
    main(["convert", str(tmp_path / "a.bvh"), str(tmp_path / "b.glb")])
    main(["convert", str(tmp_path / "b.glb"), str(tmp_path / "c.bvh")])
    assert "wrote" in capsys.readouterr().out
    found = read_bvh(tmp_path / "c.bvh").clip
    order = [found.skeleton.index(name) for name in clip.skeleton.names]  # files go depth first
    places = forward_clip(found).positions[:, order]
    torch.testing.assert_close(places, forward_clip(clip).positions, atol=1e-4, rtol=0.0)


def test_a_clip_becomes_the_places_of_its_joints(tmp_path: Path) -> None:
    clip = random_clip(5, frames=4)
    write_bvh(tmp_path / "a.bvh", clip)
    main(["convert", str(tmp_path / "a.bvh"), str(tmp_path / "a.trc")])
    found = read_trc(tmp_path / "a.trc").select(clip.skeleton.names).points_world
    torch.testing.assert_close(found, forward_clip(clip).positions, atol=1e-4, rtol=0.0)


def test_a_body_of_a_program_with_z_up_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = random_clip(7, frames=4)
    write_bvh(tmp_path / "lying.bvh", clip)
    source, target = str(tmp_path / "lying.bvh"), str(tmp_path / "up.npz")
    main(["convert", source, target, "--up", "z"])
    found = load_clip(tmp_path / "up.npz")
    order = [found.skeleton.index(name) for name in clip.skeleton.names]
    places = forward_clip(found).positions[:, order]
    wanted = forward_clip(clip).positions[..., [1, 2, 0]]
    torch.testing.assert_close(places, wanted, atol=1e-4, rtol=0.0)
    assert "states it" in _said([target, source, "--up", "z"], capsys)


def _said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a run that ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["convert", *arguments])
    assert ended.value.code == 2
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("muybridge: ")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("mode", ["step", "linear", "cubicspline"])
def test_the_interpolation_of_a_glb_is_chosen(tmp_path: Path, mode: str) -> None:
    write_bvh(tmp_path / "a.bvh", random_clip(1, frames=4))
    target = tmp_path / "a.glb"
    main(["convert", str(tmp_path / "a.bvh"), str(target), "--interpolation", mode])
    assert f'"interpolation":"{mode.upper()}"'.encode() in target.read_bytes()


def test_the_unit_of_a_bvh_is_chosen(tmp_path: Path) -> None:
    clip = random_clip(1, frames=4)
    write_bvh(tmp_path / "a.bvh", clip, "inch")
    main(["convert", str(tmp_path / "a.bvh"), str(tmp_path / "a.glb"), "--unit", "inch"])
    root = read_glb(tmp_path / "a.glb").root
    torch.testing.assert_close(root, clip.root, atol=1e-5, rtol=0.0)


def test_bad_input_ends_with_two_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bvh(tmp_path / "a.bvh", random_clip(2, frames=1))
    good, bad, out = tmp_path / "a.bvh", tmp_path / "bad.bvh", tmp_path / "out.glb"
    bad.write_text(good.read_text().replace("Frames: 1", "Frames: 2"))
    assert "2 frames of" in _said([str(bad), str(out)], capsys)
    bad.write_text(good.read_text().replace("Frames: 1", "Frames: 0"))
    assert "at least one frame" in _said([str(bad), str(out)], capsys)
    bad.write_text(good.read_text().replace("Zrotation", "Wrotation", 1))
    assert "Wrotation" in _said([str(bad), str(out)], capsys)
    assert "two frames" in _said([str(good), str(out), "--interpolation", "cubicspline"], capsys)
    assert "--interpolation with a .glb" in _said(
        [str(good), str(tmp_path / "out.bvh"), "--interpolation", "step"], capsys
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bvh", "bad.bvh"]
