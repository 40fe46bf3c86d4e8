"""`muybridge graph`: from a folder of clips to walks, and what cannot be one."""

from pathlib import Path

import pytest
import tyro

from muybridge.cli.graph import Graph
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh, write_bvh
from tests.edit.walks import walks


def run(*words: str) -> None:
    tyro.cli(Graph, args=list(words)).run()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, clip in enumerate(walks().clips):
        write_bvh(folder / f"{number}.bvh", clip)
    return folder


@pytest.fixture(scope="module")
def graph(folder: Path) -> Path:
    run("build", str(folder), "-o", str(folder / "out" / "graph.npz"))
    return folder / "out" / "graph.npz"


def test_a_random_walk(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "walk.bvh"
    run("walk", str(graph), "--seconds", "12", "--seed", "3", "-o", str(out))
    assert "12.0 s" in capsys.readouterr().out
    assert len(read_bvh(out).clip) == 360
    run("walk", str(graph), "--seconds", "12", "--seed", "3", "-o", str(tmp_path / "again.bvh"))
    assert out.read_bytes() == (tmp_path / "again.bvh").read_bytes()


def test_a_walk_along_a_path(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "path.json").write_text("[[0, 0], [0, 4]]")
    out = tmp_path / "walk.bvh"
    run("walk", str(graph), "--path", str(tmp_path / "path.json"), "--width", "8", "-o", str(out))
    assert "off the path by" in capsys.readouterr().out
    end = read_bvh(out).clip.root[-1]
    assert abs(float(end[2]) - 4.0) < 0.5


def test_mirror_images_double_the_clips(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("build", str(folder), "--mirror", "-o", str(tmp_path / "graph.npz"))
    assert "8 clips" in capsys.readouterr().out


def test_what_cannot_be_done(folder: Path, graph: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "new" / "x.bvh")
    for words, said in (
        (("build", str(tmp_path / "none")), "found none"),
        (("build", str(folder), "--threshold", "-1"), "threshold above 0"),
        (("build", str(folder), "--window", "100"), "smaller --window"),
        (("walk", str(tmp_path / "none.npz")), "found none"),
        (("walk", str(folder / "0.bvh")), "damaged file"),
        (("walk", str(graph), "--seconds", "0"), "above 0 seconds"),
        (("walk", str(graph), "--path", str(tmp_path / "no.json")), "found none"),
    ):
        with pytest.raises(InputError, match=said):
            run(*words, "-o", out)
    with pytest.raises(InputError, match="ending in"):
        run("walk", str(graph), "-o", str(tmp_path / "new" / "x.mp4"))
    assert not (tmp_path / "new").exists()
