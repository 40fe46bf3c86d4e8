"""BVH against a plain loop with scipy; round trips; the oddities of real files; damaged files."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.errors import InputError
from muybridge.files import bvh as bvh_module
from muybridge.files.bvh import BvhFile, Unit, bvh_from_clip, read_bvh, write_bvh, write_bvh_file
from muybridge.geometry.rotation import geodesic_angle, identity_quaternion, quaternion_from_rotvec
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests import bvh_memory
from tests.motions import BVH_FILES, clip_makers, damaged, random_clip

needs_data = pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
each_file = pytest.mark.parametrize("path", BVH_FILES, ids=lambda path: path.stem)
ANGLE = 1e-4  # degrees

SMALL = """HIERARCHY
ROOT hips
{
\tOFFSET 1.0 2.0 3.0
\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
\tJOINT knee
\t{
\t\tOFFSET 0.0 -40.0 0.0
\t\tCHANNELS 3 Zrotation Xrotation Yrotation
\t\tEnd Site
\t\t{
\t\t\tOFFSET 0.0 -40.0 0.0
\t\t}
\t}
}
MOTION
Frames: 2
Frame Time: 0.033333
0.0 90.0 0.0 10.0 20.0 30.0 0.0 45.0 0.0
1.0 90.0 0.0 10.0 20.0 30.0 0.0 90.0 0.0
"""


def plain_positions(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Joint positions by one channel at a time, in file units: the slow and obvious twin."""
    head, _, body = path.read_text().partition("MOTION")
    rows = np.array([line.split() for line in body.strip().splitlines()[2:]], float)
    column, stack, name = 0, [], ""
    offset = np.zeros(3)
    for words in (line.split() for line in head.splitlines()[1:] if line.strip()):
        match words[0]:
            case "ROOT" | "JOINT":
                name = words[1]
            case "End":
                name = "end"
            case "OFFSET":
                offset = np.array(words[1:], float)
                if name == "end":
                    above, turn = stack[-1]
                    yield name, above + turn.apply(offset)
            case "CHANNELS":
                place, turn = np.tile(offset, (len(rows), 1)), Rotation.identity(len(rows))
                for channel in words[2:]:
                    axis = "XYZ".index(channel[0])
                    if channel.endswith("position"):
                        place[:, axis] = rows[:, column]
                    else:
                        step = Rotation.from_euler(channel[0], rows[:, [column]], degrees=True)
                        turn = turn * step
                    column += 1
                if stack:
                    above, outer = stack[-1]
                    place, turn = above + outer.apply(place), outer * turn
                stack.append((place, turn))
                yield name, place
            case "}":
                if name == "end":
                    name = ""
                else:
                    stack.pop()


@needs_data
@each_file
def test_positions_equal_a_plain_loop(path: Path) -> None:
    file = read_bvh(path, unit="m")
    positions = forward_clip(file.clip).positions.numpy()
    expected = list(plain_positions(path))
    for ours, theirs in zip(file.source_names, (name for name, _ in expected), strict=True):
        assert ours.endswith("_end") if theirs == "end" else ours == theirs
    np.testing.assert_allclose(positions, np.stack([p for _, p in expected], 1), rtol=0, atol=1e-12)


def odd_bvh(seed: int) -> str:
    """A file as nobody writes it: any channels in any order, odd numbers, blanks and names."""
    rng = np.random.default_rng(seed)
    joints, width, lines = int(rng.integers(2, 8)), 0, []
    parents = [-1, *(int(rng.integers(0, j)) for j in range(1, joints))]

    def number() -> str:
        value = rng.normal() * 10.0 ** rng.integers(-2, 3)
        text = f"{value:.{rng.integers(0, 9)}f}"
        return (
            text.replace("0.", ".", 1)
            if text.startswith(("0.", "-0.")) and rng.random() < 0.5
            else text
        )

    def joint(index: int) -> None:
        nonlocal width
        channels = [f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")]
        kinds = [channels, channels[1::2], channels[1::2], []]
        chosen = rng.permutation(kinds[0] if index == 0 else kinds[rng.integers(0, 4)]).tolist()
        width += len(chosen)
        lines.append(f"{'ROOT' if index == 0 else ' JOINT'} rig:{index}")
        lines.extend(("{", f"OFFSET  {number()} {number()}\t{number()}"))
        lines.append(f"CHANNELS {len(chosen)} {' '.join(chosen)} ")
        below = [child for child, parent in enumerate(parents) if parent == index]
        for child in below:
            joint(child)
        if not below:
            lines.extend(("End Site", "{", f"OFFSET {number()} {number()} {number()}", "}"))
        lines.append("}")

    joint(0)
    frames = int(rng.integers(1, 6))
    rows = ["  ".join(number() for _ in range(width)) + " " for _ in range(frames)]
    head = ["HIERARCHY", *lines, "  MOTION", f"Frames:\t{frames}", "Frame Time: .04"]
    return "\r\n".join((*head, *rows, "", ""))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000))
