"""What the filters read: several sensors sampled at one rate, side by side.

T samples, S sensors. Gyroscope rad/s, accelerometer m/s^2 (the specific force: +g upward at rest),
magnetometer any unit; all in the sensor's own axes. Orientations are earth from sensor, the earth
being east, north, up (`conventions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["ImuSamples"]


@dataclass(frozen=True)
class ImuSamples:
    """Regular samples of S sensors.

    Attributes:
        rate: Samples a second.
        gyro: Angular velocity over the time since the sample before, rad/s.
        acc: Specific force, m/s^2.
        mag: Magnetic field, any unit; None without magnetometers, NaN where one was silent.
        names: Parts of the body.
        seconds: When each sample was taken; sensors need not tick together.
        filled: True where a sample was lost and bridged.
    """

    rate: float
    gyro: Float[Tensor, "t s 3"]
    acc: Float[Tensor, "t s 3"]
    mag: Float[Tensor, "t s 3"] | None = None
    names: tuple[str, ...] = ()
    seconds: Float[Tensor, "t s"] | None = None
    filled: Bool[Tensor, "t s"] | None = None

    def __post_init__(self) -> None:
        if not self.rate > 0.0:
            raise InputError(f"expected a positive rate, got {self.rate}; give samples a second")
        if not self.names:
            count = self.gyro.shape[1]
            object.__setattr__(self, "names", tuple(f"sensor{i}" for i in range(count)))

    def __len__(self) -> int:
        return len(self.gyro)

    def select(self, sensors: Sequence[int]) -> ImuSamples:
        """Only these sensors."""
        index = list(sensors)

        def part(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[:, index]

        return replace(
            self,
            gyro=self.gyro[:, index],
            acc=self.acc[:, index],
            mag=part(self.mag),
            names=tuple(self.names[i] for i in index),
            seconds=part(self.seconds),
            filled=part(self.filled),
        )

    def without_mag(self) -> ImuSamples:
        """Gyroscope and accelerometer only."""
        return replace(self, mag=None)
