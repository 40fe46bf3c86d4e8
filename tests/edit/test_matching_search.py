"""The nearest feature vector: three ways, one answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.features import features, scale_of, searchable, simulation_bone
from muybridge.edit.library import library_from_clips
from muybridge.edit.matching_search import METHODS, FeatureIndex
from muybridge.errors import InputError
from tests.edit.walks import recorded, walks


def _naive(index: FeatureIndex, query: torch.Tensor) -> tuple[int, float]:
    best, least = -1, float("inf")
    for frame in torch.nonzero(index.allowed)[:, 0].tolist():
        row = index.features[frame].to(torch.float32).to(torch.float64)
        squared = float(((row - query) ** 2).sum())
        if squared < least:
            best, least = frame, squared
    return best, least


def _agree(index: FeatureIndex, query: torch.Tensor) -> None:
    frame, squared = _naive(index, query)
    for method in METHODS:
        found = index.nearest(query, method)
        assert found[0] == frame, method
        assert found[1] == pytest.approx(squared, rel=1e-9, abs=1e-12)
    assert index.distance(query, frame) == pytest.approx(squared, rel=1e-9, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 400),
    width=st.integers(1, 27),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    decay=st.sampled_from([0.0, 0.3, 2.0]),
)
def test_all_ways_find_the_same_frame(
    seed: int, count: int, width: int, scale: float, decay: float
) -> None:
    """Spread evenly or along a few directions, small and large, with repeated rows."""
    rng = np.random.default_rng(seed)
    rows = scale * rng.normal(size=(count, width)) * np.exp(-decay * np.arange(width))
    rows[count // 2 :] = rows[: count - count // 2]  # ties
    allowed = torch.from_numpy(rng.random(count) < 0.7)
    allowed[rng.integers(count)] = True
    index = FeatureIndex(torch.from_numpy(rows), allowed)
    for query in (rng.normal(size=width) * scale, rows[rng.integers(count)], np.zeros(width)):
        _agree(index, torch.from_numpy(query))


def test_on_walks_with_wishes_of_other_frames() -> None:
    library = walks()
    raw = features(library, simulation_bone(library))
    index = FeatureIndex(scale_of(raw).apply(raw), searchable(library))
    generator = torch.Generator().manual_seed(0)
    for a, b in torch.randint(len(raw), (20, 2), generator=generator).tolist():
        _agree(index, torch.cat((index.features[a, :15], index.features[b, 15:])))


def test_on_recordings() -> None:
    library = library_from_clips(recorded(), mirrored=True)
    raw = features(library, simulation_bone(library))
    index = FeatureIndex(scale_of(raw).apply(raw), searchable(library))
    generator = torch.Generator().manual_seed(1)
    for a, b in torch.randint(len(raw), (10, 2), generator=generator).tolist():
        _agree(index, torch.cat((index.features[a, :15], index.features[b, 15:])))


def test_nothing_to_find() -> None:
    with pytest.raises(InputError, match="longer clips"):
        FeatureIndex(torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.bool))
