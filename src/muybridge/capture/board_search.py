"""Which board is in these pictures? What the user said is tried first, then what is often wrong.

Chessboards: squares counted instead of inner corners, one too many or too few, black and white
exchanged. ChArUco: rows and columns swapped, another dictionary, the pattern before OpenCV 4.6,
black and white exchanged, pictures mirrored as a selfie camera shows them. A mirrored chessboard
looks like a chessboard; only ChArUco tells.

M markers, L layouts. Layout coordinates: squares from the first inner corner.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from muybridge.capture.board import Board
from muybridge.capture.corners import Picture, charuco_pattern, describe, find_corners
from muybridge.capture.finding import Finding
from muybridge.errors import InputError

__all__ = ["FoundBoard", "find_board"]

ENOUGH = 0.3  # part of the pictures that must show the board for the user's word to be taken
SAMPLE = 6  # pictures looked at when searching ...
LONGEST_PX = 1000  # ... at no more than this size
LARGEST_SIDE = 14  # squares of a ChArUco board whose layout is searched
FEWEST_MARKERS = 4
LARGEST_MISFIT = 0.2  # of a marker's corner, in squares
FAMILIES = (
    "DICT_4X4_100", "DICT_5X5_100", "DICT_6X6_100", "DICT_7X7_100", "DICT_ARUCO_ORIGINAL",
    "DICT_APRILTAG_36h11", "DICT_APRILTAG_25h9", "DICT_APRILTAG_16h5", "DICT_ARUCO_MIP_36h12",
)  # fmt: skip  # the larger dictionaries begin with these, and take ten times as long
UNKNOWN = Board("chessboard", 9, 6, 1.0)  # the commonest; its square is a unit, not a metre


@dataclass(frozen=True)
class FoundBoard:
    """The board that was seen, and what differs from what was said.

    Attributes:
        board: To be used from here on.
        mirrored: The pictures are mirrored left-right and must be flipped back first.
        findings: One sentence for each difference.
    """

    board: Board
    mirrored: bool = False
    findings: tuple[Finding, ...] = ()


def find_board(
    pictures: Sequence[Picture], guess: Board | None = None, camera: str | None = None
) -> FoundBoard:
    """Find out which board the pictures show.

    Args:
        pictures: Some pictures of one camera, grey; a dozen spread over a video are plenty.
        guess: What the user said; None if nothing.
        camera: For the findings.
    Returns:
        The guess where it is seen in a third of the pictures; else what is seen most.
    Raises:
        InputError: If no board is seen; the sentence names all that was tried.
    """
    if guess is not None and _seen(guess, pictures) >= max(1, math.ceil(ENOUGH * len(pictures))):
        return FoundBoard(guess, False, tuple(_findings(guess, guess, False, camera)))
    every = max(1, math.ceil(len(pictures) / SAMPLE))
    sample = [_small(picture) for picture in pictures[::every]]
    for find in (_find_charuco, _find_chessboard):  # a ChArUco board looks like a chessboard too
        found = find(sample, guess)
        if found is not None:
            findings = tuple(_findings(guess, found.board, found.mirrored, camera))
            return replace(found, findings=findings)
    raise InputError(_not_found(pictures, guess, camera))


def _small(picture: Picture) -> UInt8[np.ndarray, "less smaller"]:
    scale = LONGEST_PX / max(picture.shape)
    if scale >= 1.0:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _seen(board: Board, pictures: Sequence[Picture]) -> int:
    return sum(find_corners(picture, board) is not None for picture in pictures)


def _not_found(pictures: Sequence[Picture], guess: Board | None, camera: str | None) -> str:
    sizes = ", ".join(f"{c} x {r}" for c, r in _chessboard_sizes([], guess or UNKNOWN))
    said = f"{describe(guess)} or another board" if guess else "a board"
    return (
        f"expected {said} in {len(pictures)} pictures{f' of {camera}' if camera else ''}, found "
        f"none; tried chessboards of {sizes} inner corners and any that shows, and ChArUco boards "
        f"of 3 to {LARGEST_SIDE} columns and rows with {', '.join(FAMILIES)}, each also inverted, "
        "legacy and mirrored: check that the board is whole, sharp, well lit and near enough"
    )


# -- chessboards ----------------------------------------------------------------------------------


def _find_chessboard(pictures: Sequence[Picture], guess: Board | None) -> FoundBoard | None:
    """The size that most pictures show, if any; plain before inverted."""
    base = guess if guess is not None and guess.kind == "chessboard" else _like(guess, "chessboard")
    best, most = None, 0
    for inverted in (base.inverted, not base.inverted):
        for columns, rows in _chessboard_sizes(pictures, base):
            board = replace(base, columns=columns, rows=rows, inverted=inverted)
            seen = _seen(board, pictures)
            if seen > most:
                best, most = board, seen
            if seen > len(pictures) / 2:
                return FoundBoard(board)
    return FoundBoard(best) if best is not None else None


def _like(guess: Board | None, kind: str) -> Board:
    square = UNKNOWN.square_m if guess is None else guess.square_m
    if kind == "chessboard":
        return replace(UNKNOWN, square_m=square)
    return Board("charuco", 5, 7, square)


def _chessboard_sizes(pictures: Sequence[Picture], guess: Board) -> list[tuple[int, int]]:
    """Inner corners to try: as said, as seen, squares counted for corners, one off."""
    columns, rows = guess.corner_grid
    votes: Counter[tuple[int, int]] = Counter()
    for picture in pictures:
        found, _, meta = cv2.findChessboardCornersSBWithMeta(
            picture, (3, 3), cv2.CALIB_CB_LARGER + cv2.CALIB_CB_NORMALIZE_IMAGE
        )
        if found:
            votes[(max(meta.shape), min(meta.shape))] += 1
    steps = ((-1, -1), (1, 1), (-1, 0), (0, -1), (1, 0), (0, 1))
    near = [(columns + dc, rows + dr) for dc, dr in steps]
    sizes = [(columns, rows), *(size for size, _ in votes.most_common(3)), *near]
    return list(dict.fromkeys(size for size in sizes if min(size) >= 3))


# -- ChArUco --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Markers:
    """Markers of one family in one picture."""

    ids: np.ndarray  # M
    corners_px: Float64[np.ndarray, "m 4 2"]


def _find_charuco(pictures: Sequence[Picture], guess: Board | None) -> FoundBoard | None:
    """The family, look and layout that explain most markers."""
    said = guess if guess is not None and guess.kind == "charuco" else None
    base = said or _like(guess, "charuco")
    best, most = None, 0
    for inverted, mirrored in ((False, False), (True, False), (False, True), (True, True)):
        seen = [_markers(picture, inverted, mirrored) for picture in pictures]
        for family in FAMILIES:
            markers = [m[family] for m in seen if family in m]
            if sum(len(m.ids) for m in markers) <= most:
                continue
            layout, explained = _best_layout(markers, replace(base, dictionary=family), said)
            if explained > most:
                board = _measured(replace(layout, inverted=inverted), markers)
                best, most = FoundBoard(_named(board, said), mirrored), explained
        if most >= FEWEST_MARKERS * len(pictures) / 2:
            break  # no other look can explain the same markers
    return best


def _named(board: Board, said: Board | None) -> Board:
    """With the smallest dictionary of its family that holds the board, or the one said."""
    family = board.dictionary.rsplit("_", 1)[0]
    if said is not None and said.dictionary.rsplit("_", 1)[0] == family:
        return replace(board, dictionary=said.dictionary)
    count = board.columns * board.rows // 2 + 1
    if family in ("DICT_4X4", "DICT_5X5", "DICT_6X6", "DICT_7X7"):
        return replace(board, dictionary=f"{family}_{50 if count <= 50 else 100}")
    return board


def _markers(picture: Picture, inverted: bool, mirrored: bool) -> dict[str, _Markers]:
    """Markers of each family that shows at least a few."""
    picture = cv2.bitwise_not(picture) if inverted else picture
    picture = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
    found, numbers, _, indices = _marker_detector().detectMarkersMultiDict(picture)
    if numbers is None or len(numbers) < FEWEST_MARKERS:
        return {}
    ids, families = (np.asarray(each).ravel() for each in (numbers, indices))
    corners = np.asarray(found, float).reshape(-1, 4, 2)
    kinds = {k for k in np.unique(families).tolist() if (families == k).sum() >= FEWEST_MARKERS}
    return {FAMILIES[k]: _Markers(ids[families == k], corners[families == k]) for k in kinds}


@lru_cache
def _marker_detector() -> cv2.aruco.ArucoDetector:
    names = [getattr(cv2.aruco, family) for family in FAMILIES]
    return cv2.aruco.ArucoDetector(tuple(map(cv2.aruco.getPredefinedDictionary, names)))


def _best_layout(markers: Sequence[_Markers], base: Board, said: Board | None) -> tuple[Board, int]:
    """The layout that explains most markers; what was said, swapped, then the smallest."""
    markers = sorted(markers, key=lambda m: -len(m.ids))[:4]
    best, most = base, 0
    highest = int(max(found.ids.max() for found in markers))
    total = sum(len(found.ids) for found in markers)
    for board in _layouts(base, said, highest):
        explained = sum(_explained(found, board) for found in markers)
        if explained > most:
            best, most = board, explained
        if most > 0.95 * total:
            break
    return best, most


def _layouts(base: Board, said: Board | None, highest: int) -> Iterator[Board]:
    sizes = [] if said is None else [(said.columns, said.rows), (said.rows, said.columns)]
    for columns in range(3, LARGEST_SIDE + 1):
        fewest = max(3, math.ceil(2 * (highest + 1) / columns))
        sizes += [(columns, rows) for rows in (fewest, fewest + 1) if rows <= LARGEST_SIDE]
    for columns, rows in sizes:
        # The patterns before and since OpenCV 4.6 differ only where the number of rows is even.
        for legacy in (base.legacy, not base.legacy)[: 2 - rows % 2]:
            yield replace(base, columns=columns, rows=rows, legacy=legacy)


def _explained(markers: _Markers, board: Board) -> int:
    """How many markers lie where the layout has them, up to one homography."""
    places = _places(replace(board, inverted=False))
    known = np.isin(markers.ids, list(places))
    if known.sum() < FEWEST_MARKERS:
        return 0
    source = np.concatenate([places[i] for i in markers.ids[known].tolist()])
    target = markers.corners_px[known].reshape(-1, 2)
    homography = cv2.findHomography(target, source, cv2.RANSAC, LARGEST_MISFIT, maxIters=100)[0]
    if homography is None:
        return 0
    misfit = np.linalg.norm(cv2.perspectiveTransform(target[None], homography)[0] - source, axis=-1)
    count = int((misfit.reshape(-1, 4).max(-1) < LARGEST_MISFIT).sum())
    return count if count >= FEWEST_MARKERS else 0


@lru_cache(maxsize=2048)
def _places(board: Board) -> dict[int, np.ndarray]:
    """Corners of each marker, squares from the first inner corner."""
    pattern = charuco_pattern(board)
    corners = [np.asarray(marker, float)[:, :2] - 1.0 for marker in pattern.getObjPoints()]
    return dict(zip(np.asarray(pattern.getIds()).ravel().tolist(), corners, strict=True))


def _measured(board: Board, markers: Sequence[_Markers]) -> Board:
    """The board with the ratio of marker and square as the pictures show it."""
    places = _places(replace(board, inverted=False))
    sides = []
    for found in markers:
        known = np.isin(found.ids, list(places))
        if known.sum() < FEWEST_MARKERS:
            continue
        centres = np.stack([places[i].mean(0) for i in found.ids[known].tolist()])
        corners = found.corners_px[known]
        homography = cv2.findHomography(corners.mean(1), centres)[0]
        if homography is not None:
            flat = cv2.perspectiveTransform(corners.reshape(1, -1, 2), homography)
            edges = flat.reshape(-1, 4, 2) - np.roll(flat.reshape(-1, 4, 2), 1, axis=1)
            sides.append(float(np.median(np.linalg.norm(edges, axis=-1))))
    ratio = float(np.median(sides)) if sides else board.marker_ratio
    if abs(ratio - board.marker_ratio) < 0.06 or not 0.2 < ratio < 0.98:
        return board
    return replace(board, marker_ratio=round(ratio, 2))


# -- findings -------------------------------------------------------------------------------------


def _findings(
    guess: Board | None, board: Board, mirrored: bool, camera: str | None
) -> Iterator[Finding]:
    whose = f"{camera}'s pictures" if camera else "The pictures"

    def say(sentence: str, advice: str = "Correct the board's description.") -> Finding:
        return Finding("calibrate", "warning", sentence, advice, camera)

    if guess is None:
        yield say(
            f"{whose} show {describe(board)}; the side of its squares cannot be seen and counts as "
            "1 m.",
            "Write the board's description with the measured square_m.",
        )
    elif board.kind != guess.kind:
        yield say(f"{whose} show {describe(board)}, not {describe(guess)}.")
    else:
        yield from (say(f"{whose} show {text}.") for text in _differences(guess, board))
    if mirrored:
        yield say(
            f"{whose} are mirrored left-right, as a selfie camera shows them; they were flipped "
            "back.",
            "Flip back everything this camera filmed, or switch mirroring off.",
        )
    if board.kind == "chessboard" and (board.columns + board.rows) % 2 == 0:
        yield say(
            f"A chessboard of {board.columns} x {board.rows} inner corners looks the same after a "
            "half turn; cameras that see it from opposite sides may disagree.",
            "Use a board with one side even and the other odd, or a ChArUco board.",
        )


def _differences(guess: Board, board: Board) -> Iterator[str]:
    mine, said = (board.columns, board.rows), (guess.columns, guess.rows)
    unit = "inner corners" if board.kind == "chessboard" else "squares"
    if mine == said[::-1] and mine != said:
        yield f"a board of {mine[0]} x {mine[1]} {unit}: columns and rows were swapped"
    elif mine != said:
        yield f"a board of {mine[0]} x {mine[1]} {unit}, not {said[0]} x {said[1]}"
    if board.inverted != guess.inverted:
        look = "with black and white exchanged" if board.inverted else "that is not inverted"
        yield f"a board {look}"
    if board.dictionary != guess.dictionary:
        yield f"markers of {board.dictionary}, not {guess.dictionary}"
    if board.legacy != guess.legacy:
        yield f"the {'pattern before' if board.legacy else 'pattern since'} OpenCV 4.6"
    if board.marker_ratio != guess.marker_ratio:
        yield f"markers {board.marker_ratio:g} of a square wide, not {guess.marker_ratio:g}"
