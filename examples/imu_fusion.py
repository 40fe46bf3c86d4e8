"""A minute of waving: what each filter makes of a cheap sensor. Argument: a folder for the plot."""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.capture.imu.bias_fit import offline
from muybridge.capture.imu.complementary import complementary
from muybridge.capture.imu.heading import turned
from muybridge.capture.imu.madgwick import madgwick
from muybridge.capture.imu.mahony import mahony
from muybridge.capture.imu.performers import waving_arm
from muybridge.capture.imu.strapdown import integrate_gyro
from muybridge.capture.imu.synthesis import SensorFaults, disturbed, sensors_on
from muybridge.capture.imu.vqf import vqf
from muybridge.geometry.rotation import conjugate, geodesic_angle, multiply

mpl.use("Agg")
from matplotlib import pyplot as plt

DEGREE = math.pi / 180.0
truth = sensors_on(waving_arm(60.0, 50.0), ("lower_arm",), 100.0)
faults = SensorFaults(0.7 * DEGREE, 0.1 * DEGREE, acc_std=0.03)
samples = disturbed(truth.samples, faults).without_mag()
ways = {
    "gyroscope alone": integrate_gyro(samples, truth.orientations[0]),
    "Mahony": mahony(samples),
    "complementary": complementary(samples),
    "Madgwick": madgwick(samples),
    "VQF, as it goes": vqf(samples).orientations,
    "bias of the whole take, then VQF": offline(samples).orientations,
}
colours = ("0.6", "C1", "C4", "C0", "C2", "C3")
figure, ax = plt.subplots(figsize=(10, 4.8), layout="constrained")
for (name, found), colour in zip(ways.items(), colours, strict=True):
    relative = multiply(truth.orientations, conjugate(found))[500:]
    yaw = 2.0 * torch.atan2(relative[..., 2], relative[..., 3])
    heading = torch.polar(torch.ones_like(yaw), yaw).mean(0).angle()[None]
    if name != "gyroscope alone":  # nothing else knows where north is at first
        found = turned(found, heading)
    off = geodesic_angle(found, truth.orientations)[:, 0] / DEGREE
    rms = float(off[500:].square().mean().sqrt())
    print(f"{name:34} {rms:5.2f} deg RMS after 5 s")
    time = torch.arange(len(off)).double() / 100.0
    ax.plot(time, off, color=colour, lw=2.4 if colour == "C3" else 1.3, label=f"{name}: {rms:.1f}°")
ax.set(xlim=(0, 60), ylim=(0, 24), xlabel="seconds", ylabel="orientation error, degrees")
ax.set_title("6 axes, gyroscope bias 0.7°/s; one heading aligned; RMS after 5 s in the legend")
ax.legend(ncols=2, frameon=False, loc="upper left")
ax.grid(alpha=0.25, lw=0.5)
ax.spines[["top", "right"]].set_visible(False)
figure.savefig(Path((*sys.argv, ".")[1]) / "imu_fusion.png", dpi=110)
