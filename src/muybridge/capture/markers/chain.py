"""A clip of rigid segments: joints found by the motion itself, bones of constant length.

T frames, S segments, M markers. World frame: metres, Y up. For marker sets that we do not know: no
anatomy is assumed. Two segments are joined where a point exists that both carry along; the joints
with the best such points make a tree. Segments that no joint holds keep a moving offset.

References:
    Ehrig, Taylor, Duda & Heller, A survey of formal methods for determining the centre of rotation
    of ball joints, Journal of Biomechanics 39(15), 2006 (SCoRE).
    O'Brien, Bodenheimer, Brostow & Hodgins, Automatic joint parameter estimation from magnetic
    motion capture data, Graphics Interface 2000 (the tree).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from muybridge.capture.markers.bodies import body_shape, fit_bodies
from muybridge.capture.markers.segments import Segment, find_segments
from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    conjugate,
    matrix_from_quaternion,
    multiply,
    quaternion_from_matrix,
    rotate,
    slerp,
    unroll,
)
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from muybridge.motion.skeleton import Skeleton

__all__ = ["Chain", "Joint", "centre_of_rotation", "solve_segments"]

LOOSE = 0.012  # metres: segments whose common point wanders more are not joined
REACH = 0.6  # metres: nor are segments whose joint would lie farther from their markers
TURNED = 0.02  # of the largest singular value: turns smaller than this fix no centre
LEAST_FRAMES = 20


class Joint(NamedTuple):
    """The point that two segments share.

    Attributes:
        first: Its place in the first segment's frame, metres.
        second: Its place in the second's.
        residual: Root mean square distance of the two over time, metres.
    """

    first: Float[Tensor, "3"]
    second: Float[Tensor, "3"]
    residual: float


@dataclass(frozen=True)
class Chain:
    """A clip of segments and what there is to say about it.

    Attributes:
        clip: The motion.
        segments: Which markers make which segment; names are those of the clip's joints.
        joined: Names of segments that a joint ties to their parent, and its residual, metres.
        residual: Distance of each marker from its place on the clip, metres; NaN where unseen or
            on no segment.
        left_out: Markers on no segment.
    """

    clip: Clip
    segments: tuple[Segment, ...]
    joined: dict[str, float]
    residual: Float[Tensor, "t m"]
    left_out: tuple[str, ...]


class _Poses(NamedTuple):
    """Segments over time; unknown frames are bridged."""

    rotation: Tensor  # (s, t, 4) world from segment
    position: Tensor  # (s, t, 3)
    known: Tensor  # (s, t)
    shapes: tuple[Tensor, ...]


def centre_of_rotation(
    rotation_a: Float[Tensor, "t 3 3"],
    position_a: Float[Tensor, "t 3"],
    rotation_b: Float[Tensor, "t 3 3"],
    position_b: Float[Tensor, "t 3"],
) -> Joint:
    """The point that two moving bodies share best: SCoRE with a choice where the motion has none.

    Solves  R_a a + p_a = R_b b + p_b  for a and b over all frames. A hinge leaves the position
    along its axis open, little motion leaves more: there the point nearest the middle between both
    origins is taken.
    """
    middle = (position_a + position_b) / 2.0
    start_a = (rotation_a.mT @ (middle - position_a).unsqueeze(-1)).squeeze(-1).mean(0)
    start_b = (rotation_b.mT @ (middle - position_b).unsqueeze(-1)).squeeze(-1).mean(0)
    rows = torch.cat((rotation_a, -rotation_b), dim=-1)
    gap = (position_b + rotation_b @ start_b) - (position_a + rotation_a @ start_a)
    step = torch.linalg.pinv(rows.flatten(0, 1), rtol=TURNED) @ gap.flatten()
    first, second = start_a + step[:3], start_b + step[3:]
    apart = (position_a + rotation_a @ first) - (position_b + rotation_b @ second)
    return Joint(first, second, float(apart.square().sum(-1).mean().sqrt()))


def solve_segments(markers: Markers) -> Chain:
    """Turn labelled markers of any set into a clip of their rigid segments.

    Args:
        markers: Labelled; gaps filled as far as possible, NaN where unseen.
    Raises:
        InputError: If no three markers keep their distances.
    """
    points = markers.points_world.to(torch.float64)
    segments = find_segments(markers)
    poses = _poses(points, segments)
    joints = _joints(poses)
    order, parents = _tree(joints, poses)
    return _chain(markers, segments, poses, joints, order, parents)


def _poses(points: Tensor, segments: tuple[Segment, ...]) -> _Poses:
    """Pose of every segment in every frame, bridged where it is not known."""
    rotations, positions, knowns, shapes = [], [], [], []
    for segment in segments:
        own = points[:, list(segment.markers)]
        shape = body_shape(own)
        found = fit_bodies(shape, own)
        known = found.translation.isfinite().all(-1)
        if int(known.sum()) < 2:
            raise InputError(
                f"expected three markers of {segment.name} seen together, got less than two such "
                "frames; use more of the take"
            )
        quaternion = quaternion_from_matrix(found.rotation[known])
        rotations.append(_bridged_turns(quaternion, known))
        positions.append(_bridged_path(found.translation, known))
        knowns.append(known)
        shapes.append(shape)
    return _Poses(
        torch.stack(rotations), torch.stack(positions), torch.stack(knowns), tuple(shapes)
    )


def _share(known: Bool[Tensor, "t"]) -> tuple[Tensor, Tensor, Tensor]:
    """For each frame the known one before and after (as ranks) and the way between them."""
    frames = known.nonzero().squeeze(-1)
    every = torch.arange(len(known))
    after = torch.searchsorted(frames, every).clamp(max=len(frames) - 1)
    before = (torch.searchsorted(frames, every, right=True) - 1).clamp(min=0)
    span = (frames[after] - frames[before]).clamp_min(1)
    return before, after, ((every - frames[before]).clamp_min(0) / span).clamp(0.0, 1.0).double()


def _bridged_turns(known_turns: Float[Tensor, "k 4"], known: Bool[Tensor, "t"]) -> Tensor:
    before, after, share = _share(known)
    return unroll(slerp(known_turns[before], known_turns[after], share))


def _bridged_path(path: Float[Tensor, "t 3"], known: Bool[Tensor, "t"]) -> Tensor:
    before, after, share = _share(known)
    return torch.lerp(path[known][before], path[known][after], share.unsqueeze(-1))


def _joints(poses: _Poses) -> dict[tuple[int, int], Joint]:
    """The common point of every two segments that are seen together long enough."""

    turns, found = matrix_from_quaternion(poses.rotation), {}
    for a in range(len(turns)):
        for b in range(a + 1, len(turns)):
            both = poses.known[a] & poses.known[b]
            if int(both.sum()) < LEAST_FRAMES:
                continue
            found[a, b] = centre_of_rotation(
                turns[a, both], poses.position[a, both], turns[b, both], poses.position[b, both]
            )
    return found


def _tree(joints: dict[tuple[int, int], Joint], poses: _Poses) -> tuple[list[int], dict[int, int]]:
    """Segments, parents first, and the parent of each that is joined; trees follow one another."""
    count = len(poses.shapes)
    cost = np.zeros((count, count))
    for (a, b), joint in joints.items():
        arm = float(joint.first.norm() + joint.second.norm())
        if joint.residual < LOOSE and arm < 2.0 * REACH:
            # A tight point counts; between equals the nearer pair does.
            cost[a, b] = joint.residual + 0.02 * arm + 1e-6
    tree = minimum_spanning_tree(cost)
    tree = tree + tree.T
    order: list[int] = []
    parents: dict[int, int] = {}
    size = [len(shape) for shape in poses.shapes]
    degree = np.asarray((tree > 0).sum(0)).ravel()
    for start in sorted(range(count), key=lambda s: (-int(degree[s]), -size[s], s)):
        if start in order:
            continue
        visited, before = breadth_first_order(tree, start, directed=False)
        order += [int(s) for s in visited]
        parents |= {int(s): int(before[s]) for s in visited[1:]}
    return order, parents


def _chain(
    markers: Markers,
    segments: tuple[Segment, ...],
    poses: _Poses,
    joints: dict[tuple[int, int], Joint],
    order: list[int],
    parents: dict[int, int],
) -> Chain:
    """The clip: rest pose is the best seen frame, joints sit at the centres of rotation."""
    rest = int(poses.known.sum(0).argmax())
    world = multiply(poses.rotation, conjugate(poses.rotation[:, rest]).unsqueeze(1))
    origin = _origins(poses, joints, order, parents)  # (s, t, 3)
    names, index, offsets = [], [], []
    for rank, s in enumerate(order):
        above = parents.get(s, -1 if rank == 0 else order[0])
        names.append(segments[s].name)
        index.append(order.index(above) if above >= 0 else -1)
        offsets.append(origin[s, rest] - origin[above, rest] if above >= 0 else 0 * origin[s, rest])
    local = _local(world[order], index)
    moves = _moves(origin[order], world[order], index)
    free = any(s not in parents for s in order[1:])
    skeleton = _with_tips(names, index, offsets, poses, origin[:, rest], order)
    tips = len(skeleton) - len(order)
    identity = torch.tensor([0.0, 0, 0, 1], dtype=torch.float64).expand(tips, len(markers), 4)
    rotations = torch.cat((unroll(local.transpose(0, 1)), identity.transpose(0, 1)), dim=1)
    still = skeleton.offsets[len(order) :].expand(len(markers), -1, -1)
    translations = torch.cat((moves.transpose(0, 1), still), dim=1) if free else None
    filled = torch.cat((~poses.known[order], torch.zeros(tips, len(markers)).bool())).mT
    clip = Clip(
        skeleton, rotations, origin[order[0]], markers.fps, "segments", translations, filled=filled
    )
    return Chain(
        clip,
        segments,
        {segments[s].name: joints[min(s, p), max(s, p)].residual for s, p in parents.items()},
        _residual(markers, segments, poses, clip, origin, order, rest),
        tuple(n for m, n in enumerate(markers.names) if all(m not in s.markers for s in segments)),
    )


def _origins(
    poses: _Poses,
    joints: dict[tuple[int, int], Joint],
    order: list[int],
    parents: dict[int, int],
) -> Float[Tensor, "s t 3"]:
    """World path of each segment's joint: the point that its parent carries, else its own centre.

    Joint by joint down the tree, so that bones keep their lengths.
    """

    origin = poses.position.clone()
    own = torch.zeros(len(order), 3, dtype=torch.float64)  # the origin in the segment's frame
    for s in order:
        if s not in parents:
            continue
        p = parents[s]
        joint = joints[min(s, p), max(s, p)]
        at_parent, at_self = (joint.first, joint.second) if p < s else (joint.second, joint.first)
        origin[s] = origin[p] + rotate(poses.rotation[p], at_parent - own[p])
        own[s] = at_self
    return origin


def _local(world: Float[Tensor, "s t 4"], parents: list[int]) -> Float[Tensor, "s t 4"]:
    return torch.stack(
        [
            turn if p < 0 else multiply(conjugate(world[p]), turn)
            for turn, p in zip(world, parents, strict=True)
        ]
    )


def _moves(origin: Tensor, world: Tensor, parents: list[int]) -> Float[Tensor, "s t 3"]:
    """Position of each joint in its parent's frame, metres."""

    return torch.stack(
        [
            place if p < 0 else rotate(conjugate(world[p]), place - origin[p])
            for place, p in zip(origin, parents, strict=True)
        ]
    )


