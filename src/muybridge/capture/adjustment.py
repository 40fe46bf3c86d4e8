"""Bundle adjustment of cameras, detector offsets and joints, seen in one person's keypoints.

C cameras, T frames, J joints, K parameters a camera, Q = K + 2 with the offset of a joint's
detections, P = C Q parameters that touch a joint.
The unknowns form three levels: points (eliminated one by one), the constant offset of each joint's
detections in each camera (eliminated joint by joint), and cameras. So the last system is C K wide,
however long the take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.capture.trajectories import Rays, project_rays, rays
from muybridge.geometry.camera import Cameras
from muybridge.geometry.robust import robust_weight
from muybridge.geometry.rotation import matrix_from_rotvec

__all__ = ["Adjustment", "AdjustmentPrior", "adjust"]

POSE = 6  # rotation about the person (radians), then translation (metres), camera frame
LENS = 3  # log focal length, principal point (pixels)
SCALES = (8.0, 4.0, 2.0, *(1.0,) * 9)  # of the loss, step by step: coarse to fine
STILL = 1e-4  # radians or metres: the adjustment has settled
POINT_FLOOR = 1e-6  # keeps points that one camera sees solvable


@dataclass(frozen=True)
class AdjustmentPrior:
    """One-sigma widths of what is believed beforehand; the given calibration is the mean.

    Attributes:
        rotation_deg: Orientation of each camera about the person.
        translation_m: Position of each camera relative to the person.
        focal_relative: Focal length; None holds the lens.
        centre_px: Principal point, when the lens is not held.
        offset_px: Constant detector offset of a joint in a camera; None assumes none.
        sigma_px: Noise of a detection of weight 1, pixels per axis.
        loss_px: Scale of the Cauchy loss, pixels.
    """

    rotation_deg: float = 2.0
    translation_m: float = 0.3
    focal_relative: float | None = None
    centre_px: float = 10.0
    offset_px: float | None = 5.0
    sigma_px: float = 4.0
    loss_px: float = 5.0


class Adjustment(NamedTuple):
    """Cameras, offsets and points after adjustment.

    `offset_px` is what the detector adds: detection = projection + offset, undistorted pixels.
    """

    cameras: Cameras
    offset_px: Float[Tensor, "c j 2"]
    points_world: Float[Tensor, "t j 3"]


class _State(NamedTuple):
    cameras: Cameras
    offset: Float[Tensor, "c j 2"]
    points: Float[Tensor, "t j 3"]
    moved: Float[Tensor, "c k"]  # camera parameters away from the prior mean


def adjust(
    points_px: Float[Tensor, "c t j 2"],
    weight: Float[Tensor, "c t j"],
    cameras: Cameras,
    start_world: Float[Tensor, "t j 3"],
    prior: AdjustmentPrior | None = None,
) -> Adjustment:
    """Refine cameras and detector offsets from a moving person.

    Args:
        points_px: Detections, pixels; NaN where unseen.
        weight: Relative inverse variance of each; 0 drops it.
        cameras: Start and prior mean; world frame, metres.
        start_world: Start of the points, metres; NaN leaves a point out.
        prior: What is believed beforehand.
    References:
        Triggs et al., Bundle adjustment: a modern synthesis, 2000, section 6 (Schur complement).
    """
    prior = prior or AdjustmentPrior()
    usable = start_world.isfinite().all(-1) & ((weight > 0.0).sum(0) >= 2)
    seen = rays(points_px, weight * usable, cameras)
    centre = start_world[usable].mean(0)
    zeros = start_world.new_zeros(len(cameras), start_world.shape[1], 2)
    width = POSE if prior.focal_relative is None else POSE + LENS
    moved = start_world.new_zeros(len(cameras), width)
    state = _State(cameras, zeros, torch.where(usable.unsqueeze(-1), start_world, centre), moved)
    for scale in SCALES:
        state, change = _step(state, seen, centre, prior, scale * prior.loss_px)
        if scale == 1.0 and change < STILL:
            break
    points = torch.where(usable.unsqueeze(-1), state.points, torch.nan)
    return Adjustment(state.cameras, state.offset, points)


def _step(
    state: _State, seen: Rays, centre: Tensor, prior: AdjustmentPrior, loss_px: float
) -> tuple[_State, float]:
    """One Gauss-Newton step and its largest camera parameter."""
    count, joints = len(state.cameras), state.points.shape[1]
    predicted, slope = project_rays(state.points, state.cameras)
    residual = _observed(seen, state) - predicted - state.offset.unsqueeze(1)
    robust = robust_weight(residual.norm(dim=-1), loss_px, "cauchy")
    weight = (seen.weight * robust / prior.sigma_px**2)[..., None, None]
    shared = _shared_slope(state, predicted, slope, centre)  # c t j 2 q, q = k + 2
    back = (weight * slope).mT
    point = (back @ slope).sum(0) + POINT_FLOOR * torch.eye(3, dtype=slope.dtype)
    cross = (back @ shared).permute(1, 2, 3, 0, 4).flatten(-2)  # t j 3 (c q)
    pull_point = (back @ residual.unsqueeze(-1)).sum(0)  # t j 3 1
    weighted = (weight * shared).transpose(1, 2).flatten(2, 3)  # c j (t 2) q
    rows = shared.transpose(1, 2).flatten(2, 3)
    blocks = weighted.mT @ rows
    solved = torch.linalg.solve(point, torch.cat((cross, pull_point), -1))
    right = weighted.mT @ residual.transpose(1, 2).flatten(2, 3).unsqueeze(-1)
    stacked = cross.transpose(0, 1).flatten(1, 2)  # j (t 3) (c q)
    schur = stacked.mT @ solved.transpose(0, 1).flatten(1, 2)
    own = _block_diagonal(blocks) - schur[..., :-1]
    pull = right.squeeze(-1).transpose(0, 1).flatten(1) - schur[..., -1]
    order = _cameras_first(count, shared.shape[-1])
    camera, offset = _solve_shared(own[:, order][:, :, order], pull[:, order], state, prior)
    step = torch.cat((camera.expand(joints, -1), offset), -1)[:, order.argsort()]
    move = solved[..., -1] - torch.einsum("tjap,jp->tja", solved[..., :-1], step)
    far = move.norm(dim=-1, keepdim=True).clamp(min=0.3)
    return _State(
        _moved(state.cameras, camera.reshape(count, -1), centre),
        state.offset + offset.reshape(joints, count, 2).transpose(0, 1),
        state.points + move * (0.3 / far),
        state.moved + camera.reshape(count, -1),
    ), float(camera.abs().max())


def _observed(seen: Rays, state: _State) -> Float[Tensor, "c t j 2"]:
    """Detections from the given principal point, seen from the present one."""
    if state.moved.shape[1] == POSE:
        return seen.focal_px
    return seen.focal_px - state.moved[:, None, None, POSE + 1 :]


def _block_diagonal(blocks: Float[Tensor, "c j q q"]) -> Float[Tensor, "j p p"]:
    count, joints, width, _ = blocks.shape
    full = blocks.new_zeros(joints, count, width, count, width)
    for camera in range(count):
        full[:, camera, :, camera] = blocks[camera]
    return full.flatten(3, 4).flatten(1, 2)


def _cameras_first(count: int, width: int) -> Int[Tensor, p]:
    """Order that puts all cameras' own parameters before all offsets."""
    index = torch.arange(count * width).reshape(count, width)
    return torch.cat((index[:, : width - 2].flatten(), index[:, width - 2 :].flatten()))


