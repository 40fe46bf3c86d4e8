"""Drives headless Chromium through tests/node/report_shot.mjs; skips where it is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

NODE = Path(__file__).parents[1] / "node"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


def browse(url: str, folder: Path, steps: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Open the page, carry out the steps; console messages, requests and values come back."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: set CHROMIUM to its path")
    if shutil.which("node") is None:
        pytest.skip("no node")
    if not (NODE / "node_modules" / "playwright-core").is_dir():
        pytest.skip("playwright-core is missing: run `make node`")
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"url": url, "out": str(folder), "steps": steps} | options))
    done = subprocess.run(
        ["node", str(NODE / "report_shot.mjs"), str(plan)],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"CHROMIUM": CHROMIUM},
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def picture(path: Path) -> np.ndarray:
    """A screenshot, RGB."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
