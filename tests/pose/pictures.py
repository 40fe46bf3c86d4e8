"""Pictures of drawn figures, the same to the last bit on every machine: integers only."""

from itertools import pairwise

import numpy as np

Point = tuple[int, int]
Colour = tuple[int, int, int]

LIMBS = (
    ((0, -30), (24, -8), (34, 22)),  # left arm: shoulder, elbow, wrist, relative to the chest
    ((0, -30), (-24, -8), (-30, 26)),
    ((8, 30), (12, 66), (14, 104)),  # left leg
    ((-8, 30), (-14, 66), (-16, 104)),
)


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """Uniform RGB noise from a linear congruential generator."""
    values = np.empty(height * width * 3, dtype=np.uint8)
    state = seed * 2654435761 % 2**32
    for i in range(len(values)):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = state >> 24
    return values.reshape(height, width, 3)


def background(height: int, width: int) -> np.ndarray:
    """A wall above a floor."""
    rows, columns = np.mgrid[:height, :width]
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[..., 0] = 150 + rows * 40 // height
    picture[..., 1] = 160 + columns * 30 // width
    picture[..., 2] = 170
    picture[rows > height * 7 // 8] = (110, 90, 70)
    return picture


def draw_figure(picture: np.ndarray, centre: Point, scale: int, seed: int) -> None:
    """Draw a person; `centre` is the chest (x, y), `scale` the percentage of 220 pixels' height."""

    def at(x: int, y: int) -> Point:
        return centre[0] + x * scale // 100, centre[1] + y * scale // 100

    for number, limb in enumerate(LIMBS):
        swing = [(seed * 37 + number * 53 + k * 17) % 29 - 14 for k in range(4)]
        bent = (limb[0], (limb[1][0] + swing[0], limb[1][1] + swing[1] // 2),
                (limb[2][0] + swing[2], limb[2][1] + swing[3]))  # fmt: skip
        colour = (200, 150, 120) if number < 2 else (40, 50, 90)
        for a, b in pairwise(bent):
            _stroke(picture, at(*a), at(*b), 7 * scale // 100, colour)
    _ellipse(picture, at(0, 0), (18 * scale // 100, 40 * scale // 100), (150, 40, 40))
    _ellipse(picture, at(0, -58), (12 * scale // 100, 15 * scale // 100), (210, 165, 140))
    for x in (-4, 4):
        _ellipse(picture, at(x, -61), (2, 2), (30, 20, 20))


def _stroke(picture: np.ndarray, a: Point, b: Point, radius: int, colour: Colour) -> None:
    steps = 24
    for k in range(steps + 1):
        x, y = ((p * (steps - k) + q * k) // steps for p, q in zip(a, b, strict=True))
        _ellipse(picture, (x, y), (radius, radius), colour)


def _ellipse(picture: np.ndarray, centre: Point, radii: Point, colour: Colour) -> None:
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    x, y = (columns - centre[0]) * radii[1], (rows - centre[1]) * radii[0]
    picture[x * x + y * y <= (radii[0] * radii[1]) ** 2] = colour


def thunder_pictures() -> dict[str, np.ndarray]:
    """What the single-person network is compared on."""
    pictures = {"noise": noise(1, 256, 256)}
    for seed in range(3):
        picture = background(256, 256)
        draw_figure(picture, (128 + 9 * seed, 100 - 6 * seed), 100 - 12 * seed, seed)
        pictures[f"figure{seed}"] = picture
    return pictures


def multipose_pictures() -> dict[str, np.ndarray]:
    """What the several-person network is compared on."""
    one, two = background(256, 160), background(192, 320)
    draw_figure(one, (80, 110), 90, 5)
    draw_figure(two, (90, 80), 72, 6)
    draw_figure(two, (230, 90), 60, 7)
    return {"noise": noise(2, 128, 192), "one": one, "two": two}
