"""From a folder of four-up videos to calibration.yaml in one command, against known truth."""

from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.cli.main import main
from muybridge.files.calibration import read_calibration
from muybridge.files.video import write_frames
from muybridge.geometry.rigid import Rigid
from tests.board_rig import CHESSBOARD, arc, poses
from tests.render_board import render_board

SIZE = (480, 360)
BOARD = 'kind = "chessboard"\ncolumns = 9\nrows = 6\nsquare_m = 0.06\n'


@pytest.fixture(scope="module")
def four_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    cameras, moves = arc(4, SIZE), poses(16)

    def frames():
        for v in range(16):
            pose = Rigid(moves.rotation[v], moves.translation[v])
            views = [
                (render_board(CHESSBOARD, cameras, c, pose, seed=4 * v + c) * (1.0 - 0.15 * c))
                for c in range(4)  # rooms are not equally bright for all cameras
            ]
            grey = np.vstack((np.hstack(views[:2]), np.hstack(views[2:])))
            yield np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)

    write_frames(folder / "boards.mp4", frames(), 10.0)
    (folder / "board.toml").write_text(BOARD)
    return folder


def test_four_up_boards_give_the_rig(
    four_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "calibration.yaml"
    main(["calibrate", str(four_up), "--out", str(target)])
    assert "4 cameras" in capsys.readouterr().out
    found, truth = read_calibration(target), arc(4, SIZE)
    focal = found.matrix[:, [0, 1], [0, 1]] / truth.matrix[:, [0, 1], [0, 1]]
    assert float((focal - 1.0).abs().max()) < 0.01
    distance = torch.cdist(found.centres_world, found.centres_world)
    expected = torch.cdist(truth.centres_world, truth.centres_world)
    assert float((distance - expected).abs().max()) < 0.01 * float(expected.max())
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.yaml"]
