"""Top-down pose estimation: find the people in a picture, then look at each one closely.

MoveNet MultiPose finds up to six people in a small copy of the picture. Each is cut out of the full
picture, before any shrinking, as a square that MoveNet Thunder sees at 256 pixels. The two
estimates of a joint are independent; where they agree, their weighted mean is better than either.

J = 17 joints. Pixels of the picture given: x right, y down, (0, 0) the centre of the first pixel.
The networks count from the picture's upper left edge instead, half a pixel further out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from muybridge.pose.head import JOINTS
from muybridge.pose.movenet import CROP_SIDE
from muybridge.pose.multipose import PEOPLE
from muybridge.pose.runtime import Backend, make_runner

__all__ = ["Person", "PersonFinder", "TopDown", "cut_square"]

GRID = 32  # MultiPose takes sides that are multiples of it
LEAST_JOINT_SCORE = 0.1  # less certain joints do not widen the crop
MARGIN = 1.1  # side of the crop / longer side of the person
FINDER_WEIGHT = 0.25  # of MultiPose's estimate against Thunder's, at equal confidence
AGREEMENT = 0.1  # of the crop's side: estimates further apart are not averaged
SAME_PERSON = 0.08  # of the crop's side: mean distance of joints between two finds of one person

Picture = UInt8[np.ndarray, "h w 3"]
Small = UInt8[np.ndarray, "p q 3"]
Crop = UInt8[np.ndarray, "256 256 3"]


@dataclass(frozen=True)
class Person:
    """One person in one picture.

    Attributes:
        points_px: COCO's joints.
        confidence: Of each joint, 0 to 1.
        box_px: Left, upper, right and lower edge.
        score: Of the person as a whole, 0 to 1.
    """

    points_px: Float[Tensor, "17 2"]
    confidence: Float[Tensor, "17"]
    box_px: Float[Tensor, "4"]
    score: float

    @property
    def area_px(self) -> float:
        """Area of the box, square pixels."""
        left, upper, right, lower = self.box_px.tolist()
        return (right - left) * (lower - upper)

    @property
    def square_px(self) -> tuple[float, float, float]:
        """Centre x, centre y and side of a square around the box and the confident joints."""
        sure = self.points_px[self.confidence > LEAST_JOINT_SCORE]
        low = torch.cat((sure, self.box_px[None, :2])).amin(0)
        high = torch.cat((sure, self.box_px[None, 2:])).amax(0)
        x, y = ((low + high) / 2.0).tolist()
        return x, y, max(float((high - low).max()) * MARGIN, float(GRID))


Finder = Callable[[Picture], list[Person]]


class PersonFinder:
    """MoveNet MultiPose on a shrunken picture.

    Args:
        side_px: Longer side of the shrunken picture; a multiple of 32.
        least_score: People with a lower score are not believed.
        backend: What computes the network.
        cache_folder: Where ONNX graphs are kept.
    """

    def __init__(
        self,
        side_px: int,
        least_score: float,
        backend: Backend = "torch",
        cache_folder: Path | None = None,
    ) -> None:
        self.side_px = side_px
        self.least_score = least_score
        self.run = make_runner("multipose", backend, cache_folder)

    def __call__(self, picture: Picture) -> list[Person]:
        """Up to six people, the most certain first."""
        small, scale = _shrink(picture, self.side_px)
        output = self.run(small).double().reshape(PEOPLE, -1)
        return [self._person(row, scale) for row in output if row[-1] >= self.least_score]

    @staticmethod
    def _person(row: Float[Tensor, "56"], scale: Float[Tensor, "2"]) -> Person:
        joints = row[: 3 * JOINTS].reshape(JOINTS, 3)
        box = row[3 * JOINTS : -1].reshape(2, 2)
        return Person(
            joints[:, [1, 0]] * scale - 0.5,
            joints[:, 2].clone(),
            (box[:, [1, 0]] * scale - 0.5).flatten(),
            float(row[-1]),
        )


class TopDown:
    """Both networks together.

    Args:
        finder: Finds the people; a `PersonFinder`, or anything that is called alike.
        backend: What computes the second network.
        cache_folder: Where ONNX graphs are kept.
    """

    def __init__(
        self, finder: Finder, backend: Backend = "torch", cache_folder: Path | None = None
    ) -> None:
        self.finder = finder
        self.run = make_runner("thunder", backend, cache_folder)

    def __call__(self, picture: Picture) -> list[Person]:
        """Up to six people, the largest box first."""
        people: list[Person] = []
        known: list[Person] = []  # both estimates of each
        for found in self.finder(picture):
            # a crowded crop can make Thunder see the neighbour again: then the finder's own
            # estimate stands, and if that too is known, it was the same person twice
            refined = self._refine(picture, found)
            for candidate in (refined, found):
                if not any(_same(candidate, other) for other in known):
                    people.append(candidate)
                    known += [refined, found]
                    break
        return sorted(people, key=lambda person: -person.area_px)

    def _refine(self, picture: Picture, found: Person) -> Person:
        x, y, side = found.square_px
        crop, corner, side_px = cut_square(picture, (x, y), side)
        output = self.run(np.ascontiguousarray(crop)).double()
        points = output[:, [1, 0]] * side_px + torch.tensor(corner) - 0.5
        confidence = output[:, 2].clone()
        blended = _blend(points, confidence, found, AGREEMENT * side_px)
        return replace(found, points_px=blended, confidence=confidence)


def _blend(
    points_px: Float[Tensor, "17 2"],
    confidence: Float[Tensor, "17"],
    found: Person,
    agreement_px: float,
) -> Float[Tensor, "17 2"]:
    """Confidence-weighted mean with the finder's estimate, where the two agree."""
    other = FINDER_WEIGHT * found.confidence
    weight = other / (other + confidence).clamp(min=1e-9)
    apart = found.points_px - points_px
    weight = weight * (apart.norm(dim=-1) < agreement_px)
    return points_px + weight.unsqueeze(-1) * apart


