"""The language room stands alone: no cameras, no motion, nothing that draws."""

import subprocess
import sys
from pathlib import Path

ROOM = Path(__file__).parents[2] / "src" / "muybridge" / "language"
FOREIGN = {"cv2", "av", "viser", "ezc3d", "roma", "matplotlib", "onnxruntime"}
ROOMS = {f"muybridge.{room}" for room in ("geometry", "motion", "pose", "capture", "studio")}


def test_the_room_imports_nothing_of_cameras_or_motion() -> None:
    modules = ", ".join(f"muybridge.language.{path.stem}" for path in ROOM.glob("[a-z]*.py"))
    code = f"import sys, {modules}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "muybridge.language.arpa" in run.stdout.split()
    assert not (FOREIGN | ROOMS) & set(run.stdout.split())


def test_counting_does_without_torch() -> None:
    code = "import sys, muybridge.language.ngram_run; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
