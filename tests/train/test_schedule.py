"""Schedules against torch's own, their papers' closed forms, and what every one promises."""

import math
from itertools import pairwise

import pytest
import torch

from muybridge.errors import InputError
from muybridge.train.schedule import (
    ScheduleName,
    constant,
    cosine,
    inverse_root,
    linear,
    make_schedule,
    warmup_stable_decay,
)

NAMES: list[ScheduleName] = [
    "constant", "linear", "cosine", "inverse_root", "warmup_stable_decay",
]  # fmt: skip


def _rates_of_torch(kind: type, steps: int, **options: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = kind(optimizer, **options)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("floor", [0.0, 0.1, 1.0])
def test_cosine_is_cosine_annealing(floor: float) -> None:
    theirs = _rates_of_torch(
        torch.optim.lr_scheduler.CosineAnnealingLR, 51, T_max=50, eta_min=floor
    )
    ours = [cosine(50, floor=floor)(step) for step in range(51)]
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_linear_is_linear_lr() -> None:
    theirs = _rates_of_torch(
        torch.optim.lr_scheduler.LinearLR, 60, start_factor=1.0, end_factor=0.2, total_iters=40
    )
    assert [linear(40, floor=0.2)(step) for step in range(60)] == pytest.approx(theirs, abs=1e-12)


def test_inverse_root_is_the_paper() -> None:
    width, warmup = 512, 4000
    peak = (width * warmup) ** -0.5
    for step in (0, 1, 100, 3998, 3999, 4000, 4001, 99_999):
        n = step + 1
        paper = width**-0.5 * min(n**-0.5, n * warmup**-1.5)
        assert peak * inverse_root(warmup)(step) == pytest.approx(paper, rel=1e-12)
    assert inverse_root(100, floor=0.5)(10**6) == 0.5


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_every_schedule_rises_to_one_and_never_again(kind: ScheduleName, warmup: int) -> None:
    schedule = make_schedule(kind, 50, warmup, 0.2)
    values = [schedule(step) for step in range(80)]
    peak = values.index(max(values))
    assert max(values) == 1.0
    assert peak == (max(warmup - 1, 0) if kind == "inverse_root" else warmup)
    assert all(a < b for a, b in pairwise(values[: peak + 1]))
    assert all(a >= b for a, b in pairwise(values[peak:]))
    assert values[0] > 0
    if kind in ("linear", "cosine", "warmup_stable_decay"):
        assert values[50:] == pytest.approx([0.2] * 30)
        assert values[49] > 0.2


def test_warmup_is_a_line() -> None:
    assert [constant(3)(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [cosine(9, 3)(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_the_stable_part_does_not_know_the_end() -> None:
    short, long = warmup_stable_decay(100, 10), warmup_stable_decay(1000, 10)
    assert [short(s) for s in range(80)] == [long(s) for s in range(80)]
    assert short(80) == 1.0
    assert short(85) == pytest.approx(1 - math.sqrt(5 / 20))
    assert warmup_stable_decay(10, 9, decay=1.0)(9) == 1.0  # the warm-up is kept


@pytest.mark.parametrize(("total", "warmup"), [(10, 10), (10, -1), (0, 0)])
def test_a_warmup_must_fit(total: int, warmup: int) -> None:
    with pytest.raises(InputError, match="warm-up"):
        cosine(total, warmup)


def test_shares_are_checked() -> None:
    with pytest.raises(InputError, match="floor"):
        linear(10, floor=1.5)
    with pytest.raises(InputError, match="decaying share"):
        warmup_stable_decay(10, decay=0.0)
