"""Inertial filters against ahrs, imufusion and vqf: accuracy, samples a second, equality.

The arm waves for a minute at 100 Hz (4 seeds x 3 sensors): gyroscope bias 0.7 deg/s, noise
0.1 deg/s, 0.03 m/s^2, 0.5 uT. RMS degrees after 5 s, one heading aligned in 6 axes, none in 9.
Speed: CPU seconds, best of three; ours on 17 sensors at once, theirs one sensor after another.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from muybridge.capture.imu.bias_fit import offline
from muybridge.capture.imu.complementary import complementary
from muybridge.capture.imu.ekf import ekf
from muybridge.capture.imu.heading import turned, with_heading
from muybridge.capture.imu.madgwick import madgwick
from muybridge.capture.imu.mahony import mahony
from muybridge.capture.imu.performers import waving_arm
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.start import first_orientation
from muybridge.capture.imu.strapdown import integrate_gyro
from muybridge.capture.imu.synthesis import SensorFaults, disturbed, sensors_on
from muybridge.capture.imu.vqf import VqfOptions, vqf
from muybridge.geometry.rotation import conjugate, geodesic_angle, multiply

DEGREE = math.pi / 180.0
SEEDS, SETTLED, SENSORS = range(4), 500, 17
JOINTS = ("hand", "lower_arm", "upper_arm")
Filter = Callable[[ImuSamples], Tensor]


def _ours() -> dict[str, Filter]:
    def full(samples: ImuSamples, of: Callable[[ImuSamples], Tensor]) -> Tensor:
        level = of(samples)
        return level if samples.mag is None else with_heading(samples, level)

    return {
        "muybridge gyroscope alone": lambda s: integrate_gyro(s, first_orientation(s)),
        "muybridge complementary": complementary,
        "muybridge Mahony": mahony,
        "muybridge Madgwick": madgwick,
        "muybridge EKF": ekf,
        "muybridge VQF": lambda s: full(s, lambda x: vqf(x).orientations),
        "muybridge bias of the take": lambda s: full(s, lambda x: offline(x).orientations),
    }


def _columns(samples: ImuSamples, sensor: int) -> dict[str, np.ndarray]:
    """One sensor as numpy arrays, contiguous."""
    kinds = {"gyr": samples.gyro, "acc": samples.acc, "mag": samples.mag}
    return {n: v[:, sensor].contiguous().numpy() for n, v in kinds.items() if v is not None}


def _each(one: Callable[[dict[str, np.ndarray]], np.ndarray]) -> Filter:
    """A peer that knows one sensor and w, x, y, z, over all sensors."""

    def run(samples: ImuSamples) -> Tensor:
        found = [one(_columns(samples, i)) for i in range(samples.gyro.shape[1])]
        return torch.from_numpy(np.stack(found, axis=1)[..., [1, 2, 3, 0]].copy())

    return run


def _fusion(data: dict[str, np.ndarray]) -> np.ndarray:
    """imufusion with gain 0.5 and no rejection, as its settings fit this motion best."""
    import imufusion

    tracker = imufusion.Ahrs()
    settings = imufusion.AhrsSettings(sample_rate=100.0, gain=0.5, acceleration_rejection=90.0)
    settings.convention = imufusion.CONVENTION_ENU
    tracker.set_settings(settings)
    gyro, acc = data["gyr"] / DEGREE, data["acc"] / 9.80665
    mag, found = data.get("mag"), np.empty((len(gyro), 4))
    for k in range(len(gyro)):
        if mag is None:
            tracker.update_no_magnetometer(gyro[k], acc[k])
        else:
            tracker.update(gyro[k], acc[k], mag[k])
        found[k] = tracker.get_quaternion()
    return found


def _vqf(data: dict[str, np.ndarray]) -> np.ndarray:
    from vqf import VQF

    found = VQF(0.01).updateBatch(*data.values())
    result: np.ndarray = found["quat9D" if "mag" in data else "quat6D"]
    return result


def _vqf_offline(data: dict[str, np.ndarray]) -> np.ndarray:
    from vqf import offlineVQF

    found = offlineVQF(data["gyr"], data["acc"], data.get("mag"), 0.01)
    result: np.ndarray = found["quat9D" if "mag" in data else "quat6D"]
    return result


def _theirs() -> dict[str, Filter]:
    peers: dict[str, Filter] = {}
    if importlib.util.find_spec("ahrs"):
        from ahrs.filters import EKF, Madgwick, Mahony

        name = f"ahrs {version('ahrs')}"
        peers[f"{name} Mahony"] = _each(lambda d: np.asarray(Mahony(**d).Q))
        peers[f"{name} Madgwick"] = _each(lambda d: np.asarray(Madgwick(**d).Q))
        reference = np.array([0.0, 20.0, -43.0])
        peers[f"{name} EKF"] = _each(lambda d: np.asarray(EKF(**d, magnetic_ref=reference).Q))
    if importlib.util.find_spec("imufusion"):
        peers[f"imufusion {version('imufusion')}"] = _each(_fusion)
    if importlib.util.find_spec("vqf"):
        peers[f"vqf {version('vqf')} offline"] = _each(_vqf_offline)
        peers[f"vqf {version('vqf')}"] = _each(_vqf)
    return peers


def _say_missing() -> None:
    """Name the peers that are not installed."""
    for pin in ("ahrs==0.4.0", "imufusion==1.3.3", "vqf==2.1.2"):
        name = pin.partition("=")[0]
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: pip install {pin}")


def _off(found: Tensor, truth: Tensor, heading_free: bool) -> Tensor:
    """RMS degrees of each sensor after it settled."""
    found, truth = found[SETTLED:], truth[SETTLED:]
    if heading_free:
        relative = multiply(truth, conjugate(found))
        yaw = 2.0 * torch.atan2(relative[..., 2], relative[..., 3])
        found = turned(found, torch.polar(torch.ones_like(yaw), yaw).mean(0).angle()[None])
    return geodesic_angle(found, truth).square().mean(0).sqrt() / DEGREE


def accuracy(filters: dict[str, Filter]) -> None:
    """Print degrees."""
    print(f"{'degrees RMS':30}{'6 axes':>8}{'worst':>8}{'9 axes':>8}{'worst':>8}")
    rows: dict[str, list[list[float]]] = {name: [[], []] for name in filters}
    for seed in SEEDS:
        truth = sensors_on(waving_arm(60.0, 50.0, seed), JOINTS, 100.0)
        faults = SensorFaults(0.7 * DEGREE, 0.1 * DEGREE, 0.0, 0.0, 0.03, 0.5, seed)
        samples = disturbed(truth.samples, faults)
        for name, run in filters.items():
            level = _off(run(samples.without_mag()), truth.orientations, heading_free=True)
            north = _off(run(samples), truth.orientations, heading_free="ahrs" in name)
            rows[name][0] += level.tolist()
            rows[name][1] += north.tolist()
    for name, (level_, north_) in rows.items():
        cells = (np.mean(level_), max(level_), np.mean(north_), max(north_))
        print(f"{name:30}" + "".join(f"{cell:8.2f}" for cell in cells))
    print("ahrs in 9 axes: one heading aligned, since its frames are not this one")


def _rate(run: Filter, samples: ImuSamples) -> float:
    """Thousand sensor-samples a CPU second."""
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        run(samples)
        best = min(best, time.process_time() - start)
    return samples.gyro.shape[0] * samples.gyro.shape[1] / best / 1e3


def speed(ours: dict[str, Filter], theirs: dict[str, Filter]) -> None:
    """Print rates and ratios."""
    generator = torch.Generator().manual_seed(0)

    def samples(count: int, sensors: int) -> ImuSamples:
        noise = torch.randn(3, count, sensors, 3, generator=generator, dtype=torch.float64)
        up, field = (torch.tensor(v).double() for v in ((0.0, 0.0, 9.8), (0.0, 20.0, -43.0)))
        return ImuSamples(100.0, noise[0], noise[1] + up, noise[2] + field)

    many, few = samples(3000, SENSORS), samples(1500, 2)
    theirs_rates = {}
    print(f"\n{'thousand sensor-samples/s':34}{'6 axes':>9}{'9 axes':>9}")
    for name, run in theirs.items():
        theirs_rates[name] = _rate(run, few.without_mag()), _rate(run, few)
        print(f"{name:34}{theirs_rates[name][0]:9.0f}{theirs_rates[name][1]:9.0f}")
    for name, run in ours.items():
        rates = _rate(run, many.without_mag()), _rate(run, many)
        kind = {"VQF": "vqf 2", "take": "offline"}.get(name.split()[-1], name.split()[-1])
        same = [n for n in reversed(theirs_rates) if kind in n]
        ratio = f"  {rates[0] / theirs_rates[same[0]][0]:.2f} x {same[0]}" if same else ""
        print(f"{name:34}{rates[0]:9.0f}{rates[1]:9.0f}{ratio}")


def equality() -> None:
    """Print the largest difference of a quaternion's component at equal settings."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(3, 1000, 1, 3, generator=generator, dtype=torch.float64)
    samples = ImuSamples(100.0, noise[0], noise[1] + torch.tensor([0.0, 0.0, 9.8]).double())
    pairs: dict[str, tuple[Tensor, Callable[[Tensor], Tensor]]] = {}
    for name, run in _theirs().items():
        found = run(samples)
        start = found[0]
        kind = name.split()[-1]
        match kind:
            case "Mahony":
                pairs[name] = found, lambda q: mahony(samples, q, integral=0.3)
            case "Madgwick":
                pairs[name] = found, lambda q: madgwick(samples, q)
            case "EKF":
                pairs[name] = found, lambda q: ekf(samples, q)
            case _ if name.startswith("vqf") and kind != "offline":
                pairs[name] = found, lambda q: vqf(samples, VqfOptions(block=0.0)).orientations
        if name in pairs:
            ours = pairs[name][1](start)
            off = torch.minimum((ours - found).abs(), (ours + found).abs()).amax(-1).max()
            print(f"ours and {name}: quaternions differ by at most {float(off):.1e}")


def main() -> None:
    """Print accuracy, speed and equality."""
    torch.set_num_threads(1)
    _say_missing()
    ours, theirs = _ours(), _theirs()
    accuracy({**ours, **theirs})
    speed(ours, theirs)
    equality()


if __name__ == "__main__":
    main()
