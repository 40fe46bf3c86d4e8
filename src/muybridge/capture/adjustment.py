"""Bundle adjustment of cameras, detector offsets and joints, seen in one person's keypoints.

C cameras, T frames, J joints, K parameters a camera, Q = K + 2 with the offset of a joint's
detections, P = C Q parameters that touch a joint.
The unknowns form three levels: points (eliminated one by one), the constant offset of each joint's
detections in each camera (eliminated joint by joint), and cameras. So the last system is
C (K + 2) wide, however long the take: two multipliers a camera keep its mean offset at zero, so
that what all joints have in common is always the camera's.
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
from muybridge.geometry.rotation import matrix_from_rotvec, rotvec_from_matrix

__all__ = ["Adjustment", "AdjustmentPrior", "adjust"]

POSE = 6  # rotation about the person (radians), then translation (metres), camera frame
LENS = 3  # log focal length, principal point (pixels)
SCALES = (8.0, 4.0, 2.0, *(1.0,) * 9)  # of the loss, step by step: coarse to fine
STILL = 1e-4  # radians or metres: the adjustment has settled
POINT_FLOOR = 1e-6  # keeps points that one camera sees solvable


@dataclass(frozen=True)
class AdjustmentPrior:
    """One-sigma widths of what is believed beforehand; the given calibration is the mean.

    A detector errs alike in neighbouring frames and, less so, all through a take. Taking frames
    for independent would make the person look like a perfect calibration object and let its
    constant faults push the cameras about; hence `alike` and `offset_px`.

    Attributes:
        rotation_deg: Orientation of each camera, per axis.
        position_m: Place of each camera, per axis.
        focal_relative: Focal length; None holds the lens.
        centre_px: Principal point, when the lens is not held.
        offset_px: Constant detector offset of a joint in a camera; None assumes none.
        sigma_px: Noise of a detection of weight 1, pixels per axis.
        loss_px: Scale of the Cauchy loss, pixels.
        alike: So many successive frames count as one, for their errors are alike.
    """

    rotation_deg: float = 0.5
    position_m: float = 0.01
    focal_relative: float | None = None
    centre_px: float = 10.0
    offset_px: float | None = 8.0
    sigma_px: float = 4.0
    loss_px: float = 5.0
    alike: float = 10.0


class Adjustment(NamedTuple):
    """Cameras, offsets and points after adjustment.

    `offset_px` is what the detector adds: detection = projection + offset, undistorted pixels; its
    mean over the joints of a camera, weighted by how much was seen of them, is zero. `moved` is
    how each camera differs from the given one, rotation vector (radians) and place (metres) in its
    own frame. `covariance` is the posterior of that; it allows for constant detector offsets, even
    of all joints together, whether or not they were estimated.
    """

    cameras: Cameras
    offset_px: Float[Tensor, "c j 2"]
    points_world: Float[Tensor, "t j 3"]
    moved: Float[Tensor, "c 6"]
    covariance: Float[Tensor, "c 6 c 6"]


class _State(NamedTuple):
    cameras: Cameras
    offset: Float[Tensor, "c j 2"]
    points: Float[Tensor, "t j 3"]


class _Given(NamedTuple):
    """What stays the same from step to step."""

    cameras: Cameras
    seen: Rays
    centre: Float[Tensor, "3"]  # of the person: cameras turn about it within a step
    prior: AdjustmentPrior


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
    centre = start_world[usable].mean(0)
    given = _Given(cameras, rays(points_px, weight * usable, cameras), centre, prior)
    zeros = start_world.new_zeros(len(cameras), start_world.shape[1], 2)
    state = _State(cameras, zeros, torch.where(usable.unsqueeze(-1), start_world, centre))
    for scale in SCALES:
        before = state
        state, change, system = _step(before, given, scale * prior.loss_px)
        if scale == 1.0 and change < STILL:
            break
    points = torch.where(usable.unsqueeze(-1), state.points, torch.nan)
    moved = _away(state.cameras, given)[:, :POSE]
    covariance = _covariance(system, before, given)
    return Adjustment(state.cameras, state.offset, points, moved, covariance)


def _step(state: _State, given: _Given, loss_px: float) -> tuple[_State, float, _System]:
    """One Gauss-Newton step, its largest camera parameter, and the equations it solved."""
    count, joints, prior = len(state.cameras), state.points.shape[1], given.prior
    predicted, slope = project_rays(state.points, state.cameras)
    residual = _observed(given, state) - predicted - state.offset.unsqueeze(1)
    robust = robust_weight(residual.norm(dim=-1), loss_px, "cauchy")
    weight = (given.seen.weight * robust / (prior.alike * prior.sigma_px**2))[..., None, None]
    shared = _shared_slope(state, predicted, slope, given)  # c t j 2 q, q = k + 2
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
    system = _System(own[:, order][:, :, order], pull[:, order], _shares(weight))
    camera, offset = _solve_shared(system, state, given)
    step = torch.cat((camera.expand(joints, -1), offset), -1)[:, order.argsort()]
    move = solved[..., -1] - torch.einsum("tjap,jp->tja", solved[..., :-1], step)
    far = move.norm(dim=-1, keepdim=True).clamp(min=0.3)
    return (
        _State(
            _moved(state.cameras, camera.reshape(count, -1), given.centre),
            state.offset + offset.reshape(joints, count, 2).transpose(0, 1),
            state.points + move * (0.3 / far),
        ),
        float(camera.abs().max()),
        system,
    )


def _observed(given: _Given, state: _State) -> Float[Tensor, "c t j 2"]:
    """Detections from the given principal point, seen from the present one."""
    change = state.cameras.matrix[:, :2, 2] - given.cameras.matrix[:, :2, 2]
    return given.seen.focal_px - change[:, None, None]


def _shares(weight: Float[Tensor, "c t j 1 1"]) -> Float[Tensor, "j r"]:
    """How much each joint counts in its camera's mean offset, both coordinates; sums to 1."""
    total = weight[..., 0, 0].sum(1)
    share = total / total.sum(-1, keepdim=True).clamp(min=1e-12)
    return share.mT.repeat_interleave(2, -1)