def _with_tips(
    names: list[str],
    parents: list[int],
    offsets: list[Tensor],
    poses: _Poses,
    origin: Float[Tensor, "s 3"],
    order: list[int],
) -> Skeleton:
    """The skeleton with an end site on every last segment, twice as far as its markers' mean."""
    rest = int(poses.known.sum(0).argmax())
    leaves = [k for k in range(len(order)) if k not in parents]
    tips = []
    for k in leaves:
        arm = 2.0 * (poses.position[order[k], rest] - origin[order[k]])
        short = float(arm.norm()) < 0.01
        tips.append(arm.new_tensor([0.0, 0.1, 0.0]) if short else arm)
    return Skeleton(
        (*names, *(f"{names[k]}_end" for k in leaves)),
        (*parents, *leaves),
        torch.stack([*offsets, *tips]),
        (False,) * len(names) + (True,) * len(leaves),
    )


def _residual(
    markers: Markers,
    segments: tuple[Segment, ...],
    poses: _Poses,
    clip: Clip,
    origin: Float[Tensor, "s t 3"],
    order: list[int],
    rest: int,
) -> Float[Tensor, "t m"]:
    """Distance of every measured marker from its place on the clip."""

    pose = forward_clip(clip)
    residual = torch.full_like(markers.points_world[..., 0], torch.nan)
    for k, s in enumerate(order):
        index = list(segments[s].markers)
        places = poses.position[s, rest] + rotate(poses.rotation[s, rest], poses.shapes[s])
        arms = places - origin[s, rest]
        turned = rotate(pose.orientations[:, [k]], arms.unsqueeze(0))
        where = pose.positions[:, [k]] + turned
        residual[:, index] = (where - markers.points_world[:, index]).norm(dim=-1)
    return residual
