"""The template: proportions, mirror symmetry, measured spans, evidence, refusals."""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.geometry.rotation import identity_quaternion
from muybridge.motion.body import (
    BONES,
    EVIDENCE,
    LANDMARKS,
    LIMITS,
    SPANS,
    Body,
    evidence,
    stature_from_spans,
    template,
)
from muybridge.motion.keypoints import BODY_25, COCO_17, HALPE_26
from muybridge.motion.kinematics import forward

SETS = {"COCO_17": COCO_17, "BODY_25": BODY_25, "HALPE_26": HALPE_26}


def _rest(body: Body) -> torch.Tensor:
    identity = identity_quaternion(len(body.skeleton))
    return forward(body.skeleton, identity, body.skeleton.offsets).positions


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_template_stands_on_the_floor_in_t_pose(names: tuple[str, ...]) -> None:
    body = template(names, stature=1.80)
    rest = dict(zip(body.skeleton.names, _rest(body), strict=True))
    assert float(rest["Head_end"][1]) == pytest.approx(1.80, abs=1e-9)
    assert float(rest["LeftToeBase_end"][1]) == pytest.approx(0.0, abs=1e-9)
    assert min(float(p[1]) for p in rest.values()) > -1e-9
    assert float(rest["LeftHand"][0]) > 0.4  # the left side is +X
    assert float(rest["LeftHand"][1] - rest["LeftArm"][1]) == pytest.approx(0.0, abs=1e-9)
    assert float(rest["LeftToeBase"][2]) > 0.1  # it faces +Z
    assert body.markers == names  # every marker of the set has a place


def test_left_and_right_are_mirror_images() -> None:
    body = template(HALPE_26)
    rest = dict(zip(body.skeleton.names, _rest(body), strict=True))
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    for name, place in rest.items():
        if name.startswith("Left"):
            torch.testing.assert_close(rest[name.replace("Left", "Right")], place * flip)
    for name, (_, (x, y, z)) in LANDMARKS.items():
        if name.startswith("left_"):
            assert LANDMARKS[name.replace("left_", "right_")][1] == (-x, y, z)


def test_limits_admit_the_rest_pose_and_mirror() -> None:
    for name, limit in LIMITS.items():
        for low, high in (limit.x, limit.y, limit.z):
            assert low <= 0.0 <= high
        if name.startswith("Left"):
            right = LIMITS[name.replace("Left", "Right")]
            assert right.x == limit.x
            assert right.y == tuple(-v for v in reversed(limit.y))
            assert right.z == tuple(-v for v in reversed(limit.z))


def test_spans_are_kept_exactly() -> None:
    spans = {name: 1.7 * span.fraction * 1.03 for name, span in SPANS.items()}
    spans["RightLeg"] *= 1.05
    body = template(COCO_17, spans)
    rest = _rest(body)
    place = {n: rest[j] for n, j in zip(body.markers, body.marker_joints, strict=True)}

    def middle(names: tuple[str, ...]) -> torch.Tensor:
        return torch.stack([place[name] for name in names]).mean(0)

    for name, span in SPANS.items():
        length = float((middle(span.end) - middle(span.start)).norm())
        assert length == pytest.approx(spans[name], abs=1e-9), name


def test_stature_survives_a_wrong_span() -> None:
    spans = {name: 1.6 * span.fraction for name, span in SPANS.items()}
    spans["LeftHand"] *= 2.0
    assert stature_from_spans(spans) == pytest.approx(1.6)
    assert stature_from_spans({}) is None


def test_feet_move_only_where_markers_show_them() -> None:
    def turning(names: tuple[str, ...]) -> set[str]:
        body = template(names)
        return {body.skeleton.names[j] for j in body.turning}

    assert "LeftFoot" in turning(HALPE_26)
    assert "LeftFoot" not in turning(COCO_17)
    one_sided = tuple(n for n in HALPE_26 if not n.startswith("left_") or n in COCO_17)
    assert "LeftFoot" not in turning(one_sided)
    assert "RightFoot" in turning(one_sided)


def test_evidence_names_what_is_measured() -> None:
    seen = torch.ones(2, len(COCO_17), dtype=torch.bool)
    seen[1, COCO_17.index("left_knee")] = False
    found = evidence(COCO_17, seen)
    names = list(BONES)
    assert not bool(found[0, names.index("LeftToeBase")])  # COCO shows no toes
    assert not bool(found[0, names.index("LeftHand_end")])
    assert bool(found[0, names.index("LeftLeg")])
    lost = [n for n, a, b in zip(names, *found.tolist(), strict=True) if a and not b]
    assert lost == ["LeftLeg"]
    assert set(EVIDENCE) == set(names)


def test_refusals_name_the_cause() -> None:
    with pytest.raises(InputError, match="right_hip"):
        template([n for n in COCO_17 if n != "right_hip"])
    with pytest.raises(InputError, match="positive lengths"):
        template(COCO_17, stature=-1.0)
    with pytest.raises(InputError, match="positive lengths"):
        template(COCO_17, {"torso": float("nan")}, 1.7)


def test_unknown_markers_have_no_place() -> None:
    assert template((*COCO_17, "wand_tip")).markers == COCO_17
