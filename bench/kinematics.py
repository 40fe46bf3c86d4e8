"""Forward kinematics of 31 joints: frames a second against PyMotion and pybvh, in one process.

The CMU walk repeated to 10,000 frames. CPU time, one thread, best of some runs that take turns;
rotations and offsets in, positions and orientations out, all in the layout (frames, joints,
components). "plain numpy" is a joint-by-joint loop over quaternions as animation libraries have it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from bench.bvh import best_in_turns
from muybridge.files.bvh import read_bvh
from muybridge.motion.kinematics import forward
from muybridge.motion.skeleton import Skeleton
from tests.motions import DATA

FRAMES = 10_000
REPEATS = 7


def walk() -> tuple[Skeleton, torch.Tensor, torch.Tensor]:
    """Skeleton without end sites, rotations, local positions; file units."""
    clip = read_bvh(DATA / "bvh" / "pybvh" / "cmu_12_01_walk.bvh", unit="m").clip
    full = clip.skeleton
    kept = [j for j, end in enumerate(full.end_sites) if not end]
    place = {joint: k for k, joint in enumerate(kept)}
    skeleton = Skeleton(
        tuple(full.names[j] for j in kept),
        tuple(place.get(full.parents[j], -1) for j in kept),
        full.offsets[kept],
    )
    times = -(-FRAMES // len(clip))
    rotations = clip.rotations[:, kept].repeat(times, 1, 1)[:FRAMES].contiguous()
    return skeleton, rotations, clip.local_translations()[:, kept].repeat(times, 1, 1)[:FRAMES]


def scipy_error(skeleton: Skeleton, rotations: torch.Tensor, local: torch.Tensor) -> float:
    """Largest distance from a joint-by-joint loop with scipy over the first frames, file units."""
    found = forward(skeleton, rotations[:500], local[:500]).positions.numpy()
    places, turns, worst = [], [], 0.0
    for joint, parent in enumerate(skeleton.parents):
        turn, place = Rotation.from_quat(rotations[:500, joint].numpy()), local[:500, joint].numpy()
        if parent >= 0:
            place = places[parent] + turns[parent].apply(place)
            turn = turns[parent] * turn
        places.append(place)
        turns.append(turn)
        worst = max(worst, float(np.abs(place - found[:, joint]).max()))
    return worst


def backward(run: Callable[[torch.Tensor], torch.Tensor], rotations: torch.Tensor) -> None:
    """Forward, then the gradient of a scalar of the positions."""
    leaf = rotations.detach().clone().requires_grad_()
    run(leaf).square().sum().backward()


def plain_numpy(
    parents: tuple[int, ...], q: np.ndarray, p: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Quaternions (x, y, z, w) and positions, one array a joint."""

    def turned(a: np.ndarray, v: np.ndarray) -> np.ndarray:
        twice = 2.0 * np.cross(a[:, :3], v)
        return v + a[:, 3:] * twice + np.cross(a[:, :3], twice)

    places, turns = [p[:, 0]], [q[:, 0]]
    for joint, parent in enumerate(parents[1:], start=1):
        a, b = turns[parent], q[:, joint]
        places.append(places[parent] + turned(a, p[:, joint]))
        vector = a[:, 3:] * b[:, :3] + b[:, 3:] * a[:, :3] + np.cross(a[:, :3], b[:, :3])
        scalar = a[:, 3:] * b[:, 3:] - (a[:, :3] * b[:, :3]).sum(-1, keepdims=True)
        turns.append(np.concatenate((vector, scalar), axis=-1))
    return np.stack(places, 1), np.stack(turns, 1)


def peers(
    skeleton: Skeleton, rotations: torch.Tensor, local: torch.Tensor
) -> dict[str, Callable[[], object]]:
    """One call for each peer's fastest way and for its torch with gradients."""
    arrays = rotations.numpy(), local.numpy()
    found: dict[str, Callable[[], object]] = {
        "plain numpy": lambda: plain_numpy(skeleton.parents, *arrays)
    }
    parents = np.array([0, *skeleton.parents[1:]])
    if importlib.util.find_spec("pymotion"):
        from pymotion.ops import skeleton_np, skeleton_torch

        name = f"upc-pymotion {version('upc-pymotion')}"
        # PyMotion keeps the scalar first; it is converted beforehand, not in the timing
        scalar_first = rotations.roll(1, -1).contiguous()
        q, root, offsets = scalar_first.numpy(), local[:, 0].numpy(), skeleton.offsets.numpy()
        index = torch.from_numpy(parents)
        found[f"{name} numpy fk_quat"] = lambda: skeleton_np.fk_quat(q, root, offsets, parents)
        found[f"{name} numpy fk"] = lambda: skeleton_np.fk(q, root, offsets, parents)

        def run(leaf: torch.Tensor) -> torch.Tensor:
            return skeleton_torch.fk(leaf, local[:, 0], skeleton.offsets, index)[0]

        found[f"{name} torch fk"] = lambda: run(scalar_first)
        found[f"{name} torch fk, with gradient"] = lambda: backward(run, scalar_first)
    else:
        print("upc-pymotion is not installed: pip install upc-pymotion==0.3.4")
    if importlib.util.find_spec("pybvh"):
        import pybvh

        theirs = pybvh.read_bvh_file(DATA / "bvh" / "pybvh" / "cmu_12_01_walk.bvh")
        times = -(-FRAMES // theirs.frame_count)
        root, angles = (
            np.tile(np.asarray(a), (times, *[1] * (a.ndim - 1)))[:FRAMES]
            for a in (theirs.root_pos, theirs.joint_angles)
        )
        found[f"pybvh {version('pybvh')} (from Euler angles)"] = lambda: (
            pybvh.frames_to_node_positions(theirs, root, angles)
        )
    else:
        print("pybvh is not installed: pip install pybvh==0.9.0")
    return found


def main() -> None:
    """Print the table."""
    if not (DATA / "bvh").is_dir():
        print("the BVH files of ../shared/data are absent")
        return
    torch.set_num_threads(1)
    skeleton, rotations, local = walk()
    single, places = rotations.float(), local.float()

    def positions(leaf: torch.Tensor) -> torch.Tensor:
        return forward(skeleton, leaf, local).positions

    works: dict[str, Callable[[], object]] = {
        "muybridge float64": lambda: forward(skeleton, rotations, local),
        "muybridge float32": lambda: forward(skeleton, single, places),
        "muybridge float64, with gradient": lambda: backward(positions, rotations),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        works |= peers(skeleton, rotations, local)
        slow = {name: works.pop(name) for name in list(works) if "gradient" in name}
        seconds = best_in_turns(works, REPEATS) | best_in_turns(slow, 4)
    print(f"{len(skeleton)} joints x {FRAMES} frames{'':24}{'kframes/s':>10}{'ours/theirs':>13}")
    for name, taken in seconds.items():
        ours = "muybridge float64" + (", with gradient" if "gradient" in name else "")
        print(f"{name:48}{FRAMES / taken / 1e3:10.0f}{taken / seconds[ours]:13.2f}")
    print(f"largest distance from scipy: {scipy_error(skeleton, rotations, local):.1e} file units")


if __name__ == "__main__":
    main()
