"""`muybridge lm chinchilla`: how large a model, on how much text, for how many FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from muybridge.errors import InputError

if TYPE_CHECKING:
    from muybridge.train.scaling_law import Budget, ScalingLaw

__all__ = ["Chinchilla"]


@dataclass(frozen=True)
class Chinchilla:
    """Say what model and how much text a budget buys, or what budget a model wants."""

    flops: float | None = None
    """Floating-point operations of the whole training, such as 5.76e23."""
    parameters: float | None = None
    """Size of the model, such as 70e9."""
    runs: Path | None = None
    """CSV of finished runs (parameters, tokens, loss) to fit a law of your own to."""

    def run(self) -> None:
        """Fit if asked, and print a table of the rule of thumb and the laws."""
        from muybridge.cli.progress import console
        from muybridge.train.scaling_law import (
            PAPER,
            REFITTED,
            by_ratio,
            fit_scaling_law,
            read_runs,
        )

        for name, value in (("--flops", self.flops), ("--parameters", self.parameters)):
            if value is not None and not 1e3 <= value <= 1e40:
                raise InputError(f"expected {name} from 1e3 to 1e40, got {value}; give another")
        laws = {"paper 2203.15556": PAPER, "refit 2404.10102": REFITTED}
        if self.runs is not None:
            own = fit_scaling_law(read_runs(self.runs))
            console.print(f"your runs: {_formula(own)}")
            laws = {"your runs": own, **laws}
        if self.runs is not None and self.flops is None and self.parameters is None:
            return
        rows = {"20 tokens each": by_ratio(flops=self.flops, parameters=self.parameters)}
        for name, law in laws.items():
            rows[name] = self._budget(law)
        console.print(
            f"{'':<18}{'FLOPs':>10}{'parameters':>12}{'tokens':>10}{'each':>7}{'loss':>8}"
        )
        for name, budget in rows.items():
            console.print(_row(name, budget, laws.get(name, REFITTED)))

    def _budget(self, law: ScalingLaw) -> Budget:
        from muybridge.train.scaling_law import compute_optimal, optimal_flops

        if self.flops is not None:
            return compute_optimal(self.flops, law)
        if self.parameters is not None:
            return optimal_flops(self.parameters, law)
        raise InputError("expected --flops or --parameters, got neither; give one of them")


def _formula(law: ScalingLaw) -> str:
    return f"L = {law.e:.3f} + {law.a:.4g} / N^{law.alpha:.3f} + {law.b:.4g} / D^{law.beta:.3f}"


def _row(name: str, budget: Budget, law: ScalingLaw) -> str:
    loss = law.loss(budget.parameters, budget.tokens)
    return (
        f"{name:<18}{budget.flops:>10.2e}{_short(budget.parameters):>12}"
        f"{_short(budget.tokens):>10}{budget.ratio:>7.1f}{loss:>8.3f}"
    )


def _short(count: float) -> str:
    """7.03e10 as 70.3B."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{letter}"
    return f"{count:.0f}"
