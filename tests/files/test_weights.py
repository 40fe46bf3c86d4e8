"""Weight files: round trip, provenance, exact fit; damaged files are one clear sentence."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from muybridge.errors import InputError
from muybridge.files.weights import (
    load_weights,
    read_weight_metadata,
    read_weights,
    save_weights,
)
from muybridge.pose.runtime import WEIGHTS


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))


def _saved(path: Path) -> nn.Sequential:
    network = _network()
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    save_weights(path, tensors, {"source": "here", "licence": "Apache-2.0"})
    return network


def test_round_trip_widens_to_float32(tmp_path: Path) -> None:
    network = _saved(tmp_path / "w.safetensors")
    other = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    load_weights(other, tmp_path / "w.safetensors")
    for name, value in other.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, network.state_dict()[name].half().float())
    assert read_weight_metadata(tmp_path / "w.safetensors")["source"] == "here"


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _saved(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "other",
    [
        nn.Sequential(nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
    ],
)
def test_another_networks_weights_change_nothing(tmp_path: Path, other: nn.Module) -> None:
    _saved(tmp_path / "w.safetensors")
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(InputError, match="this file is of another network"):
        load_weights(other, tmp_path / "w.safetensors")
    for name, value in other.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got no file"):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="got no file"):
        read_weight_metadata(tmp_path / "absent.safetensors")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(junk=st.binary(max_size=64), cut=st.integers(0, 300))
def test_any_bytes_are_refused(tmp_path: Path, junk: bytes, cut: int) -> None:
    _saved(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    path = tmp_path / "broken.safetensors"
    for content in (junk, whole[: min(cut, len(whole) - 1)]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="expected safetensors"):
            read_weights(path)
        with pytest.raises(InputError, match="expected safetensors"):
            read_weight_metadata(path)


@pytest.mark.parametrize("name", ["movenet_thunder", "movenet_multipose"])
def test_shipped_weights_are_those_of_the_notice(name: str) -> None:
    path = WEIGHTS / f"{name}.safetensors"
    notice = (WEIGHTS / "NOTICE").read_text()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert re.search(rf"{name}\.safetensors\s+sha256 {digest}", notice)
    metadata = read_weight_metadata(path)
    assert metadata["source_sha256"] in notice
    assert metadata["package_sha256"] in notice
    assert metadata["licence"] == "Apache-2.0"
    assert "Apache License" in (WEIGHTS / "LICENSE").read_text()
    assert all(tensor.dtype == torch.float16 for tensor in read_weights(path).values())
