"""Keys for glTF: the same keys, the same velocities, and hardly another curve."""

from dataclasses import replace

import pytest
import torch

from muybridge.edit.curves.cubic import hermite
from muybridge.edit.curves.rotation import Normalised
from muybridge.edit.key_segments import segments_of
from muybridge.edit.key_tangents import spline_keys
from muybridge.edit.keys import key_clip, set_interpolation, track
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle
from tests.edit.swing import swing

KEYED = key_clip(swing(), 0.001, 0.01)


def test_gltfs_curve_is_close_and_exact_at_the_keys() -> None:
    at = KEYED.grid()
    for keys in KEYED.tracks():
        if len(keys) < 2:
            continue
        found = spline_keys(keys)
        curve = hermite(found.times, found.values, found.leaving, found.arriving)
        ours = segments_of((keys,))(at)[:, 0]
        if not keys.turns:
            torch.testing.assert_close(curve(at), ours, rtol=0, atol=1e-12)
            continue
        theirs = Normalised(curve)
        assert float(geodesic_angle(theirs(keys.times), keys.values).max()) < 1e-7
        assert float(geodesic_angle(theirs(at), ours).max()) < 5e-3
        step = 1e-6
        moved = geodesic_angle(theirs(keys.times[:-1] + step), keys.values[:-1]) / step
        speed = segments_of((keys,)).velocity(keys.times[:-1])[:, 0].norm(dim=-1)
        torch.testing.assert_close(moved, speed, rtol=1e-2, atol=1e-2)


def test_rows_and_straight_keys() -> None:
    keys = track(set_interpolation(KEYED, "LeftArm", "linear"), "LeftArm")
    found = spline_keys(keys)
    assert found.rows().shape == (3 * len(keys), 4)
    torch.testing.assert_close(found.rows()[1::3], found.values)
    assert float((found.values * found.leaving).sum(-1).abs().max()) < 1e-12  # stays on the sphere
    alone = spline_keys(track(KEYED, "Spine"))
    assert alone.rows().shape == (3, 4)
    assert not bool(alone.leaving.any())


def test_stepped_keys_are_named() -> None:
    keys = track(KEYED, "LeftArm")
    with pytest.raises(InputError, match="a stepped one"):
        spline_keys(replace(keys, ways=("stepped",) * len(keys)))
