"""The contact sheet: a row of poses on a measured backdrop, as Muybridge hung it in 1878."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.take import PersonTake
from muybridge.motion.kinematics import forward_clip
from muybridge.studio.figure import Capsule, figure

__all__ = ["contact_strip"]

CELLS = 12
WIDTH, HEIGHT, GAP = 100, 132, 6  # of a cell, in drawing units
BACKDROP_M = 0.25  # spacing of the threads


def contact_strip(person: PersonTake | None, floor_m: float, cells: int = CELLS) -> str:
    """An SVG of evenly spaced poses, seen from the side that shows the movement best.

    Args:
        person: Whose poses; an empty backdrop without one.
        floor_m: Height of the ground, metres.
        cells: How many frames, at most.
    """
    frames = _frames(person, cells)
    total = len(frames) * (WIDTH + GAP) - GAP
    drawn = "".join(
        f'<g class="cell" data-frame="{frame}" transform="translate({i * (WIDTH + GAP)} 0)">'
        f"{body}</g>"
        for i, (frame, body) in enumerate(
            zip(frames, _bodies(person, frames, floor_m), strict=True)
        )
    )
    return (
        f'<svg class="strip" viewBox="0 0 {total} {HEIGHT + 14}" role="img" '
        f'aria-label="{len(frames)} poses of the take in a row">{drawn}</svg>'
    )


def _frames(person: PersonTake | None, cells: int) -> list[int]:
    count = len(person.clip) if person is not None else 0
    if count == 0:
        return [0] * cells
    shown = min(cells, count)
    return [round(i * (count - 1) / max(shown - 1, 1)) for i in range(shown)]


def _bodies(person: PersonTake | None, frames: list[int], floor_m: float) -> list[str]:
    if person is None or len(person.clip) == 0:
        return [_backdrop(48.0, 0.0) for _ in frames]
    pose = forward_clip(person.clip).positions[frames].to(torch.float64).nan_to_num()
    side = _sideways(person)
    depth = torch.stack((-side[2], torch.zeros_like(side[0]), side[0]))
    across, into, up = pose @ side, pose @ depth, pose[..., 1] - floor_m
    centre = (across.amin(1) + across.amax(1)) / 2.0
    reach = float(torch.maximum(up.amax(), (across.amax(1) - across.amin(1)).amax() * 1.15))
    scale = (HEIGHT - 24) / max(reach + 0.1, 0.3)  # drawing units a metre
    limbs = figure(person.clip.skeleton)
    bodies = []
    for i, frame in enumerate(frames):
        x = WIDTH / 2 + (across[i] - centre[i]) * scale
        y = HEIGHT - 12 - up[i] * scale
        number = f'<text x="{WIDTH / 2}" y="{HEIGHT + 11}">{i + 1}</text>'
        shift = float(centre[i]) * scale
        bodies.append(_backdrop(scale, shift) + _limbs(limbs, x, y, into[i], scale) + number)
        assert frame >= 0, "frames count from 0"
    return bodies


def _sideways(person: PersonTake) -> Float[Tensor, "3"]:
    """Horizontal axis of the picture: along the path, or across the shoulders' normal if none."""
    path = person.clip.root[:, [0, 2]].to(torch.float64).nan_to_num()
    spread = path - path.mean(0)
    ahead = path[-1] - path[0]
    if float(ahead.norm()) < 0.5:  # on the spot: look from where the limbs move most
        pose = forward_clip(person.clip).positions[:, :, [0, 2]].to(torch.float64).nan_to_num()
        spread = (pose - pose.mean(0)).flatten(0, 1)
        _, _, axes = torch.linalg.svd(spread, full_matrices=False)
        ahead = axes[0]
    ahead = ahead / ahead.norm().clamp(min=1e-9)
    return torch.stack((ahead[0], torch.zeros_like(ahead[0]), ahead[1]))


def _backdrop(scale: float, shift: float) -> str:
    step = BACKDROP_M * scale
    rows = [HEIGHT - 12 - k * step for k in range(int((HEIGHT - 12) / step) + 1)]
    first = -(shift % step) + (WIDTH / 2) % step
    columns = [first + k * step for k in range(int(WIDTH / step) + 2)]
    threads = "".join(f"M0 {y:.1f}H{WIDTH}" for y in rows)
    threads += "".join(f"M{x:.1f} 0V{HEIGHT}" for x in columns if 0 < x < WIDTH)
    return (
        f'<rect class="plate" width="{WIDTH}" height="{HEIGHT}"/><path class="thread" '
        f'd="{threads}"/><path class="ground" d="M0 {HEIGHT - 12}H{WIDTH}"/>'
    )


def _limbs(
    limbs: tuple[Capsule, ...], x: Tensor, y: Tensor, into: Tensor, scale: float
) -> str:  # fmt: skip
    """Thick round strokes, the far side first and darker."""
    ordered = sorted(limbs, key=lambda c: float(into[c.start] + into[c.stop]))
    far, near = float(into.min()), float(into.max())
    parts = []
    for limb in ordered:
        depth = float(into[limb.start] + into[limb.stop]) / 2.0
        light = (depth - far) / max(near - far, 1e-6)
        ends = [
            [float(v[limb.start] + share * (v[limb.stop] - v[limb.start])) for v in (x, y)]
            for share in (limb.near, limb.far)
        ]
        width = max((limb.start_m + limb.stop_m) * scale * 0.92, 1.5)
        parts.append(
            f'<path d="M{ends[0][0]:.1f} {ends[0][1]:.1f}'
            f'L{ends[1][0] + 0.01:.2f} {ends[1][1]:.1f}" '
            f'stroke-width="{width:.1f}" style="--light:{light:.2f}"/>'
        )
    return f'<g class="limbs">{"".join(parts)}</g>'