def _same(a: Person, b: Person) -> bool:
    distance = (a.points_px - b.points_px).norm(dim=-1).mean()
    return float(distance) < SAME_PERSON * min(a.square_px[2], b.square_px[2])


def _shrink(picture: Picture, side_px: int) -> tuple[Small, Float[Tensor, "2"]]:
    """Shrink to a longer side, then fill up with black to multiples of 32, right and below.

    Returns:
        The small picture, and the pixels of the large one that its whole width and height span.
    """
    height, width = picture.shape[:2]
    factor = side_px / max(height, width)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    way = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    small = cv2.resize(picture, size, interpolation=way)
    full = [-(-n // GRID) * GRID for n in size]
    filled = np.zeros((full[1], full[0], 3), np.uint8)
    filled[: size[1], : size[0]] = small
    scale = [full[0] * width / size[0], full[1] * height / size[1]]
    return filled, torch.tensor(scale, dtype=torch.float64)


def cut_square(
    picture: Picture, centre_px: tuple[float, float], side_px: float
) -> tuple[Crop, tuple[int, int], int]:
    """Cut a square and shrink it to Thunder's 256 pixels; black outside the picture.

    The cut comes first, so that only its own pixels are filtered.

    Returns:
        The crop, its upper left pixel (x, y) and its side in pixels of the picture.
    """
    height, width = picture.shape[:2]
    side = max(round(side_px), 1)
    x, y = (round(c + 0.5 - side / 2.0) for c in centre_px)
    left, upper = max(x, 0), max(y, 0)
    right, lower = min(x + side, width), min(y + side, height)
    square = np.zeros((side, side, 3), np.uint8)
    if right > left and lower > upper:
        square[upper - y : lower - y, left - x : right - x] = picture[upper:lower, left:right]
    way = cv2.INTER_AREA if side > CROP_SIDE else cv2.INTER_LINEAR
    return cv2.resize(square, (CROP_SIDE, CROP_SIDE), interpolation=way), (x, y), side
