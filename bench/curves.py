"""Curves: nanoseconds a sample against scipy, numpy-quaternion and splines, in one process.

100 keys at uneven times, 100,000 samples, float64, one thread, CPU time, best of 15. Curves are
made beforehand where the peer can do so; numpy-quaternion's functions take keys and times at once,
so there ours are timed with making the curve, too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline, Slerp

from bench.bvh import best
from muybridge.edit.curves.rotation import slerp, squad
from muybridge.edit.curves.rotation_cubic import rotation_spline
from muybridge.edit.curves.spline import spline

KEYS, SAMPLES, SEED, REPEATS = 100, 100_000, 0, 15
JOINTS = 30
CHANNELS = (1, 3, 6, 30, 93)


def apart(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """Largest difference of components, blind to the sign of quaternions."""
    a = ours.numpy()
    same, opposite = np.abs(a - theirs).max(-1), np.abs(a + theirs).max(-1)
    return float(np.minimum(same, opposite).max())


def row(name: str, ours: Callable[[], object], theirs: Callable[[], object], check: str) -> None:
    """Print one line of the table."""
    seconds = best(ours, REPEATS), best(theirs, REPEATS)
    a, b = (1e9 * s / SAMPLES for s in seconds)
    print(f"{name:52}{a:9.1f}{b:9.1f}{b / a:8.2f}x   {check}")


def made(name: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Print what making a curve through all keys costs, milliseconds."""
    a, b = (1e3 * best(work, REPEATS) for work in (ours, theirs))
    print(f"{'making: ' + name:52}{a:6.1f} ms{b:6.1f} ms{b / a:8.2f}x")


def rotations() -> None:
    """Slerp, squad and the C2 spline."""
    rng = np.random.default_rng(SEED)
    t = np.cumsum(rng.uniform(0.5, 1.5, KEYS))
    q = [Rotation.identity()]
    for step in rng.normal(size=(KEYS - 1, 3)) * 0.4:
        q.append(q[-1] * Rotation.from_rotvec(step))
    keys = Rotation.concatenate(q)
    x = np.linspace(t[0], t[-1], SAMPLES)
    times, turns, at = (torch.from_numpy(a) for a in (t, keys.as_quat(), x))
    ours, theirs = slerp(times, turns), Slerp(t, keys)
    off = apart(ours(at), theirs(x).as_quat())
    row("slerp, scipy Slerp", lambda: ours(at), lambda: theirs(x), f"{off:.0e}")
    smooth, smooth_theirs = rotation_spline(times, turns), RotationSpline(t, keys)
    off = apart(smooth(at), smooth_theirs(x).as_quat())
    row("C2 rotations, scipy RotationSpline", lambda: smooth(at), lambda: smooth_theirs(x),
        f"{off:.0e} (scipy stops iterating at 1e-9)")  # fmt: skip
    many = turns.unsqueeze(1).expand(-1, JOINTS, -1)
    made(f"C2 rotations of {JOINTS} joints", lambda: rotation_spline(times, many),
         lambda: [RotationSpline(t, keys) for _ in range(JOINTS)])  # fmt: skip
    if importlib.util.find_spec("quaternion") is None:
        print("numpy-quaternion is not installed: pip install numpy-quaternion==2024.0.13")
        return
    import quaternion

    wxyz = np.ascontiguousarray(turns.numpy()[:, [3, 0, 1, 2]])
    peer = quaternion.unflip_rotors(quaternion.from_float_array(wxyz))
    found = quaternion.as_float_array(quaternion.squad(peer, t, x))[:, [1, 2, 3, 0]]
    off = apart(squad(times, turns)(at), found)
    name = f"squad with its making, numpy-quaternion {version('numpy-quaternion')}"
    row(name, lambda: squad(times, turns)(at), lambda: quaternion.squad(peer, t, x), f"{off:.0e}")


def values() -> None:
    """Cubic splines of one to many channels: nanoseconds a sample of all channels."""
    rng = np.random.default_rng(SEED)
    t = np.cumsum(rng.uniform(0.5, 1.5, KEYS))
    x = np.linspace(t[0], t[-1], SAMPLES)
    for channels in CHANNELS:
        v = rng.normal(size=(KEYS, channels))
        times, at = torch.from_numpy(t), torch.from_numpy(x)
        ours, theirs = spline(times, torch.from_numpy(v)), CubicSpline(t, v, bc_type="natural")
        off = float(np.abs(ours(at).numpy() - theirs(x)).max())
        name = f"natural spline, {channels} channels, scipy CubicSpline"
        row(name, lambda: ours(at), lambda: theirs(x), f"{off:.0e}")  # noqa: B023
    made(f"natural spline, {channels} channels", lambda: spline(times, torch.from_numpy(v)),
         lambda: CubicSpline(t, v, bc_type="natural"))  # fmt: skip


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"scipy {version('scipy')}, torch {version('torch')}, seed {SEED}")
    print(f"{'':52}{'ours ns':>9}{'theirs':>9}{'ratio':>9}   largest difference")
    rotations()
    values()


if __name__ == "__main__":
    main()
