"""Archives: numpy alone reads them, equal content gives equal bytes, another kind is told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.errors import InputError
from muybridge.files.archive import archive_kind, read_archive, write_archive


def test_what_goes_in_comes_out_and_numpy_reads_it(tmp_path: Path) -> None:
    path, numbers = tmp_path / "a.npz", torch.tensor([1.5, float("nan")])
    write_archive(path, {"kind": "trial", "name": "Müller"}, {"numbers": numbers, "absent": None})
    header, tensors = read_archive(path, "trial", lambda *both: both)
    assert header == {"kind": "trial", "name": "Müller", "version": 1}
    assert list(tensors) == ["numbers"]
    assert torch.equal(tensors["numbers"].nan_to_num(), numbers.nan_to_num())
    with np.load(path) as archive:
        np.testing.assert_array_equal(archive["numbers"], numbers.numpy())
        assert json.loads(archive["header.json"])["name"] == "Müller"
    write_archive(tmp_path / "b.npz", {"kind": "trial", "name": "Müller"}, {"numbers": numbers})
    assert (tmp_path / "b.npz").read_bytes() == path.read_bytes()


def test_another_kind_and_content_that_does_not_fit_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_archive(path, {"kind": "trial"}, {})
    assert (archive_kind(path), archive_kind(tmp_path / "none.npz")) == ("trial", None)
    with pytest.raises(InputError, match="expected clip of version 1, got trial of version 1"):
        read_archive(path, "clip", lambda *both: both)
    with pytest.raises(InputError, match=r"damaged file .*; do this$"):
        read_archive(path, "trial", lambda header, _: header["name"], "do this")
