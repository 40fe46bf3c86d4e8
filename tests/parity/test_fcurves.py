"""Blender's F-curves, as scripts/golden_fcurves.py sampled them (bpy 4.5.15, float32).

Tolerance 5e-6 of the size of the curve: Blender computes in float32, a part of 6e-8 a step.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from muybridge.edit.curves.fcurve import FCurve, automatic_handles
from muybridge.edit.curves.tangents import kochanek_bartels

GOLDEN = json.loads((Path(__file__).parent / "fcurves.json").read_text())
DIRECTIONS = {"AUTO": "auto", "EASE_IN": "in", "EASE_OUT": "out", "EASE_IN_OUT": "in-out"}
MODES = {"REPEAT": "cycle", "REPEAT_OFFSET": "cycle-offset", "MIRROR": "mirror"}


def t64(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


FRAMES, KEYS = t64(GOLDEN["frames"]), t64(GOLDEN["keys"])
FLAT = automatic_handles(FRAMES, torch.zeros_like(KEYS), KEYS)


def agree(curve: FCurve, times: str, values: list[float], size: float = 1.0) -> None:
    wanted = t64(values)
    size = max(size, 1.0, float(wanted.abs().max()))
    off = float((curve(t64(GOLDEN[times])) - wanted).abs().max())
    assert off <= 5e-6 * size, off


@pytest.mark.parametrize("row", GOLDEN["eased"], ids=lambda r: f"{r['easing']}-{r['direction']}")
def test_easings(row: dict[str, Any]) -> None:
    curve = FCurve(
        FRAMES, KEYS, *FLAT, row["easing"].lower(), DIRECTIONS[row["direction"]],  # type: ignore[arg-type]
        row["back"], row["amplitude"], row["period"],
    )  # fmt: skip
    agree(curve, "inside", row["values"])


@pytest.mark.parametrize("row", GOLDEN["bezier"], ids=["short", "long", "past the next key"])
@pytest.mark.parametrize("beyond", ["constant", "linear"])
def test_handles(row: dict[str, Any], beyond: Any) -> None:
    left, right = t64(row["left"]), t64(row["right"])
    curve = FCurve(FRAMES, KEYS, left, right, before=beyond, after=beyond)
    agree(curve, "inside", row["values"])
    agree(curve, "outside", row[beyond.upper()])


@pytest.mark.parametrize("row", GOLDEN["outside_of"],
                         ids=lambda r: f"{r['interpolation']}-{r['extrapolation']}")  # fmt: skip
def test_beyond_the_keys(row: dict[str, Any]) -> None:
    left, right = (side.clone() for side in FLAT)
    left[0], right[-1] = t64(row["ends"][0]), t64(row["ends"][1])
    beyond = row["extrapolation"].lower()
    kind = row["interpolation"].lower()
    curve = FCurve(FRAMES, KEYS, left, right, kind, before=beyond, after=beyond)
    agree(curve, "outside", row["values"])


@pytest.mark.parametrize("row", GOLDEN["cycled"], ids=lambda r: f"{r['mode']}-{r['keys'][0]:g}")
def test_cycles(row: dict[str, Any]) -> None:
    mode: Any = MODES[row["mode"]]
    keys = t64(row["keys"])
    curve = FCurve(FRAMES, keys, *FLAT, "linear", before=mode, after=mode)
    agree(curve, "outside", row["values"])


def test_handles_at_a_third_are_a_hermite_curve() -> None:
    smooth = kochanek_bartels(FRAMES, KEYS)
    curve = FCurve(FRAMES, KEYS, *automatic_handles(FRAMES, smooth(FRAMES, 1), KEYS))
    at = torch.linspace(0.0, 33.0, 200, dtype=torch.float64)
    torch.testing.assert_close(curve(at), smooth(at), rtol=0, atol=1e-12)
