"""The solver's sentences: each cause is named, with its number, and nothing is said without one."""

from dataclasses import replace

import torch

from muybridge.capture.bones import Measures
from muybridge.capture.finding import Finding
from muybridge.capture.solve_report import report
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import COCO_17
from muybridge.motion.markers import Markers
from tests.model_person import model_person

FRAMES = 60
CLIP, MARKERS = model_person(COCO_17, FRAMES)
CLIP = replace(CLIP, filled=torch.zeros(FRAMES, len(CLIP.skeleton), dtype=torch.bool))
MEASURES = Measures({"LeftLeg": 0.4, "RightLeg": 0.5}, {"LeftLeg": 0.005}, 0.004)
CLOSE = torch.full((FRAMES, 17), 0.01, dtype=torch.float64)


def _said(
    markers: Markers = MARKERS,
    clip: Clip = CLIP,
    measures: Measures = MEASURES,
    residual: torch.Tensor = CLOSE,
) -> tuple[Finding, ...]:
    return report(markers, clip, measures, residual, long_gap=0.25)


def test_a_good_take_gets_one_sentence() -> None:
    (only,) = _said()
    assert only.severity == "info"
    assert "within 10 mm" in only.sentence
    assert "0.0 % of the measured joints' samples are filled" in only.sentence


def test_long_gaps_are_named_and_short_ones_are_not() -> None:
    points = MARKERS.points_world.clone()
    points[:30, COCO_17.index("left_wrist")] = torch.nan  # 0.5 s of 60 frames a second
    points[:6, COCO_17.index("right_wrist")] = torch.nan
    said = [f for f in _said(replace(MARKERS, points_world=points)) if f.severity == "warning"]
    assert ["left_wrist was out of sight for 0.5 s" in f.sentence for f in said] == [True]


def test_frames_without_anybody_are_told_once() -> None:
    points = MARKERS.points_world.clone()
    points[10:40] = torch.nan
    said = [f for f in _said(replace(MARKERS, points_world=points)) if f.severity == "warning"]
    assert ["nobody was seen for 0.5 s" in f.sentence for f in said] == [True]


def test_bones_that_vary_or_differ_are_named() -> None:
    measures = replace(
        MEASURES, spread={"LeftLeg": 0.05, "torso": 0.05}, uneven=("LeftLeg", "RightLeg")
    )
    said = [f.sentence for f in _said(measures=measures) if f.severity == "warning"]
    assert len(said) == 2
    assert "bone to LeftLeg varies by 50 mm" in said[0]
    assert "LeftLeg and RightLeg measure 400 and 500 mm" in said[1]


def test_distrusted_markers_are_counted() -> None:
    residual = CLOSE.clone()
    residual[:, 0] = 0.2
    residual[:30, 1] = torch.nan
    far = next(f for f in _said(residual=residual) if "more than 100 mm" in f.sentence)
    assert far.sentence.startswith(f"60 marker samples ({100 * 60 / (60 * 17 - 30):.1f} %)")
    assert far.severity == "warning"
    residual[3:, 0] = 0.01
    assert next(f for f in _said(residual=residual) if "100 mm" in f.sentence).severity == "info"


def test_unknown_markers_and_filled_joints_are_told() -> None:
    markers = replace(MARKERS, names=(*COCO_17[:-1], "tail"))
    filled = CLIP.filled.clone()
    filled[:15, 3] = True
    filled[:, 4] = True  # never measured: does not count
    said = _said(markers, replace(CLIP, filled=filled))
    assert "no place for the markers tail" in said[0].sentence
    share = 100.0 * 15 / (FRAMES * (len(CLIP.skeleton) - 1))
    assert f"{share:.1f} % of the measured joints'" in said[-1].sentence
