"""The process in which ezc3d reads: a damaged file can crash it, and must not take ours along.

Run as `python -m muybridge.files.c3d_process SOURCE TARGET`; leaves the points in TARGET (.npz).
"""

from __future__ import annotations

import sys
from typing import Any

import ezc3d
import numpy as np

__all__ = ["main"]


def main(source: str, target: str) -> None:
    """Read a C3D file and save what muybridge needs of it, in the file's own unit and axes."""
    file = ezc3d.c3d(source)
    point = file["parameters"]["POINT"]

    def texts(*names: str) -> Any:
        return np.array([str(v) for n in names if n in point for v in point[n]["value"]], np.str_)

    np.savez(
        target,
        points=file["data"]["points"][:3].transpose(2, 1, 0),
        residuals=file["data"]["meta_points"]["residuals"][0].T,
        rate=float(point["RATE"]["value"][0]),
        unit=texts("UNITS"),
        x_screen=texts("X_SCREEN"),
        y_screen=texts("Y_SCREEN"),
        labels=texts("LABELS", "LABELS2", "LABELS3", "LABELS4"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
