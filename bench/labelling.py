"""Raw spots of eight cameras to named markers: accuracy, ghosts, swaps. Synthetic only.

41 virtual markers on a recorded walk (a synthetic one where ../shared is absent), eight cameras of
5 megapixels at 5 m, 0.5 px noise. Compared with the Cramer-Rao bound of the same views and, for the
points of two views, with cv2.triangulatePoints. Then labels at three frame rates, 40 occlusions of
0.3 s and three ghosts a frame near the markers, beside a baseline: the nearest point to the last
place (Hungarian assignment, 10 cm gate).
"""

from __future__ import annotations

import time

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from muybridge.capture.markers.correspond import correspond
from muybridge.capture.markers.label import Labelled, label
from muybridge.geometry.camera import Cameras
from muybridge.geometry.triangulation import triangulate_linear
from muybridge.motion.markers import Markers
from tests.capture.markers.marked_walker import walker
from tests.capture.markers.studio import Faults, eight, film, owners
from tests.capture.markers.test_correspond import bound
from tests.capture.markers.test_label import judged, shuffled


def matching(seconds: float = 1.0) -> None:
    """Correspondence and triangulation at three levels of faults."""
    markers = walker(100.0, seconds)
    cameras = eight(markers.points_world)
    floor = 1e3 * bound(markers.points_world[::10], cameras, 0.5)
    total = markers.points_world[..., 0].numel()
    for hidden, false in ((0.0, 0), (0.15, 3), (0.3, 8)):
        spots, who = film(markers, cameras, Faults(hidden=hidden, false=false))
        started = time.perf_counter()
        cloud = correspond(spots, cameras, 100.0)
        took = time.perf_counter() - started
        owner = owners(cloud.spots, who)
        frame, slot = (owner >= 0).nonzero(as_tuple=True)
        error = cloud.points_world[frame, slot] - markers.points_world[frame, owner[frame, slot]]
        rmse = 1e3 * float(error.square().sum(-1).mean().sqrt())
        # The bound for the views that were really used.
        trace = cloud.covariance[frame, slot].diagonal(dim1=-2, dim2=-1).sum(-1)
        bound_used = 1e3 * float(trace.mean().sqrt())
        ghosts = int((cloud.points_world.isfinite().all(-1) & (owner < 0)).sum())
        print(
            f"  {hidden:4.0%} of spots hidden, {false} false a picture: {len(frame) / total:.2%} "
            f"found, {ghosts} ghosts, RMSE {rmse:.3f} mm, {rmse / bound_used:.3f} of the "
            f"Cramer-Rao bound ({floor:.3f} mm with all views), {len(markers) / took:.0f} frames/s"
        )


def opencv(markers: Markers, cameras: Cameras) -> float:
    """Largest distance from cv2.triangulatePoints, two views without noise, metres."""
    pair = cameras.select([0, 2])
    spots = pair.project(markers.points_world[:5])
    flat = pair.undistort_px(spots).flatten(1, 2).numpy()
    first, second = pair.projection().numpy()
    theirs = cv2.triangulatePoints(first, second, flat[0].T, flat[1].T)
    ours = triangulate_linear(spots, pair).reshape(-1, 3).numpy()
    return float(np.abs(ours - (theirs[:3] / theirs[3]).T).max())


def nearest(points: Tensor, fps: float, names: tuple[str, ...], pose: Tensor) -> Labelled:
    """The baseline: each marker to the point nearest its last place, all at once."""
    slots, last = torch.full((len(points), len(pose)), -1), pose.numpy().copy()
    for t, cloud in enumerate(points.numpy()):
        real = np.flatnonzero(np.isfinite(cloud).all(1))
        away = np.linalg.norm(last[:, None] - cloud[None, real], axis=-1)
        for row, column in zip(*linear_sum_assignment(np.minimum(away, 0.1)), strict=True):
            if away[row, column] < 0.1:
                slots[t, row] = int(real[column])
                last[row] = cloud[real[column]]
    found = points[torch.arange(len(points)).unsqueeze(1), slots.clamp_min(0)]
    return Labelled(Markers(names, found, fps), slots)


def labelling(seconds: float = 3.0, seeds: int = 4) -> None:
    """Swaps at three frame rates."""
    for fps in (100.0, 50.0, 25.0):
        markers = walker(fps, seconds)
        ours, base, took = torch.zeros(3), torch.zeros(3), 0.0
        for seed in range(seeds):
            points, who = shuffled(markers, seed, occlusions=40)
            started = time.perf_counter()
            found = label(points, fps, markers.names, markers.points_world[0])
            took += time.perf_counter() - started
            ours += torch.tensor(judged(found, who))
            simple = nearest(points, fps, markers.names, markers.points_world[0])
            base += torch.tensor(judged(simple, who))
        count = seeds * markers.points_world[..., 0].numel()
        print(
            f"  {fps:3.0f} Hz, {seeds} seeds, {count} samples: {int(ours[0])} swapped "
            f"({float(ours[0]) / count:.2%}), {int(ours[1])} ghosts taken, "
            f"{float(ours[2]) / seeds:.1%} of the visible named; nearest point: {int(base[0])} "
            f"swapped ({float(base[0]) / count:.1%}), {float(base[2]) / seeds:.1%} named; "
            f"{seeds * len(markers) / took:.0f} frames/s"
        )


def main() -> None:
    """Print both tables."""
    print("spots of eight cameras to points (seed 0)")
    matching()
    markers = walker(100.0, 0.1)
    gap = opencv(markers, eight(markers.points_world))
    print(f"  two views without noise: {gap:.1e} m from cv2.triangulatePoints {cv2.__version__}")
    print("points to names")
    labelling()


if __name__ == "__main__":
    main()