def test_odd_files_equal_a_plain_loop(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Six channels on some joints, none on others, mixed orders, root offset, `.5`, `rig:0`."""
    path = tmp_path_factory.getbasetemp() / "odd.bvh"
    path.write_text(odd_bvh(seed))
    positions = forward_clip(read_bvh(path, unit="m").clip).positions.numpy()
    expected = np.stack([place for _, place in plain_positions(path)], 1)
    size = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(positions, expected, rtol=0, atol=1e-14 * size + 1e-12)


@needs_data
@each_file
def test_round_trip_keeps_every_channel(path: Path, tmp_path: Path) -> None:
    file = read_bvh(path)
    write_bvh(tmp_path / "a.bvh", file.clip, like=file)
    again = read_bvh(tmp_path / "a.bvh")
    assert again.channels == file.channels
    assert again.skeleton.names == file.skeleton.names
    assert (again.fps, len(again.clip)) == (file.fps, len(file.clip))
    np.testing.assert_allclose(again.values, file.values, rtol=0, atol=5.1e-7)
    angle = torch.rad2deg(geodesic_angle(again.clip.rotations, file.clip.rotations))
    assert float(angle.max()) < ANGLE
    write_bvh(tmp_path / "b.bvh", again.clip, like=again)
    assert (tmp_path / "b.bvh").read_bytes() == (tmp_path / "a.bvh").read_bytes()
    write_bvh_file(tmp_path / "c.bvh", again)
    assert (tmp_path / "c.bvh").read_bytes() == (tmp_path / "a.bvh").read_bytes()


@needs_data
@each_file
def test_a_clip_alone_survives(path: Path, tmp_path: Path) -> None:
    clip = read_bvh(path).clip
    write_bvh(tmp_path / "a.bvh", clip)
    again = read_bvh(tmp_path / "a.bvh").clip
    assert (again.fps, len(again)) == (clip.fps, len(clip))
    moved = forward_clip(again).positions - forward_clip(clip).positions
    assert float(moved.abs().max()) < 1e-6
    assert float(torch.rad2deg(geodesic_angle(again.rotations, clip.rotations)).max()) < ANGLE


@settings(max_examples=60, deadline=None)
@given(clip_makers(), st.sampled_from(["cm", "m"]))
def test_any_clip_survives(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[], Clip], unit: Unit
) -> None:
    path, clip = tmp_path_factory.getbasetemp() / "any.bvh", make()
    write_bvh(path, clip, unit)
    again = read_bvh(path, unit).clip
    assert again.fps == pytest.approx(clip.fps, rel=1e-12)
    order = [again.skeleton.names.index(name) for name in clip.skeleton.names]
    positions = forward_clip(again).positions[:, order]
    assert float((positions - forward_clip(clip).positions).abs().max()) < 2e-5
    assert tuple(again.skeleton.end_sites[k] for k in order) == clip.skeleton.end_sites
    assert path.read_text().splitlines()[3].split() == [
        "OFFSET",
        "0.000000",
        "0.000000",
        "0.000000",
    ]
    assert "-0.000000" not in path.read_text()


def _small(tmp_path: Path, old: str = "", new: str = "") -> Path:
    path = tmp_path / "small.bvh"
    assert old in SMALL, old
    path.write_text(SMALL.replace(old, new) if old else SMALL)
    return path


def test_root_channel_replaces_or_adds_to_the_offset(tmp_path: Path) -> None:
    path = _small(tmp_path)
    replaced, added = (read_bvh(path, offsets=how) for how in ("replace", "add"))
    torch.testing.assert_close(replaced.clip.root[0], torch.tensor([0.0, 0.9, 0.0]).double())
    torch.testing.assert_close(added.clip.root[0], torch.tensor([0.01, 0.92, 0.03]).double())
    for file in (replaced, added):
        write_bvh_file(tmp_path / "out.bvh", file)
        again = read_bvh(tmp_path / "out.bvh").clip
        torch.testing.assert_close(again.root, file.clip.root, atol=1e-8, rtol=0)
        assert float(again.skeleton.offsets[0].abs().max()) == 0.0


def test_end_sites_become_joints(tmp_path: Path) -> None:
    skeleton = read_bvh(_small(tmp_path)).skeleton
    assert skeleton.names == ("hips", "knee", "knee_end")
    assert skeleton.end_sites == (False, False, True)


ODD = {
    "brace on the same line": ("ROOT hips\n{", "ROOT hips {"),
    "windows line ends": ("\n", "\r\n"),
    "indented MOTION": ("MOTION", "   MOTION  "),
    "extra blanks": ("0.0 90.0 0.0", "   0.0   90.0\t0.0 "),
    "no leading zero": ("0.033333", ".033333"),
    "colon without blank": ("Frames: 2", "Frames:2"),
    "lower case": ("Xposition", "xPosition"),
    "byte order mark": ("HIERARCHY", "\ufeffHIERARCHY"),
    "whole numbers": ("1.0 90.0", "1 90"),
    "exponent": ("1.0 90.0", "1e0 9.0e1"),
    "rows broken in two": ("0.0 10.0 20.0", "0.0\n10.0 20.0"),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_odd_spelling_reads_the_same(tmp_path: Path, change: tuple[str, str]) -> None:
    plain = read_bvh(_small(tmp_path)).clip
    odd = read_bvh(_small(tmp_path, *change)).clip
    assert odd.fps == plain.fps == 30.0
    torch.testing.assert_close(odd.rotations, plain.rotations)
    torch.testing.assert_close(odd.root, plain.root)


def test_names_are_made_safe_and_mapped(tmp_path: Path) -> None:
    path = _small(tmp_path, "JOINT knee", "JOINT mixamorig:Left Knee.001")
    file = read_bvh(path)
    assert file.skeleton.names[1] == "mixamorig_Left_Knee_001"
    assert file.source_names[1] == "mixamorig:Left Knee.001"
    assert read_bvh(path, names="keep").skeleton.names[1] == "mixamorig:Left Knee.001"
    again = tmp_path / "again.bvh"
    write_bvh(again, replace(file.clip, skeleton=read_bvh(path, names="keep").skeleton))
    assert "JOINT mixamorig_Left_Knee_001" in again.read_text()


def test_repeated_names_are_numbered(tmp_path: Path) -> None:
    path = _small(tmp_path, "JOINT knee", "JOINT hips")
    assert read_bvh(path).skeleton.names[:2] == ("hips", "hips_2")
    with pytest.raises(InputError, match="unique joint names"):
        read_bvh(path, names="keep")


def test_joints_without_channels_and_with_six(tmp_path: Path) -> None:
    knee = "CHANNELS 3 Zrotation Xrotation Yrotation"
    text = SMALL.replace("\t\t" + knee, "\t\tCHANNELS 0").replace(" 0.0 45.0 0.0\n", "\n")
    path = tmp_path / "none.bvh"
    path.write_text(text.replace(" 0.0 90.0 0.0\n", "\n"))
    torch.testing.assert_close(read_bvh(path).clip.rotations[:, 1], identity_quaternion(2))
    six = "CHANNELS 6 Yrotation Xposition Zrotation Yposition Xrotation Zposition"
    text = SMALL.replace("\t\t" + knee, "\t\t" + six).replace("45.0 0.0\n", "1 2 3 4 5\n")
    path.write_text(text.replace(" 0.0 90.0 0.0\n", " 0.0 1 2 3 4 5\n"))
    clip = read_bvh(path).clip
    assert clip.translations is not None
    torch.testing.assert_close(clip.translations[0, 1], torch.tensor([0.01, 0.03, 0.05]).double())
    expected = Rotation.from_euler("YZX", [0.0, 2.0, 4.0], degrees=True).as_quat()
    torch.testing.assert_close(clip.rotations[0, 1], torch.from_numpy(expected))


def test_a_hinge_keeps_its_one_channel_until_it_turns_otherwise(tmp_path: Path) -> None:
    knee = "\t\tCHANNELS 3 Zrotation Xrotation Yrotation"
    text = SMALL.replace(knee, "\t\tCHANNELS 1 Xrotation").replace("0.0 45.0 0.0\n", "170.0\n")
    path = tmp_path / "hinge.bvh"
    path.write_text(text.replace("0.0 90.0 0.0\n", "-100.0\n"))
    file = read_bvh(path)
    again = bvh_from_clip(file.clip, like=file)
    assert again.channels == file.channels
    np.testing.assert_allclose(again.values, file.values, atol=1e-9)
    turned = file.clip.rotations.clone()
    turned[:, 1] = quaternion_from_rotvec(torch.tensor([0.3, 0.2, 0.1]).double())
    wider = bvh_from_clip(replace(file.clip, rotations=turned), like=file)
    assert wider.channels[1] == ("Xrotation", "Yrotation", "Zrotation")
    torch.testing.assert_close(wider.clip.rotations[:, 1].abs(), turned[:, 1].abs())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-720.0, 720.0), min_size=6, max_size=6), st.sampled_from([None, 90, -270])
)
def test_angles_stay_those_of_the_file(angles: list[float], middle: float | None) -> None:
    """Outside the principal range, at gimbal lock: `like` gives the file's own numbers back."""
    angles = [round(a, 3) for a in angles]
    if middle is not None:
        angles[1] = angles[4] = float(middle)
    values = np.array([[0.0, 90.0, 0.0, *angles]])
    skeleton = Skeleton(("a", "b"), (-1, 0), torch.zeros(2, 3, dtype=torch.float64))
    channels = (("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation"),
                ("Xrotation", "Zrotation", "Yrotation"))  # fmt: skip
    file = BvhFile(skeleton, channels, values, 30.0)
    again = bvh_from_clip(file.clip, like=file)
    near_lock = max(1.0 / max(abs(np.cos(np.radians(angles[k]))), 1e-7) for k in (1, 4))
    np.testing.assert_allclose(again.values, values, atol=1e-12 * near_lock + 2e-6)


def test_turning_on_and_on_never_jumps() -> None:
    """Two full turns about y and a forward roll: curves between frames must not spin back."""
    t = torch.linspace(0.0, 1.0, 200, dtype=torch.float64)
    rotvec = torch.zeros(200, 2, 3, dtype=torch.float64)
    rotvec[:, 0, 1], rotvec[:, 1, 0] = 4.0 * torch.pi * t, 2.0 * torch.pi * t
    skeleton = Skeleton(("a", "b"), (-1, 0), torch.ones(2, 3, dtype=torch.float64))
    clip = Clip(skeleton, quaternion_from_rotvec(rotvec), torch.zeros(200, 3).double(), 30.0)
    values = bvh_from_clip(clip).values
    assert np.abs(np.diff(values, axis=0)).max() < 5.0
    assert np.ptp(values[:, 5]) == pytest.approx(720.0)


MALFORMED = {
    "empty": (SMALL, "", "empty"),
    "no MOTION": ("MOTION", "MOTIONS", "MOTION"),
    "no HIERARCHY": ("HIERARCHY", "", "HIERARCHY"),
    "frame count too high": ("Frames: 2", "Frames: 3", "3 frames of 9 numbers, got 18"),
    "frame count too low": ("Frames: 2", "Frames: 1", "1 frames of 9 numbers, got 18"),
    "no frames": ("Frames: 2", "Frames: 0", "at least one frame"),
    "negative frames": ("Frames: 2", "Frames: -2", "at least one frame"),
    "frames in words": ("Frames: 2", "Frames: two", "at least one frame"),
    "no Frames line": ("Frames: 2\n", "", "Frames"),
    "zero frame time": ("0.033333", "0", "above 0 seconds"),
    "frame time nan": ("0.033333", "nan", "above 0 seconds"),
    "text in the motion": ("45.0", "fast", "'fast' in line 19"),
    "nan in the motion": ("45.0", "nan", "'nan' in line 19"),
    "infinity in the motion": ("45.0", "inf", "'inf' in line 19"),
    "text in an offset": ("OFFSET 1.0 2.0", "OFFSET left 2.0", "line 4"),
    "offset of two": ("OFFSET 1.0 2.0 3.0", "OFFSET 1.0 2.0", "line 4"),
    "offset nan": ("OFFSET 1.0", "OFFSET nan", "line 4"),
    "channel count lies": ("CHANNELS 3", "CHANNELS 4", "line 9"),
    "unknown channel": ("3 Zrotation", "3 Wrotation", "line 9"),
    "channel twice": ("3 Zrotation Xrotation", "3 Xrotation Xrotation", "line 9"),
    "brace missing": ("}\nMOTION", "MOTION", "unfinished hierarchy"),
    "brace too many": ("}\nMOTION", "}\n}\nMOTION", "line 16"),
    "two roots": ("}\nMOTION", "}\nROOT b\n{\nOFFSET 0 0 0\n}\nMOTION", "one ROOT"),
    "no root": ("ROOT hips", "JOINT hips", "one ROOT"),
    "nameless": ("ROOT hips", "ROOT", "name after ROOT"),
    "joint in an end site": ("OFFSET 0.0 -40.0 0.0\n\t\t}", "JOINT x\n{\n}\n}", "End Site"),
    "no channels at all": ("", "", "numbers"),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_get_one_sentence(tmp_path: Path, case: tuple[str, str, str]) -> None:
    old, new, words = case
    path = _small(tmp_path, old, new)
    if not old:
        path.write_text(re.sub(r"CHANNELS.*", "CHANNELS 0", SMALL))
    with pytest.raises(InputError, match=re.escape(words)) as raised:
        read_bvh(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["absent.bvh", "folder"])
def test_no_file_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="found none at"):
        read_bvh(tmp_path / name)


@settings(max_examples=300, deadline=None)
@given(damaged(SMALL.encode(), b"{}0129.-e \n\tXYZRMHz\0\xff"))
def test_damaged_files_read_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.bvh"
    path.write_bytes(content)
    try:
        clip = read_bvh(path).clip
    except InputError:
        return
    assert bool(clip.rotations.isfinite().all())
    assert bool(clip.root.isfinite().all())


def test_gaps_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    clip = random_clip(0)
    rotations = clip.rotations.clone()
    rotations[2:4, 1] = torch.nan
    with pytest.raises(InputError, match=r"2 of 5 frames without \(first: \[2\]\)"):
        write_bvh(tmp_path / "a.bvh", replace(clip, rotations=rotations))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_broken_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def table(*_: object) -> Iterator[bytes]:
        yield b"1 2 3\n"
        raise error

    path = tmp_path / "a.bvh"
    write_bvh(path, random_clip(0))
    before = path.read_bytes()
    monkeypatch.setattr(bvh_module, "format_table", table)
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_bvh_file(path, bvh_from_clip(random_clip(1)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_to_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got the folder"):
        write_bvh(tmp_path, random_clip(0))


def test_long_chains_do_not_recurse(tmp_path: Path) -> None:
    clip = random_clip(0, joints=2, tips=False)
    deep = 3000
    skeleton = Skeleton(
        tuple(f"j{k}" for k in range(deep)),
        tuple(range(-1, deep - 1)),
        torch.zeros(deep, 3).double(),
    )
    clip = Clip(skeleton, identity_quaternion(2, deep), clip.root[:2], 30.0)
    write_bvh(tmp_path / "deep.bvh", clip)
    assert read_bvh(tmp_path / "deep.bvh").skeleton.parents == skeleton.parents


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux' /proc")
def test_a_long_file_costs_less_than_three_times_its_size(tmp_path: Path) -> None:
    """64 joints as in `bench.bvh`, which reads 150,000 frames; here 6,000, in a process apart."""
    clip = random_clip(0, joints=64, frames=200, tips=False)
    values = np.tile(bvh_from_clip(clip).values, (30, 1))
    path = tmp_path / "long.bvh"
    write_bvh_file(path, replace(bvh_from_clip(clip), values=values))
    done = subprocess.run(
        [sys.executable, bvh_memory.__file__, str(path)], capture_output=True, text=True, check=True
    )
    size = path.stat().st_size / 1024
    for kilobytes in map(int, done.stdout.split()[:2]):
        assert 0.5 * size < kilobytes < 3.0 * size


@pytest.mark.parametrize("fps", [1e-7, 1e6, 1e9])
def test_rates_that_no_reader_takes_are_not_written(tmp_path: Path, fps: float) -> None:
    with pytest.raises(InputError, match="frames a second for BVH"):
        write_bvh(tmp_path / "a.bvh", replace(random_clip(0), fps=fps))
    assert list(tmp_path.iterdir()) == []
