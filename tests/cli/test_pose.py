"""`muybridge pose`: from file to file, what it says, and what it refuses."""

from pathlib import Path

import pytest
import torch
import tyro

from muybridge.cli.pose import Pose
from muybridge.errors import InputError
from muybridge.files.bvh import write_bvh
from muybridge.files.convert import read_clip
from muybridge.motion.kinematics import forward_clip
from tests.motion.ik.people import walker


def pose(*words: str | Path) -> None:
    tyro.cli(Pose, args=[str(word) for word in words]).run()


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    write_bvh(tmp_path / "walk.bvh", walker(9))
    return tmp_path / "walk.bvh"


def test_two_hands_reach_with_the_feet_pinned(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "posed.glb"
    pose(walk, "--reach", "left_hand", "0.35,1.2,0.4", "--reach", "right_hand", "-0.35,1.1,0.4",
         "--pin", "feet", "-o", out)  # fmt: skip
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("left_hand: reached within 0.0")
    assert said[1].startswith("right_hand: reached within 0.0")
    assert [line.split(" within ")[0] for line in said[2:4]] == [
        "LeftFoot: held", "RightFoot: held",
    ]  # fmt: skip
    assert said[4] == f"wrote {out}"
    clip, before = read_clip(out), read_clip(walk)
    places, were = forward_clip(clip).positions, forward_clip(before).positions
    for name, goal in (("LeftHand", (0.35, 1.2, 0.4)), ("RightHand", (-0.35, 1.1, 0.4))):
        off = places[:, clip.skeleton.index(name)] - torch.tensor(goal)
        assert float(off.norm(dim=-1).max()) < 1e-3
    for name in ("LeftFoot", "RightFoot"):
        off = places[:, clip.skeleton.index(name)] - were[:, before.skeleton.index(name)]
        assert float(off.norm(dim=-1).max()) < 5e-3


def test_around_a_moment_relative_to_the_body(walk: Path, tmp_path: Path) -> None:
    out = tmp_path / "posed.bvh"
    pose(walk, "--reach", "left_hand", "0.3,_,0.45", "--relative", "--at", "0.2", "--ease", "0.1",
         "--start", "left_upper_arm", "--no-limits", "-o", out)  # fmt: skip
    clip, before = read_clip(out), read_clip(walk)
    change = (forward_clip(clip).positions - forward_clip(before).positions).norm(dim=-1)
    hand = clip.skeleton.index("LeftHand")
    assert float(change[6, hand]) > 0.05
    assert float(change[[0, 1, 2, 3]].max()) < 1e-4
    assert float(change[:, clip.skeleton.index("Head")].max()) < 1e-4


def test_what_is_out_of_reach_is_said(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bvh(walk, walker(9).frames(0, 1))
    pose(walk, "--reach", "left_hand", "0,4,0", "-o", tmp_path / "posed.bvh")
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("left_hand: not reached, ")
    assert 1500 < float(said.split("reached, ")[1].split(" mm")[0]) < 3500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reach", "left_hand", "1,2"), "got '1,2'"),
        (("--reach", "left_hand", "a,b,c"), "got 'a,b,c'"),
        (("--reach", "left_hoof", "1,2,3"), "got 'left_hoof'"),
        (("--reach", "left_hand", "1,1,1", "--pin", "wings"), "got 'wings'"),
        (("--reach", "left_hand", "1,1,1", "--at", "7"), "got 7 s"),
        (("--reach", "left_hand", "1,1,1", "-o", "posed.avi"), "got 'posed.avi'"),
        (("--reach", "left_hand", "1,inf,1"), "got infinity"),
        ((), "got none"),
    ],
    ids=("two", "words", "part", "pin", "moment", "suffix", "infinity", "nothing"),
)
def test_mistakes_are_one_sentence_and_nothing_is_written(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        pose(walk, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.bvh"]
