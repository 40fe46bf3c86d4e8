"""How dead reckoning drifts, against theory. Argument: a folder for the picture."""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.strapdown import integrate_gyro, integrate_path
from muybridge.capture.imu.synthesis import SensorFaults, disturbed
from muybridge.files.imu import GRAVITY
from muybridge.geometry.rotation import geodesic_angle

mpl.use("Agg")
from matplotlib import pyplot as plt

RATE, SECONDS, DEGREE = 100.0, 60, math.pi / 180.0
BIAS, NOISE, PUSH = 0.05 * DEGREE, 0.1 * DEGREE, 0.02  # rad/s, rad/s, m/s^2
count = int(RATE * SECONDS)
time = torch.arange(1, count).double() / RATE
up = torch.tensor([0.0, 0.0, GRAVITY]).double().expand(count, 200, 3)
still = ImuSamples(RATE, torch.zeros(count, 200, 3).double(), up)
tilted = ImuSamples(RATE, still.gyro + torch.tensor([BIAS, 0, 0]).double(), up)
pushed = ImuSamples(RATE, still.gyro, up + torch.tensor([PUSH, 0, 0]).double())
noisy = disturbed(still, SensorFaults(gyro_std=NOISE))

turn, noise = integrate_gyro(tilted.select([0])), integrate_gyro(noisy)
angle = geodesic_angle(turn, turn[:1])[1:, 0] / DEGREE
spread = geodesic_angle(noise, noise[:1]).square().mean(1).sqrt()[1:] / DEGREE
level = integrate_gyro(still.select([0]))
by_push = integrate_path(pushed.select([0]), level).positions.norm(dim=-1)[1:, 0]
by_turn = integrate_path(still.select([0]), turn).positions.norm(dim=-1)[1:, 0]

figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
draw = {"lw": 4, "alpha": 0.45, "solid_capstyle": "round"}
for ax, curves in zip(
    axes,
    (
        ((angle, BIAS / DEGREE * time, "gyroscope bias 0.05°/s:  b t", "C0"),
         (spread, 3**0.5 * NOISE / DEGREE * (time / RATE) ** 0.5,
          "gyroscope noise 0.1°/s, 200 runs:  s √(3 h t)", "C2")),
        ((by_turn, GRAVITY * BIAS * time**3 / 6, "gyroscope bias 0.05°/s:  g b t³/6", "C0"),
         (by_push, PUSH * time**2 / 2, "accelerometer bias 0.02 m/s²:  b t²/2", "C3")),
    ),
    strict=True,
):  # fmt: skip
    for measured, theory, label, colour in curves:
        ax.loglog(time, measured, color=colour, label=label, **draw)
        ax.loglog(time, theory, color="k", ls="--", lw=1)
        end = 2 * len(time) // 3
        slope = float((measured[end] / measured[100]).log() / (time[end] / time[100]).log())
        print(f"{label}: exponent {slope:.2f}, after a minute {float(measured[-1]):.3g}")
    ax.set(xlim=(0.3, SECONDS), xlabel="seconds")
    ax.legend(loc="upper left", frameon=False)
    ax.grid(alpha=0.25, which="both", lw=0.5)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set(ylabel="orientation error, degrees", ylim=(1e-3, 30), title="orientation ~ t, √t")
axes[1].set(ylabel="position error, metres", ylim=(1e-5, 3e3), title="position ~ t³, t²")
figure.suptitle("A sensor that lies still, by integration alone (dashed: theory)")
figure.savefig(Path((*sys.argv, ".")[1]) / "imu_drift.png", dpi=110)
