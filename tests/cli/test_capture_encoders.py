"""`muybridge capture --encoders`: a suit's log to a motion file, or one sentence."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muybridge.capture.encoder_error import full_rig, simulate
from muybridge.cli.main import main
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.encoders import write_encoder_log
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.motions import random_clip


@pytest.fixture
def suit(tmp_path: Path) -> tuple[Path, Clip]:
    """The log of a suit whose header says everything, and the motion behind it."""
    clip = random_clip(0, joints=5, frames=60)
    clip = replace(clip, rotations=clip.rotations[:1].expand(60, -1, -1).clone())
    rig = full_rig(clip.skeleton)
    log = simulate(clip, rig, torch.zeros(len(rig.encoders)).double())
    columns = tuple(f"{column} [12 bit]" for column in log.columns)
    write_encoder_log(tmp_path / "suit.csv", replace(log, columns=columns))
    write_bvh(tmp_path / "skeleton.bvh", clip.frames(0, 1), "m")
    return tmp_path / "suit.csv", clip


def test_a_log_becomes_a_motion_file(
    suit: tuple[Path, Clip], capsys: pytest.CaptureFixture[str]
) -> None:
    path, clip = suit
    main(["capture", "--encoders", str(path), "--out", str(path.with_name("out.bvh"))])
    said = " ".join(capsys.readouterr().out.split())
    assert "60 samples -> 60 frames at 60.00/s" in said
    assert "no calibration pose and no offsets are given" in said
    found = read_bvh(path.with_name("out.bvh")).clip
    order = [found.skeleton.index(name) for name in clip.skeleton.names]
    places = forward_clip(found).positions[:, order]
    expected = forward_clip(clip).positions
    apart = (places - places[:, :1]) - (expected - expected[:, :1])
    assert float(apart.norm(dim=-1).max()) < 0.02  # metres; wild bones of several


def test_silence_ends_with_two_and_writes_nothing(
    suit: tuple[Path, Clip], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = suit
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:12] + lines[50:]))
    with pytest.raises(SystemExit) as ended:
        main(["capture", "--encoders", str(path), "--out", str(path.with_name("out.bvh"))])
    assert ended.value.code == 2
    sentence = capsys.readouterr().err.strip()
    assert "no silence longer than 0.5 s, got 0.65 s" in sentence
    assert "\n" not in sentence
    assert not path.with_name("out.bvh").exists()
