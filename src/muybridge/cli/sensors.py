"""Which sensor `muybridge capture` is asked to read, and the work of each that is no camera."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muybridge.errors import InputError

__all__ = ["OPTIONS", "capture_from", "chosen_sensor"]

OPTIONS = {  # what else may be given beside each sensor and --out
    "markers": {"body", "reference"},
    "imu": {"imu_options"},
    "depth": {"background", "fps", "smoothness", "stereo"},
    "encoders": set[str](),
}


def chosen_sensor(given: Mapping[str, Any]) -> str | None:
    """Name of the one sensor that is no camera; None for a session.

    Args:
        given: The verb's options that differ from their defaults.
    Raises:
        InputError: If none or several things are to be captured, or an option is for another one.
    """
    named = [name for name in OPTIONS if name in given]
    count = len(named) + ("session" in given)
    if count != 1:
        raise InputError(
            "expected a SESSION, or one of --markers, --imu, --depth and --encoders, got "
            f"{count or 'none'} of them; name one"
        )
    own = OPTIONS[named[0]] if named else None
    foreign = set(given) - {"session", "out", *OPTIONS} - (own or set())
    others = set.union(*OPTIONS.values()) - {"fps", "smoothness"}
    wrong = sorted(foreign if own is not None else foreign & others)
    if wrong:
        what = f"--{named[0]}" if named else "a session"
        raise InputError(
            f"expected options that belong to {what}, got {', '.join(wrong)}; leave them out"
        )
    return named[0] if named else None


def capture_from(sensor: str, options: Mapping[str, Any]) -> None:
    """Write the motion that the sensor recorded; the file is called as its source when absent.

    Args:
        sensor: A name of `OPTIONS`.
        options: All of the verb's options.
    """
    from muybridge.cli.capture_depth import capture_depth
    from muybridge.cli.capture_encoders import capture_encoders
    from muybridge.cli.capture_imu import capture_imu
    from muybridge.cli.capture_markers import capture_markers

    source: Path = options[sensor]
    out = options["out"] or Path(f"{source.resolve().stem}.bvh")
    match sensor:
        case "markers":
            capture_markers(source, out, options["body"], options["reference"])
        case "imu":
            capture_imu(source, out, options["imu_options"])
        case "depth":
            capture_depth(source, out, **{name: options[name] for name in OPTIONS["depth"]})
        case "encoders":
            capture_encoders(source, out)
