"""`muybridge edit`: every verb writes what it says, and every mistake is one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import tyro

from muybridge.cli.edit import Edit
from muybridge.errors import InputError
from muybridge.files.clip import load_clip, save_clip
from muybridge.files.convert import read_clip, write_motion
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Caption, Clip
from tests.edit.figures import smooth_clip, walker
from tests.edit.rigs import drooped, scaled


def edit(*words: object) -> None:
    """Run the command as the shell would."""
    tyro.cli(Edit, args=[str(word) for word in words]).run()


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """A walk of two seconds with a caption."""
    path = tmp_path / "walk.npz"
    save_clip(path, replace(walker(120), captions=(Caption("walks to the left", 0.0, 2.0),)))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "out.npz"


def test_resample(walk: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit("resample", walk, "-o", out, "--fps", "30")
    assert (len(load_clip(out)), load_clip(out).fps) == (60, 30.0)
    assert "60 frames, 2.00 s at 30 frames/second" in capsys.readouterr().out


def test_cut_by_seconds_and_by_frames(walk: Path, out: Path) -> None:
    edit("cut", walk, "-o", out, "--start", "0.5", "--end", "1.5")
    whole, by_seconds = load_clip(walk), load_clip(out)
    assert torch.equal(by_seconds.root, whole.root[30:90])
    edit("cut", walk, "-o", out, "--frames", "30:90")
    assert torch.equal(load_clip(out).root, by_seconds.root)
    edit("cut", walk, "-o", out, "--frames", ":-90")
    assert len(load_clip(out)) == 30


def test_join_of_files_at_other_rates(walk: Path, out: Path, tmp_path: Path, capsys) -> None:
    slow = tmp_path / "slow.npz"
    save_clip(slow, walker(60, fps=30.0))
    edit("join", walk, slow, walk, "-o", out, "--method", "blend", "--seconds", "0.2")
    assert len(load_clip(out)) == 120 + 119 + 120 - 24
    assert "resampled from 30 to 60" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize("verb", ["mirror", "smooth", "pin", "loop", "fill"])
def test_verbs_of_one_clip(verb: str, walk: Path, out: Path) -> None:
    edit(verb, walk, "-o", out)
    clip = load_clip(out)
    assert len(clip) == 120
    assert clip.name == "out"
    word = "right" if verb == "mirror" else "left"
    assert clip.captions[0].text == f"walks to the {word}"


def test_blend_and_timewarp(walk: Path, out: Path, tmp_path: Path) -> None:
    other = tmp_path / "fast.npz"
    save_clip(other, walker(120, turn=0.5))
    edit("blend", walk, other, "-o", out, "--weights", "3", "1")
    assert len(load_clip(out)) == 120
    save_clip(other, walker(80, steps=1.5, speed=1.8))
    edit("timewarp", walk, other, "-o", out, "--weight", "0.5")
    assert len(load_clip(out)) == pytest.approx(100, abs=1)
    edit("timewarp", walk, other, "-o", out, "--timing")
    assert len(load_clip(out)) == 80


def test_loop_in_rounds(walk: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit("cut", walk, "-o", out, "--frames", "0:58")
    edit("loop", out, "-o", out, "--times", "3", "--drop-last")  # over its own input
    assert len(load_clip(out)) == 3 * 57
    assert "degrees apart" in capsys.readouterr().out


def test_retarget_with_a_map(walk: Path, out: Path, tmp_path: Path, capsys) -> None:
    rig = scaled(drooped(walker(1).skeleton), 1.2, 0.9)
    names = tuple("Paw" if n == "LeftHand" else n for n in rig.names)
    target, names_file = tmp_path / "rig.npz", tmp_path / "map.json"
    save_clip(target, replace(walker(1), skeleton=replace(rig, names=names)))
    names_file.write_text(json.dumps({"Paw": "LeftHand"}))
    edit("retarget", walk, target, "-o", out, "--map", names_file)
    clip = load_clip(out)
    assert clip.skeleton.names == names
    assert clip.contacts is not None
    assert "would slide" in capsys.readouterr().out
    edit("retarget", walk, target, "-o", out, "--no-feet", "--scale", "1")
    assert torch.allclose(load_clip(out).root[:, 2], load_clip(walk).root[:, 2], atol=1e-9)


def test_fill_says_how_much(out: Path, tmp_path: Path, capsys) -> None:
    clip = walker(50)
    rotations = clip.rotations.clone()
    rotations[10:20] = torch.nan
    save_clip(tmp_path / "holed.npz", replace(clip, rotations=rotations))
    edit("fill", tmp_path / "holed.npz", "-o", out)
    assert "filled 20.0 %" in capsys.readouterr().out.replace("\n", " ")
    assert bool(load_clip(out).rotations.isfinite().all())


def test_path(walk: Path, out: Path, tmp_path: Path, capsys) -> None:
    line = tmp_path / "line.json"
    line.write_text("[[0, 0], [1, 0.5], [2, 0]]")
    edit("path", walk, line, "-o", out, "--fit")
    end = load_clip(out).root[-1, [0, 2]]
    assert float((end - torch.tensor([2.0, 0.0])).norm()) < 0.1
    assert "along a path of" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".bvh", ".glb"])
def test_other_formats_in_and_out(walk: Path, tmp_path: Path, suffix: str) -> None:
    file, result = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write_motion(file, load_clip(walk))
    edit("mirror", file, "-o", result)
    edit("mirror", result, "-o", result)
    a, b = read_clip(file), read_clip(result)
    assert float(geodesic_angle(a.rotations, b.rotations).max()) < 1e-3


def _files(folder: Path, clip: Clip) -> dict[str, Path]:
    """Files that go wrong, by their names."""
    holed = replace(clip, root=torch.full_like(clip.root, torch.nan))
    texts = {"text": "hello", "list": "[[1, 2]]", "badmap": '{"a": 1}'}
    paths = {name: folder / f"{name}.json" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    for name, value in (("walk", clip), ("tree", smooth_clip(1)), ("holed", holed),
                        ("short", clip.frames(0, 3))):  # fmt: skip
        paths[name] = folder / f"{name}.npz"
        save_clip(paths[name], value)
    return {**paths, "none": folder / "none.bvh"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mirror none", "none.bvh"),
        ("mirror text", "ending in"),
        ("mirror tree", "pairs of left and right"),
        ("resample walk --fps 0", "positive frame rate"),
        ("cut walk", "seconds or frames"),
        ("cut walk --start 1 --frames 1:2", "got both"),
        ("cut walk --frames 5", "FIRST:STOP"),
        ("cut walk --frames 5:500", "frames within"),
        ("cut walk --start 9", "span within"),
        ("join walk", "at least two"),
        ("join walk tree", "same joints"),
        ("join walk walk --seconds 0", "some length"),
        ("join walk short --method blend", "shorter than both"),
        ("join walk holed", "known pose"),
        ("blend walk short", "one length"),
        ("blend walk walk --weights 1", "weight for each"),
        ("timewarp walk walk --weight 3", "weight from 0 to 1"),
        ("timewarp walk tree", "same joints"),
        ("loop short", "at least 4 frames"),
        ("loop walk --share 2", "share from 0 to 1"),
        ("loop walk --times 0", "one round"),
        ("smooth walk --cutoff 100", "half the frame rate"),
        ("smooth holed", "known pose"),
        ("retarget walk tree", "legs and arms"),
        ("retarget walk walk --map badmap", "JSON object"),
        ("retarget walk walk --scale -1", "positive scale"),
        ("retarget walk walk --rest-frame 999", "rest pose"),
        ("pin tree", "skeleton with feet"),
        ("pin walk --ease -1", "ease of 0"),
        ("pin walk --speed 0", "speed of feet"),
        ("fill holed", "known pose of every joint"),
        ("path walk text", "JSON"),
        ("path walk list", "at least two points"),
    ],
)
def test_every_mistake_is_one_sentence(line: str, words: str, tmp_path: Path, out: Path) -> None:
    files = _files(tmp_path, walker(60))
    verb, *rest = line.split()
    with pytest.raises(InputError, match=words) as caught:
        edit(verb, *(files.get(word, word) for word in rest), "-o", out)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_a_suffix_that_cannot_be_written_is_refused_before_the_work(walk: Path) -> None:
    with pytest.raises(InputError, match="ending in"):
        edit("mirror", walk, "-o", walk.with_suffix(".xyz"))
