"""`muybridge convert`: there and back."""

from pathlib import Path

import pytest
import torch

from muybridge.cli.main import main
from muybridge.files.bvh import read_bvh, write_bvh
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