def _block_diagonal(blocks: Float[Tensor, "c j q q"]) -> Float[Tensor, "j p p"]:
    count, joints, width, _ = blocks.shape
    full = blocks.new_zeros(joints, count, width, count, width)
    for camera in range(count):
        full[:, camera, :, camera] = blocks[camera]
    return full.flatten(3, 4).flatten(1, 2)


def _cameras_first(count: int, width: int) -> Int[Tensor, "p"]:
    """Order that puts all cameras' own parameters before all offsets."""
    index = torch.arange(count * width).reshape(count, width)
    return torch.cat((index[:, : width - 2].flatten(), index[:, width - 2 :].flatten()))


def _shared_slope(
    state: _State, predicted: Tensor, slope: Tensor, given: _Given
) -> Float[Tensor, "c t j 2 q"]:
    """Derivatives of the detections' model by their camera's parameters and the joint's offset."""
    cameras, arm_world = state.cameras, state.points - given.centre
    by_place = slope @ cameras.rotation.mT[:, None, None]  # position in the camera frame
    arm = (cameras.rotation[:, None, None] @ arm_world.unsqueeze(-1)).squeeze(-1)
    turn = torch.linalg.cross(arm.unsqueeze(-2).expand_as(by_place), by_place)
    shift = torch.eye(2, dtype=slope.dtype).expand(*slope.shape[:-2], 2, 2)
    lens = () if given.prior.focal_relative is None else (predicted.unsqueeze(-1), shift)
    return torch.cat((turn, by_place, *lens, shift), -1)


class _System(NamedTuple):
    """Normal equations of each joint once its points are gone: all cameras, then all offsets."""

    own: Float[Tensor, "j p p"]
    pull: Float[Tensor, "j p"]
    shares: Float[Tensor, "j r"]


