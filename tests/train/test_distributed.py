"""Two processes learn what one would, and their checkpoints open in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed.checkpoint import CheckpointException
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.train.distributed import (
    Ranks,
    load_distributed,
    mine,
    process_group,
    save_distributed,
    sharded,
    share_of_loss,
)
from muybridge.train.packing import flatten
from tests.train.distributed_worker import STEPS, batches, learn, make_decoder, make_optimiser

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left in a folder."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.train.distributed_worker", str(folder)]
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    for _ in range(2):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        if "SIGABRT" not in done.stderr:  # seen once in gloo itself, never in our Python
            break
    assert done.returncode == 0, done.stderr
    return folder


def _alone(*, weighed: bool = True) -> dict[str, Tensor]:
    """The same training in one process: the mean over all tokens that two ranks see in a step."""
    decoder = make_decoder()
    optimiser = make_optimiser(decoder)
    every = batches()
    for step in range(STEPS):
        pair = every[2 * (step % 2) : 2 * (step % 2) + 2]
        losses = [
            functional.cross_entropy(decoder(b.tokens, lengths=b.lengths)[0], b.targets[0])
            for b in pair
        ]
        total = sum(b.predicted for b in pair)
        shares = [b.predicted / total if weighed else 0.5 for b in pair]
        optimiser.zero_grad()
        torch.stack([w * x for w, x in zip(shares, losses, strict=True)]).sum().backward()
        optimiser.step()
    return dict(decoder.state_dict())


def _difference(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_ranks_learn_what_one_does(two_ranks: Path, kind: str) -> None:
    theirs = torch.load(two_ranks / f"{kind}.pt")
    assert _difference(theirs, _alone()) < 1e-6
    assert _difference(theirs, _alone(weighed=False)) > 1e-3, "a mean of means is another thing"
    assert _difference(theirs, dict(make_decoder().state_dict())) > 1e-2, "it has learned"


def test_a_sharded_rank_holds_half(two_ranks: Path) -> None:
    held = [torch.load(two_ranks / f"held.{rank}.pt") for rank in range(2)]
    total = sum(p.numel() for p in make_decoder().parameters())
    assert sum(held) == total
    assert max(held) < 0.55 * total


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_saved_by_two_loaded_by_one(two_ranks: Path, kind: str) -> None:
    decoder = make_decoder()
    torch.nn.init.zeros_(decoder.head.weight)
    optimiser = make_optimiser(decoder)
    assert load_distributed(two_ranks / kind, decoder, optimiser) == STEPS
    assert _difference(dict(decoder.state_dict()), torch.load(two_ranks / f"{kind}.pt")) == 0
    moments = [state["momentum_buffer"] for state in optimiser.state.values()]
    assert len(moments) == len(list(decoder.parameters()))
    assert all(m.abs().max() > 0 for m in moments)


def test_one_rank_needs_nothing(tmp_path: Path) -> None:
    with process_group() as ranks:
        assert ranks == Ranks(0, 1)
        decoder = make_decoder()
        assert sharded(decoder, decoder.blocks) is decoder
        loss = torch.tensor(2.0)
        assert share_of_loss(loss, 7) == loss
        optimiser = make_optimiser(decoder)
        learn(decoder, optimiser, ranks, 2)
        save_distributed(tmp_path / "saved", decoder, optimiser, 2)
        save_distributed(tmp_path / "saved", decoder, optimiser, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    again = make_decoder()
    other = make_optimiser(again)
    assert load_distributed(tmp_path / "saved", again, other) == 2
    learn(decoder, optimiser, ranks, 2)
    learn(again, other, ranks, 2)
    assert _difference(dict(decoder.state_dict()), dict(again.state_dict())) == 0


def test_a_broken_save_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = make_decoder()
    optimiser = make_optimiser(decoder)
    learn(decoder, optimiser, Ranks(), 1)
    save_distributed(tmp_path / "saved", decoder, optimiser, 1)
    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", lambda *_: 1 / 0)
        with pytest.raises(CheckpointException, match="division"):
            save_distributed(tmp_path / "saved", decoder, optimiser, 2)
    assert load_distributed(tmp_path / "saved", decoder, optimiser) == 1
    save_distributed(tmp_path / "saved", decoder, optimiser, 3)
    assert load_distributed(tmp_path / "saved", decoder, optimiser) == 3


def test_accumulated_batches_count_by_their_tokens() -> None:
    decoder, parts = make_decoder(), batches()
    documents = [d.tolist() for flat in parts for d in flat.tokens[0].split(flat.lengths)]
    whole = flatten(documents)
    window = sum(b.predicted for b in parts)
    assert window == whole.predicted
    gradients = []
    for step in (parts, [whole]):
        decoder.zero_grad()
        for flat in step:
            logits = decoder(flat.tokens, lengths=flat.lengths)[0]
            loss = functional.cross_entropy(logits, flat.targets[0])
            share_of_loss(loss, flat.predicted, window).backward()
        gradients.append({n: p.grad for n, p in decoder.named_parameters() if p.grad is not None})
    assert _difference(*gradients) < 1e-6


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mine([1, 2, 3, 4], Ranks(1, 2)) == [2, 4]
    with pytest.raises(InputError, match="multiple of 2"):
        mine([1, 2, 3], Ranks(0, 2))
    decoder = make_decoder()
    with pytest.raises(InputError, match="metadata"):
        load_distributed(tmp_path, decoder, make_optimiser(decoder))
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="MASTER_ADDR"), process_group():
        pass
