"""The calculator prints what the law says."""

from pathlib import Path

import pytest

from muybridge.cli.lm_chinchilla import Chinchilla
from muybridge.errors import InputError
from muybridge.train.scaling_law import PAPER


def test_a_budget_and_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    Chinchilla(flops=5.76e23).run()
    rule, paper, refit = capsys.readouterr().out.splitlines()[1:]
    assert rule.split()[-5:-1] == ["5.76e+23", "69.3B", "1.4T", "20.0"]
    assert paper.split()[-5:-1] == ["5.76e+23", "32.2B", "3.0T", "92.6"]
    assert refit.split()[-5:-1] == ["5.76e+23", "72.2B", "1.3T", "18.4"]
    Chinchilla(parameters=125e6).run()
    rule = capsys.readouterr().out.splitlines()[1]
    assert rule.split()[-5:-1] == ["1.88e+18", "125.0M", "2.5B", "20.0"]


def test_runs_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes, texts = (1e7, 1e8, 1e9), (1e9, 1e10, 1e11)
    lines = [f"{n},{d},{PAPER.loss(n, d)}" for n in sizes for d in texts]
    file = tmp_path / "runs.csv"
    file.write_text("\n".join(["parameters,tokens,loss", *lines]))
    Chinchilla(runs=file).run()
    said = capsys.readouterr().out
    assert said == "your runs: L = 1.690 + 406.4 / N^0.340 + 410.7 / D^0.280\n"
    Chinchilla(runs=file, flops=1e15).run()
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize("asked", [Chinchilla(), Chinchilla(flops=1e20, parameters=1e9)])
def test_one_question_at_a_time(asked: Chinchilla) -> None:
    with pytest.raises(InputError):
        asked.run()
