"""The gyroscope's bias from a whole take at once: the one with which gravity holds still.

A filter weighs each moment against what it believes so far and has to be slow about it. With the
take on disk the bias is a least-squares problem in a few unknowns. Let R be the orientation by the
gyroscope less a bias b, started at a tilt; then the mean over `window` seconds of the force R a is
straight up but for what the body accelerates, which averages out:

    min over b, tilt   sum_k |level part of mean_k(R a)|^2 / sigma^2 + |b|^2 / prior^2
                       + sum over rests |gyro - b|^2 / sigma_rest^2

by Gauss-Newton, with d(R a)/db = -[R a]x dtheta/db and dtheta/db = -integral of R. Turning about
the vertical is seen as soon as the sensor leans differently at different times. Long takes are cut
into spans with a bias of their own, joined by straight lines.

T samples, S sensors, K spans. Earth: z up. Biases are rad/s in the sensor's axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.start import level
from muybridge.capture.imu.strapdown import integrate_gyro
from muybridge.capture.imu.vqf import Estimate, VqfOptions, resting, vqf
from muybridge.geometry.rotation import (
    matrix_from_quaternion,
    multiply,
    quaternion_from_rotvec,
)

__all__ = ["BiasFit", "BiasOptions", "fit_bias", "offline"]

DEGREE = math.pi / 180.0
LEAD = 3.0  # time constants of the tilt after which the filter has settled
CAUTION = 2.0  # windows overlap and bodies swing: residuals are not as many as they are counted


@dataclass(frozen=True)
class BiasOptions:
    """What is expected of biases and of bodies.

    Attributes:
        window: Seconds over which a body's accelerations average out.
        acceleration: What is left of them at least, m/s^2, one sigma; more where residuals show it.
        prior: Size of a bias, degrees/s, one sigma.
        rest: Error of the bias from a second of rest, degrees/s.
        span: Seconds over which a bias stays the same.
        rounds: Of Gauss-Newton.
        left: What may be left of the bias after the fit, degrees/s, for the filter that follows.
    """

    window: float = 3.0
    acceleration: float = 0.05
    prior: float = 0.5
    rest: float = 0.05
    span: float = 60.0
    rounds: int = 4
    left: float = 0.05


class BiasFit(NamedTuple):
    """Bias of every sample, and its standard deviation in the direction seen worst, by span."""

    bias: Float[Tensor, "t s 3"]
    std: Float[Tensor, "k s"]


def offline(
    samples: ImuSamples, options: VqfOptions | None = None, bias: BiasOptions | None = None
) -> Estimate:
    """`vqf` after the bias was fitted to the whole take; the first samples as good as the last.

    Args:
        samples: Of a recording that is over.
        options: Of the filter.
        bias: Of the fit.
    """
    options, bias = options or VqfOptions(), bias or BiasOptions()
    fit = fit_bias(samples, options, bias)
    lead = min(len(samples) - 1, round(LEAD * options.tilt_time * samples.rate))
    led = _led_in(samples.gyro.double() - fit.bias, samples.acc.double(), lead, samples.rate)
    found = vqf(led, replace(options, bias_start=bias.left))
    turned, left, rest = (part[lead:] for part in found)
    return Estimate(turned, left + fit.bias, rest)


def _led_in(
    gyro: Float[Tensor, "t s 3"], acc: Float[Tensor, "t s 3"], lead: int, rate: float
) -> ImuSamples:
    """The samples after their own beginning run backwards, so that a filter has settled by then.

    Backwards the turn from sample k + 1 to k is -gyro[k + 1].
    """
    first = gyro[1 : lead + 1].flip(0)
    still = torch.zeros_like(gyro[:1])
    turns = torch.cat((still, -first, gyro[1:]))
    return ImuSamples(rate, turns, torch.cat((acc[1 : lead + 1].flip(0), acc)))


def fit_bias(
    samples: ImuSamples, filtering: VqfOptions | None = None, options: BiasOptions | None = None
) -> BiasFit:
    """Fit the biases of all sensors.

    Args:
        samples: `mag` is not read. Finite values.
        filtering: Says what counts as rest.
        options: See there.
    """
    options = options or BiasOptions()
    smooth, rest = resting(samples, filtering or VqfOptions())
    count, sensors = samples.gyro.shape[:2]
    spans = max(1, round(count / samples.rate / options.span))
    length = count // spans

    def folded(values: Tensor) -> Tensor:
        """(t, s, c) to (t / k, k s, c): each span a sensor of its own."""
        parts = values[: spans * length].unflatten(0, (spans, length))
        return parts.transpose(0, 1).flatten(1, 2).contiguous()

    still = folded(torch.from_numpy(rest).unsqueeze(-1))[..., 0]
    calm = folded(torch.from_numpy(smooth).movedim(0, -1).contiguous())
    part = ImuSamples(samples.rate, folded(samples.gyro.double()), folded(samples.acc.double()))
    found, std = _fit(part, still, calm, options)
    bias = found.unflatten(0, (spans, sensors))
    middle = (torch.arange(spans).double() + 0.5) * length
    return BiasFit(_joined(bias, middle, count), std.unflatten(0, (spans, sensors)))


def _joined(
    bias: Float[Tensor, "k s 3"], middle: Float[Tensor, "k"], count: int
) -> Float[Tensor, "t s 3"]:
    """Straight lines between the middles of the spans, level beyond the first and the last."""
    if len(bias) == 1:
        return bias.expand(count, -1, -1)
    place = torch.arange(count).double()
    after = torch.searchsorted(middle, place).clamp(1, len(middle) - 1)
    share = ((place - middle[after - 1]) / (middle[after] - middle[after - 1])).clamp(0.0, 1.0)
    return torch.lerp(
        bias[after - 1], bias[after], share[:, None, None].expand(-1, *bias.shape[1:])
    )


def _fit(
    samples: ImuSamples,
    rest: Bool[Tensor, "t s"],
    calm: Float[Tensor, "t s 3"],
    options: BiasOptions,
) -> tuple[Float[Tensor, "s 3"], Float[Tensor, "s"]]:
    """Gauss-Newton over tilt (2) and bias (3) of every sensor."""
    sensors = samples.gyro.shape[1]
    bias, start = torch.zeros(sensors, 3, dtype=torch.float64), level(samples.acc[0])
    prior = torch.zeros(5, dtype=torch.float64)
    prior[:2], prior[2:] = 1e-6, (options.prior * DEGREE) ** -2
    weight = rest.double().sum(0) / samples.rate / (options.rest * DEGREE) ** 2
    shown = (calm * rest.unsqueeze(-1)).sum(0) / rest.double().sum(0).clamp(min=1.0)[:, None]
    normal = torch.diag(prior).expand(sensors, 5, 5)
    window = max(1, round(options.window * samples.rate))
    windows = _windows(len(samples), min(len(samples), window))
    for _ in range(options.rounds):
        jacobian, residual = _linear(samples, bias, start, windows)
        flat = jacobian.permute(1, 0, 2, 3).flatten(1, 2)
        off = residual.permute(1, 0, 2).flatten(1)
        noise = (CAUTION * off.square().mean(1).sqrt()).clamp(min=options.acceleration)
        flat, off = flat / noise[:, None, None], off / noise[:, None]
        normal = flat.mT @ flat + torch.diag(prior)
        normal[:, 2:, 2:] += weight[:, None, None] * torch.eye(3, dtype=torch.float64)
        slope = (flat.mT @ off.unsqueeze(-1))[..., 0]
        slope[:, 2:] += prior[2:] * bias + weight[:, None] * (bias - shown)
        step = -torch.linalg.solve(normal, slope)
        bias = bias + step[:, 2:]
        tilt = torch.cat((step[:, :2], torch.zeros(sensors, 1, dtype=torch.float64)), dim=1)
        start = multiply(quaternion_from_rotvec(tilt), start)
    spread = torch.linalg.eigvalsh(torch.linalg.inv(normal)[:, 2:, 2:])[:, -1]
    return bias, spread.sqrt()


def _windows(count: int, window: int) -> Float[Tensor, "w t"]:
    """What each sample counts in the mean of each window; windows overlap by half."""
    first = torch.arange(0, count - window + 1, max(1, window // 2)).unsqueeze(1)
    place = torch.arange(count)
    return ((place >= first) & (place < first + window)).double() / window


def _linear(
    samples: ImuSamples,
    bias: Float[Tensor, "s 3"],
    start: Float[Tensor, "s 4"],
    windows: Float[Tensor, "w t"],
) -> tuple[Float[Tensor, "w s 2 5"], Float[Tensor, "w s 2"]]:
    """Level part of the windows' mean forces, and its derivative by tilt and bias."""

    def means(values: Tensor) -> Tensor:
        return (windows @ values.flatten(1)).unflatten(1, values.shape[1:])

    turned = integrate_gyro(replace(samples, gyro=samples.gyro - bias), start)
    axes = matrix_from_quaternion(turned)
    force = (axes @ samples.acc.unsqueeze(-1))[..., 0]
    x, y, z = force.unsqueeze(-1).unbind(-2)
    first, second, third = axes.cumsum_(0).unbind(-2)  # rows of -dtheta/db, times the rate
    # the level rows of [R a]x, written out; few new arrays, as they cost more than arithmetic
    by_bias = torch.stack(
        (
            means((y * third).addcmul_(z, second, value=-1.0)),
            means((z * first).addcmul_(x, third, value=-1.0)),
        ),
        dim=-2,
    ).div_(samples.rate)
    level_force, upward = means(force).split((2, 1), dim=-1)
    zero = torch.zeros_like(upward)
    by_tilt = torch.stack(
        (torch.cat((zero, upward), dim=-1), torch.cat((-upward, zero), dim=-1)), dim=-2
    )
    return torch.cat((by_tilt, by_bias), dim=-1), level_force
