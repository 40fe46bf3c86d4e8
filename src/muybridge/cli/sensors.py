"""Which sensor `muybridge capture` is asked to read, and the work of each that is no camera."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from muybridge.errors import InputError

if TYPE_CHECKING:
    from muybridge.cli.capture import Capture

__all__ = ["OPTIONS", "capture_from", "chosen_sensor"]

OPTIONS = {  # what else may be given beside each sensor and --out
    "markers": {"body"},
    "imu": {"imu_options"},
    "depth": {"background", "fps", "smoothness", "stereo"},
    "encoders": set[str](),
}


def chosen_sensor(verb: Capture) -> str | None:
    """Name of the one sensor that is no camera; None for a session.

    Raises:
        InputError: If none or several things are to be captured, or an option is for another one.
    """
    named = [name for name in OPTIONS if getattr(verb, name) is not None]
    count = len(named) + (verb.session is not None)
    if count != 1:
        raise InputError(
            "expected a SESSION, or one of --markers, --imu, --depth and --encoders, got "
            f"{count or 'none'} of them; name one"
        )
    own = OPTIONS[named[0]] if named else None
    foreign = _given(verb) - {"session", "out", *OPTIONS} - (own or set())
    others = set.union(*OPTIONS.values()) - {"fps", "smoothness"}
    wrong = sorted(foreign if own is not None else foreign & others)
    if wrong:
        what = f"--{named[0]}" if named else "a session"
        raise InputError(
            f"expected options that belong to {what}, got {', '.join(wrong)}; leave them out"
        )
    return named[0] if named else None


def _given(verb: Capture) -> set[str]:
    """Names of the options that differ from their defaults."""
    usual = type(verb)()
    return {f.name for f in fields(verb) if getattr(verb, f.name) != getattr(usual, f.name)}


def capture_from(verb: Capture, sensor: str) -> None:
    """Write the motion that the sensor recorded; the file is called as its source when absent."""
    from muybridge.cli.capture_depth import capture_depth
    from muybridge.cli.capture_encoders import capture_encoders
    from muybridge.cli.capture_imu import capture_imu
    from muybridge.cli.capture_markers import capture_markers

    source: Path = getattr(verb, sensor)
    out = verb.out or Path(f"{source.resolve().stem}.bvh")
    match sensor:
        case "markers":
            capture_markers(source, out, verb.body)
        case "imu":
            capture_imu(source, out, verb.imu_options)
        case "depth":
            capture_depth(
                source,
                out,
                fps=verb.fps,
                background=verb.background,
                stereo=verb.stereo,
                smoothness=verb.smoothness,
            )
        case "encoders":
            capture_encoders(source, out)
