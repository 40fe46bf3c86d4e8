"""`muybridge match`: a folder and a path become a motion."""

from pathlib import Path

import pytest
import tyro

from muybridge.cli.match import Match
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh, write_bvh
from tests.edit.walks import walks


def run(*words: str) -> None:
    tyro.cli(Match, args=list(words)).run()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, clip in enumerate(walks().clips):
        write_bvh(folder / f"{number}.bvh", clip)
    (folder / "path.json").write_text("[[0, 0], [0, 3], [3, 5]]")
    return folder


@pytest.mark.parametrize("more", [(), ("--no-mirror", "--no-pull", "--pin", "--speed", "1")])
def test_a_path_becomes_a_motion(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    out = tmp_path / "match.bvh"
    run(str(folder), "--path", str(folder / "path.json"), "-o", str(out), *more)
    assert "off the path by 0." in capsys.readouterr().out
    clip = read_bvh(out).clip
    assert clip.duration > 4.0
    assert abs(float(clip.root[-1, 0]) - 3.0) < 0.8


def test_paths_with_times(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "path.json").write_text('{"points": [[0, 0], [0, 3]], "times": [0, 3]}')
    run(str(folder), "--path", str(tmp_path / "path.json"), "-o", str(tmp_path / "a.bvh"))
    assert len(read_bvh(tmp_path / "a.bvh").clip) == 91


def test_what_cannot_be_matched(folder: Path, tmp_path: Path) -> None:
    out, path = str(tmp_path / "new" / "x.bvh"), str(folder / "path.json")
    (tmp_path / "bad.json").write_text("[1, 2]")
    (tmp_path / "empty").mkdir()
    for words, said in (
        ((str(tmp_path / "none"), "--path", path), "found none"),
        ((str(tmp_path / "empty"), "--path", path), "found none; give the folder"),
        ((str(folder), "--path", str(tmp_path / "bad.json")), "expected a list of"),
        ((str(folder), "--path", path, "--speed", "0"), "above 0 m/s"),
    ):
        with pytest.raises(InputError, match=said):
            run(*words, "-o", out)
    assert not (tmp_path / "new").exists()