def _shared_slope(
    state: _State, predicted: Tensor, slope: Tensor, centre: Tensor
) -> Float[Tensor, "c t j 2 q"]:
    """Derivatives of the detections' model by their camera's parameters and the joint's offset."""
    cameras, points = state.cameras, state.points
    by_place = slope @ cameras.rotation.mT[:, None, None]  # position in the camera frame
    arm = (cameras.rotation[:, None, None] @ (points - centre).unsqueeze(-1)).squeeze(-1)
    turn = torch.linalg.cross(arm.unsqueeze(-2).expand_as(by_place), by_place)
    shift = torch.eye(2, dtype=slope.dtype).expand(*slope.shape[:-2], 2, 2)
    lens = (predicted.unsqueeze(-1), shift) if state.moved.shape[1] > POSE else ()
    return torch.cat((turn, by_place, *lens, shift), -1)


def _solve_shared(
    own: Float[Tensor, "j p p"], pull: Float[Tensor, "j p"], state: _State, prior: AdjustmentPrior
) -> tuple[Float[Tensor, q], Float[Tensor, "j r"]]:
    """Camera steps and offset steps of the reduced system, priors added."""
    split = state.moved.numel()
    camera_prior, offset_prior = _prior_information(prior)
    held = camera_prior.repeat(len(state.cameras))
    now = state.offset.transpose(0, 1).flatten(1)
    corner = own[:, split:, split:] + offset_prior * torch.eye(now.shape[1], dtype=own.dtype)
    side, pull_offset = own[:, :split, split:], pull[:, split:] - offset_prior * now
    eliminated = torch.linalg.solve(corner, side.mT)  # j r q
    system = (own[:, :split, :split] - side @ eliminated).sum(0) + torch.diag(held)
    through = (eliminated.mT @ pull_offset.unsqueeze(-1)).squeeze(-1)
    right = (pull[:, :split] - through).sum(0) - held * state.moved.flatten()
    camera = torch.linalg.solve(system, right)
    remaining = pull_offset - (side.mT @ camera.unsqueeze(-1)).squeeze(-1)
    return camera, torch.linalg.solve(corner, remaining.unsqueeze(-1)).squeeze(-1)


def _prior_information(prior: AdjustmentPrior) -> tuple[Float[Tensor, k], float]:
    widths = [torch.pi / 180.0 * prior.rotation_deg] * 3 + [prior.translation_m] * 3
    if prior.focal_relative is not None:
        widths += [prior.focal_relative, prior.centre_px, prior.centre_px]
    held = 1e-9  # pixels: as good as no offset
    return torch.tensor(widths, dtype=torch.float64) ** -2.0, (prior.offset_px or held) ** -2.0


def _moved(cameras: Cameras, step: Float[Tensor, "c k"], centre: Float[Tensor, 3]) -> Cameras:
    """Turn every camera about the person, shift it, and change its lens."""
    turn = matrix_from_rotvec(step[:, :3])
    hub = (cameras.rotation @ centre) + cameras.translation  # the person, camera frame
    rotation = turn @ cameras.rotation
    translation = hub + step[:, 3:6] - (rotation @ centre)
    if step.shape[1] == POSE:
        return replace(cameras, rotation=rotation, translation=translation)
    matrix = cameras.matrix.clone()
    grown = torch.exp(step[:, 6])
    matrix[:, 0, 0] *= grown
    matrix[:, 1, 1] *= grown
    matrix[:, :2, 2] += step[:, 7:9]
    return replace(cameras, rotation=rotation, translation=translation, matrix=matrix)