def _solve_shared(
    system: _System, state: _State, given: _Given
) -> tuple[Float[Tensor, "q"], Float[Tensor, "j r"]]:
    """Steps of the cameras and of the offsets, priors added.

    The multipliers that keep mean offsets at zero are solved with the cameras, as more rows.
    """
    held, right_prior, _ = _prior_terms(state, given)
    split, width = len(held), system.shares.shape[1]
    now, precision = state.offset.transpose(0, 1).flatten(1), _offset_precision(given.prior)
    corner = system.own[:, split:, split:] + precision * torch.eye(width, dtype=held.dtype)
    pull_offset = system.pull[:, split:] - precision * now
    side = torch.cat((system.own[:, :split, split:], torch.diag_embed(system.shares)), 1)
    eliminated = torch.linalg.solve(corner, side.mT)  # j r (q + r)
    matrix = -(side @ eliminated).sum(0)
    matrix[:split, :split] += system.own[:, :split, :split].sum(0) + held
    if given.prior.offset_px is None:  # no offsets: nothing to balance
        matrix[split:, split:] -= torch.eye(width, dtype=held.dtype)
    blind = system.shares.sum(0) == 0.0  # an axis of a camera that sees nothing has no mean
    matrix[split:, split:] -= torch.diag(blind.to(held.dtype))
    through = (eliminated.mT @ pull_offset.unsqueeze(-1)).squeeze(-1).sum(0)
    direct = torch.cat((system.pull[:, :split].sum(0) + right_prior, -(system.shares * now).sum(0)))
    shared = torch.linalg.solve(matrix, direct - through)
    remaining = pull_offset - (side.mT @ shared.unsqueeze(-1)).squeeze(-1)
    return shared[:split], torch.linalg.solve(corner, remaining.unsqueeze(-1)).squeeze(-1)


def _covariance(system: _System, state: _State, given: _Given) -> Float[Tensor, "c 6 c 6"]:
    """Posterior of the poses, all offsets free: their mean cannot be told from a turned camera."""
    held, _, axes = _prior_terms(state, given)
    split, count = len(held), len(state.cameras)
    assumed = given.prior.offset_px or AdjustmentPrior().offset_px or 1.0
    corner = system.own[:, split:, split:]
    corner = corner + assumed**-2.0 * torch.eye(corner.shape[-1], dtype=held.dtype)
    side = system.own[:, :split, split:]
    reduced = system.own[:, :split, :split] - side @ torch.linalg.solve(corner, side.mT)
    poses = torch.linalg.inv(held + reduced.sum(0))
    poses = poses.reshape(count, split // count, count, split // count)
    covariance = torch.einsum("aij,ajbk,blk->aibl", axes, poses, axes)
    return covariance[:, :POSE, :, :POSE]


def _offset_precision(prior: AdjustmentPrior) -> float:
    held = 1e-9  # pixels: as good as no offset
    return (prior.offset_px or held) ** -2.0


def _prior_terms(
    state: _State, given: _Given
) -> tuple[Float[Tensor, "q q"], Float[Tensor, "q"], Float[Tensor, "c k k"]]:
    """Information and pull of the cameras' priors, and how a step changes `_away`."""
    prior, away = given.prior, _away(state.cameras, given)
    widths = [torch.pi / 180.0 * prior.rotation_deg] * 3 + [prior.position_m] * 3
    if prior.focal_relative is not None:
        widths += [prior.focal_relative, prior.centre_px, prior.centre_px]
    precision = torch.tensor(widths, dtype=away.dtype) ** -2.0
    hub = state.cameras.rotation @ given.centre + state.cameras.translation
    axes = torch.eye(away.shape[1], dtype=away.dtype).repeat(len(away), 1, 1)
    unit = torch.eye(3, dtype=away.dtype).expand(len(away), 3, 3)
    turned = torch.linalg.cross(unit, hub.unsqueeze(1).expand_as(unit))  # row i: e_i x hub
    axes[:, 3:POSE, :3] = turned.mT
    axes[:, 3:POSE, 3:POSE] *= -1.0  # the person comes nearer when the camera goes forwards
    information = axes.mT @ (precision.unsqueeze(-1) * axes)
    pull = -(axes.mT @ (precision * away).unsqueeze(-1)).squeeze(-1)
    return torch.block_diag(*information), pull.flatten(), axes


def _away(cameras: Cameras, given: _Given) -> Float[Tensor, "c k"]:
    """How far the cameras are from the given ones, in the order of the priors."""
    start = given.cameras
    turn = rotvec_from_matrix(cameras.rotation @ start.rotation.mT)
    shift = cameras.centres_world - start.centres_world
    pose = (turn, (cameras.rotation @ shift.unsqueeze(-1)).squeeze(-1))
    if given.prior.focal_relative is None:
        return torch.cat(pose, -1)
    grown = (cameras.matrix[:, :1, 0] / start.matrix[:, :1, 0]).log()
    return torch.cat((*pose, grown, (cameras.matrix - start.matrix)[:, :2, 2]), -1)


def _moved(cameras: Cameras, step: Float[Tensor, "c k"], centre: Float[Tensor, "3"]) -> Cameras:
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
