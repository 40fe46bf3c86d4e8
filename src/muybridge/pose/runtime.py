"""Run a shipped network on one picture: by PyTorch, or by ONNX Runtime where it is installed.

Both compute the same numbers (to 1e-5); ONNX Runtime takes about half the time. The back end is
what was asked for: when it is not installed that is an error, never a silent change to another.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from muybridge import __version__
from muybridge.atomic import replacing
from muybridge.errors import InputError
from muybridge.files.weights import load_weights
from muybridge.pose.movenet import MoveNet
from muybridge.pose.multipose import MultiPose

__all__ = [
    "WEIGHTS", "Backend", "Network", "Runner", "backend_sentence", "export_onnx", "load_network",
    "make_runner",
]  # fmt: skip

Backend = Literal["torch", "onnx"]
Network = Literal["thunder", "multipose"]
Picture = UInt8[np.ndarray, "h w 3"]
Runner = Callable[[Picture], Tensor]

WEIGHTS = Path(__file__).parent / "weights"
NETWORKS: dict[Network, type[nn.Module]] = {"thunder": MoveNet, "multipose": MultiPose}
OPSET = 17


def load_network(name: Network) -> nn.Module:
    """The network with its shipped weights, ready to infer in float32."""
    network = NETWORKS[name]()
    load_weights(network, WEIGHTS / f"movenet_{name}.safetensors")
    return network.eval().requires_grad_(False)


def make_runner(name: Network, backend: Backend, cache_folder: Path | None = None) -> Runner:
    """A function from an RGB picture to the network's output for it, without the batch axis.

    Args:
        name: Which network.
        backend: What computes it.
        cache_folder: Where ONNX graphs are kept; the user's cache folder when absent.
    Raises:
        InputError: If ONNX Runtime is asked for and is not installed.
    """
    if backend == "torch":
        return _TorchRunner(name)
    _require_onnx()
    return _OnnxRunner(name, cache_folder or default_cache_folder())


def backend_sentence(backend: Backend) -> str:
    """Which software computes the networks, for the report."""
    if backend == "torch":
        return f"the networks run by PyTorch {torch.__version__}, one thread a video"
    _require_onnx()
    return f"the networks run by ONNX Runtime {version('onnxruntime')}, one thread a video"


def default_cache_folder() -> Path:
    """The user's cache folder for muybridge."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muybridge"


def _require_onnx() -> None:
    missing = [name for name in ("onnxruntime", "onnx") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"expected ONNX Runtime for --backend onnx, got no package {' nor '.join(missing)}; "
            'pip install "muybridge[onnx]", or use --backend torch'
        )


class _TorchRunner:
    def __init__(self, name: Network) -> None:
        self.network = load_network(name)

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> Float[Tensor, "n k"]:
        # the picture's memory is channels-last, and the network keeps it so
        return self.network(torch.from_numpy(picture).unsqueeze(0).float())[0]


class _OnnxRunner:
    """One session for each picture size: the graphs have fixed shapes, which run fastest."""

    def __init__(self, name: Network, cache_folder: Path) -> None:
        self.name = name
        self.cache_folder = cache_folder
        self.sessions: dict[tuple[int, ...], Any] = {}

    def __call__(self, picture: Picture) -> Float[Tensor, "n k"]:
        session = self.sessions.get(picture.shape)
        if session is None:
            session = self.sessions[picture.shape] = self._open(picture.shape)
        output = session.run(None, {"image": picture[None].astype(np.float32)})
        return torch.from_numpy(output[0][0])

    def _open(self, shape: tuple[int, ...]) -> Any:
        import onnxruntime

        height, width = shape[:2]
        weights = WEIGHTS / f"movenet_{self.name}.safetensors"
        content = hashlib.sha256(weights.read_bytes()).hexdigest()
        stamp = f"{__version__}-{content[:8]}"
        path = self.cache_folder / f"movenet_{self.name}-{height}x{width}-{stamp}.onnx"
        if not path.is_file():
            export_onnx(load_network(self.name), (height, width), path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def export_onnx(network: nn.Module, size_px: tuple[int, int], path: Path) -> None:
    """Write a network as an ONNX graph with the input `image`, 1 x height x width x 3, 0 to 255."""
    picture = torch.zeros(1, *size_px, 3)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age and of fixed shapes
        torch.onnx.export(
            network,
            (picture,),
            str(temporary),
            input_names=["image"],
            output_names=["people"],
            opset_version=OPSET,
            dynamo=False,
        )
