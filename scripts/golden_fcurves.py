"""Write tests/parity/fcurves.json: what Blender's F-curves say between, before and after keys.

    pip install bpy==4.5.15        # in a virtual environment of its own: it pins an older numpy
    python scripts/golden_fcurves.py

Numbers only; frames are the unit of time, as in Blender. Values are float32, as Blender's.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import bpy

PLACE = Path(__file__).parents[1] / "tests" / "parity" / "fcurves.json"
FRAMES = (0.0, 7.0, 11.0, 20.0, 33.0)
VALUES = (0.0, 3.0, -1.0, 2.0, 2.0)
EASINGS = (
    "SINE", "QUAD", "CUBIC", "QUART", "QUINT", "EXPO", "CIRC", "BACK", "BOUNCE", "ELASTIC",
)  # fmt: skip
DIRECTIONS = ("AUTO", "EASE_IN", "EASE_OUT", "EASE_IN_OUT")
INSIDE = tuple(round(0.41 + 0.83 * i, 2) for i in range(40))
OUTSIDE = tuple(round(-45.3 + 3.7 * i, 2) for i in range(33))  # some 40 frames on either side


def _curve(frames: tuple[float, ...], values: tuple[float, ...]) -> Any:
    """A new F-curve of an object's position with these keys."""
    thing = bpy.data.objects.new("thing", None)
    thing.animation_data_create()
    action = bpy.data.actions.new("action")
    thing.animation_data.action = action
    curve = action.fcurves.new("location", index=0)
    curve.keyframe_points.add(len(frames))
    for point, frame, value in zip(curve.keyframe_points, frames, values, strict=True):
        point.co = (frame, value)
    return curve


def _sampled(curve: Any, frames: tuple[float, ...]) -> list[float]:
    return [float(f"{curve.evaluate(frame):.8g}") for frame in frames]


def _eased(easing: str, direction: str, **settings: float) -> dict[str, Any]:
    curve = _curve(FRAMES, VALUES)
    for point in curve.keyframe_points:
        point.interpolation, point.easing = easing, direction
        for name, number in settings.items():
            setattr(point, name, number)
    point = curve.keyframe_points[0]
    used = {name: getattr(point, name) for name in ("back", "amplitude", "period")}
    return {"easing": easing, "direction": direction, **used, "values": _sampled(curve, INSIDE)}


def _bezier(seed: int, reach: float) -> dict[str, Any]:
    """Free handles up to `reach` segment lengths away; past 1 Blender shortens them."""
    rng = random.Random(seed)
    curve = _curve(FRAMES, VALUES)
    points = list(curve.keyframe_points)
    for i, point in enumerate(points):
        before = FRAMES[i] - FRAMES[i - 1] if i else 6.0
        after = FRAMES[i + 1] - FRAMES[i] if i + 1 < len(FRAMES) else 6.0
        point.interpolation = "BEZIER"
        point.handle_left_type = point.handle_right_type = "FREE"
        point.handle_left = (FRAMES[i] - reach * rng.random() * before, VALUES[i] + rng.gauss(0, 2))
        point.handle_right = (FRAMES[i] + reach * rng.random() * after, VALUES[i] + rng.gauss(0, 2))
    sides = {"left": "handle_left", "right": "handle_right"}  # read again: now float32
    result: dict[str, Any] = {
        side: [list(getattr(point, name)) for point in points] for side, name in sides.items()
    }
    for extrapolation in ("CONSTANT", "LINEAR"):
        curve.extrapolation = extrapolation
        result[extrapolation] = _sampled(curve, OUTSIDE)
    return {**result, "values": _sampled(curve, INSIDE)}


def _outside(interpolation: str, extrapolation: str) -> dict[str, Any]:
    curve = _curve(FRAMES, VALUES)
    for point in curve.keyframe_points:
        point.interpolation = interpolation
    curve.extrapolation = extrapolation
    ends = [
        list(curve.keyframe_points[0].handle_left),
        list(curve.keyframe_points[-1].handle_right),
    ]
    row = {"interpolation": interpolation, "extrapolation": extrapolation, "ends": ends}
    return {**row, "values": _sampled(curve, OUTSIDE)}


def _cycled(mode: str, values: tuple[float, ...]) -> dict[str, Any]:
    curve = _curve(FRAMES, values)
    for point in curve.keyframe_points:
        point.interpolation = "LINEAR"
    cycles = curve.modifiers.new("CYCLES")
    cycles.mode_before = cycles.mode_after = mode
    return {"mode": mode, "keys": values, "values": _sampled(curve, OUTSIDE)}


def main() -> None:
    """Sample every curve and write the file."""
    found = {
        "bpy": bpy.app.version_string,
        "frames": FRAMES,
        "keys": VALUES,
        "inside": INSIDE,
        "outside": OUTSIDE,
        "eased": [_eased(easing, way) for easing in EASINGS for way in DIRECTIONS]
        + [_eased("BACK", way, back=3.0) for way in DIRECTIONS[1:]]
        + [
            _eased("ELASTIC", way, amplitude=amplitude, period=period)
            for way in DIRECTIONS[1:]
            for amplitude, period in ((0.0, 0.0), (1.5, 3.0), (6.0, 5.0))
        ],
        "bezier": [_bezier(0, 0.5), _bezier(1, 1.0), _bezier(2, 2.0)],
        "outside_of": [
            _outside(kind, beyond)
            for kind in ("CONSTANT", "LINEAR", "CUBIC")
            for beyond in ("CONSTANT", "LINEAR")
        ],
        "cycled": [
            _cycled(mode, values)
            for mode in ("REPEAT", "REPEAT_OFFSET", "MIRROR")
            for values in (VALUES, (1.0, 3.0, -1.0, 2.0, 2.5))
        ],
    }
    PLACE.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
