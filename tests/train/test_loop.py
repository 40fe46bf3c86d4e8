"""The loop: resumed bit for bit, weighed by what batches count, and safe against bad losses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from muybridge.errors import InputError
from muybridge.train.log import LogFile, StepReport
from muybridge.train.loop import LAST, MODEL, train
from muybridge.train.options import TrainOptions
from muybridge.train.snapshot import read_snapshot

OPTIONS = TrainOptions(
    steps=12, rate=1e-2, warmup=2, average=0.9, precision="float32", evaluate_every=4, save_every=3
)


@dataclass
class Line:
    """Fit y = A x on batches of different lengths, with dropout so that random numbers matter."""

    model: nn.Module
    lengths: tuple[int, ...] = (3, 5)
    poison: int = -1

    def batches(self, step: int) -> Sequence[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(step)
        xs = [torch.randn(n, 4, generator=random) for n in self.lengths]
        if step == self.poison:
            xs[-1][0, 0] = float("nan")
        return [(x, x.sum(1, keepdim=True)) for x in xs]

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[0])

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (self.model(batch[0]) - batch[1]).square().mean()

    def validate(self) -> float | None:
        x = torch.eye(4)
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean().item()

    def after_step(self) -> None: ...

    def describe(self, batch: tuple[Tensor, Tensor]) -> str:
        return f"in a batch of {len(batch[0])}"


def make(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def tensors(path: Path) -> dict[str, Tensor]:
    return dict(read_snapshot(path).tensors)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_goes_on_bit_for_bit(tmp_path: Path, optimiser: str) -> None:
    options = replace(OPTIONS, optimiser=optimiser)
    train(Line(make()), options, tmp_path / "whole")
    train(Line(make()), options, tmp_path / "broken", until=8)  # last checkpoint: step 6
    torch.manual_seed(99)
    train(Line(make(seed=5)), options, tmp_path / "broken")
    whole, broken = tensors(tmp_path / "whole" / LAST), tensors(tmp_path / "broken" / LAST)
    assert whole.keys() == broken.keys()
    assert any(name.startswith("optimiser.0.") for name in whole)
    for name in whole:
        assert torch.equal(whole[name], broken[name]), name
    for name in (MODEL,):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()
    logs = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("whole", "broken")
    ]
    assert [r["step"] for r in logs[1]] == list(range(1, 13))
    assert [r["loss"] for r in logs[0]] == [r["loss"] for r in logs[1]]


def test_accumulated_batches_count_by_their_length(tmp_path: Path) -> None:
    """Two batches of 3 and 5 give the gradient of one of 8, not the mean of two means."""

    class Joined(Line):
        def batches(self, step: int) -> Sequence[tuple[Tensor, Tensor]]:
            parts = super().batches(step)
            return [tuple(torch.cat(column) for column in zip(*parts, strict=True))]

    for name, kind in (("apart", Line), ("joined", Joined)):
        train(kind(make(dropout=0.0)), OPTIONS, tmp_path / name)
    apart, joined = tensors(tmp_path / "apart" / LAST), tensors(tmp_path / "joined" / LAST)
    for name in apart:
        if name.startswith("model."):
            torch.testing.assert_close(apart[name], joined[name], atol=1e-5, rtol=1e-5)


def test_it_learns_and_keeps_the_best(tmp_path: Path) -> None:
    task = Line(make(dropout=0.0))
    before = task.validate()
    result = train(task, replace(OPTIONS, steps=200, average=0.0), tmp_path)
    assert result.best is not None
    assert before is not None
    assert result.best < 0.05 * before


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"finite loss, got nan in step 8, in a batch of 5"):
        train(Line(make(), poison=7), OPTIONS, tmp_path)
    assert read_snapshot(tmp_path / LAST).facts["step"] == 6
    result = train(Line(make()), OPTIONS, tmp_path)
    assert result.steps == 12


def test_other_options_or_another_model_are_refused(tmp_path: Path) -> None:
    train(Line(make()), OPTIONS, tmp_path, until=6)
    with pytest.raises(InputError, match="rate"):
        train(Line(make()), replace(OPTIONS, rate=1.0), tmp_path)
    with pytest.raises(InputError, match="other tensors"):
        train(Line(nn.Linear(4, 1)), OPTIONS, tmp_path)
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:100])
    with pytest.raises(InputError, match="checkpoint"):
        train(Line(make()), OPTIONS, tmp_path)


def test_a_log_drops_what_lies_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = LogFile(path, 0)
    for step in range(1, 6):
        log(StepReport(step, 1.0, 0.1, 1.0, 8, 0.1))
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    LogFile(path, 3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": 0.0}, {"average": 1.0}, {"clip": -1.0}])
def test_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(OPTIONS, **wrong).check()


KILLED = """
import sys, time
from pathlib import Path
from tests.train.test_loop import Line, OPTIONS, make
from muybridge.train.loop import train
train(Line(make()), OPTIONS, Path(sys.argv[1]), listeners=[lambda report: time.sleep(0.05)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is Unix's")
def test_kill_9_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "killed"
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(run)], env=environment)
    while not (run / LAST).is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_snapshot(run / LAST).facts["step"] < OPTIONS.steps
    train(Line(make()), OPTIONS, run)
    train(Line(make()), OPTIONS, tmp_path / "whole")
    killed, whole = tensors(run / LAST), tensors(tmp_path / "whole" / LAST)
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
