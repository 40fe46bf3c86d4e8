"""The solver on a recorded walk with known truth, on a model person, and on the demo trial."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from muybridge.capture.solve import Solution, SolveOptions, solve, solve_take
from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    geodesic_angle,
    matrix_from_euler,
)
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import slide
from muybridge.motion.jacobian import joint_angles
from muybridge.motion.keypoints import BODY_25, COCO_17, HALPE_26
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from tests import walker
from tests.model_person import model_person
from tests.walker import WALK, Faults, bend, disturb

needs_walk = pytest.mark.skipif(not WALK.exists(), reason="the shared BVH walks are absent")
TRC = WALK.parents[2] / "footage/Demo_0-100.trc"
needs_demo = pytest.mark.skipif(not TRC.exists(), reason="the shared demo markers are absent")
JOINTS = {
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
}  # fmt: skip


def _joint_markers(clip: Clip, names: tuple[str, ...]) -> Markers:
    """Limb joints of a clip under the markers' names; other markers NaN."""
    points = torch.full((len(clip), len(names), 3), torch.nan, dtype=torch.float64)
    positions = forward_clip(clip).positions
    for side in ("left", "right"):
        for part, joint in JOINTS.items():
            index = clip.skeleton.index(side.title() + joint)
            points[:, names.index(f"{side}_{part}")] = positions[:, index]
    return Markers(names, points, clip.fps)


def _rms(values: torch.Tensor) -> float:
    values = values[values.isfinite().all(-1)]
    return float(values.square().sum(-1).mean().sqrt())


def _bends(found: Markers, truth: Markers, parts: tuple[str, str, str]) -> torch.Tensor:
    """Errors of a hinge's angle on both sides, degrees."""
    errors = []
    for side in ("left", "right"):
        names = [f"{side}_{part}" for part in parts]
        errors.append((bend(found, *names) - bend(truth, *names)).abs().rad2deg())
    return torch.cat(errors)


def _angles(clip: Clip, joint: str) -> torch.Tensor:
    index = clip.skeleton.index(joint)
    axis = template(COCO_17).axes[index]
    return joint_angles(clip.rotations[:, index], axis).rad2deg()


def _demo() -> Markers:
    lines = TRC.read_text().splitlines()
    names = [name for name in lines[3].split("\t") if name][2:]
    rows = np.array([[float(v) for v in line.split("\t") if v.strip()] for line in lines[5:]])
    side = {"R": "right", "L": "left"}
    parts = {"BigToe": "big_toe", "SmallToe": "small_toe"}

    def ours(name: str) -> str:
        if name in ("Neck", "Head", "Nose"):
            return name.lower()
        return f"{side[name[0]]}_{parts.get(name[1:], name[1:].lower())}"

    points = torch.tensor(rows[:, 2:].reshape(len(rows), -1, 3))
    return Markers(tuple(ours(name) for name in names), points, 60.0)


@pytest.fixture(scope="module", params=[COCO_17, HALPE_26], ids=["COCO_17", "HALPE_26"])
def dirty(request: pytest.FixtureRequest) -> tuple[Markers, Markers, Solution]:
    """Truth, disturbed markers (10 mm, 5 % outliers, gaps up to 0.3 s) and their solution."""
    truth = walker.truth(request.param)
    seen = disturb(truth, Faults())
    return truth, seen, solve_take(seen)


@needs_walk
def test_joints_are_better_than_their_markers(dirty: tuple[Markers, Markers, Solution]) -> None:
    truth, seen, solution = dirty
    gap = _joint_markers(solution.clip, truth.names).points_world - truth.points_world
    noise_alone = 0.010 * 3.0**0.5  # what the inliers scatter; outliers only make it worse
    measured = gap[seen.seen]
    assert _rms(measured) < 0.6 * noise_alone
    assert _rms(measured) < 0.1 * _rms(seen.points_world - truth.points_world)
    assert _rms(gap[~seen.seen]) < 0.035


@needs_walk
def test_knees_and_elbows_bend_as_they_did(dirty: tuple[Markers, Markers, Solution]) -> None:
    truth, _, solution = dirty
    found = _joint_markers(solution.clip, truth.names)
    assert float(_bends(found, truth, ("hip", "knee", "ankle")).median()) < 2.0
    assert float(_bends(found, truth, ("shoulder", "elbow", "wrist")).median()) < 2.5


@needs_walk
def test_the_clip_is_well_made(dirty: tuple[Markers, Markers, Solution]) -> None:
    truth, _, solution = dirty
    clip, body = solution.clip, solution.body
    positions = forward_clip(clip).positions
    assert len(clip) == len(truth)
    assert clip.fps == truth.fps
    parents = torch.tensor(clip.skeleton.parents[1:])
    lengths = (positions[:, 1:] - positions[:, parents]).norm(dim=-1)
    assert float(lengths.std(dim=0).max()) < 1e-9
    angles = joint_angles(clip.rotations, body.axes)
    beyond = (angles - angles.clamp(body.lower, body.upper)).abs()[:, list(body.turning)]
    assert float(beyond.max()) < 1e-6
    assert clip.contacts is not None
    assert float(clip.contacts.any(1).double().mean()) > 0.3  # somebody walks: half the time
    assert float(slide(positions, clip.contacts).nan_to_num(nan=0.0).max()) < 0.005
    fastest = (positions.diff(dim=0) * clip.fps).norm(dim=-1).max()
    assert float(fastest) < 1.6 * float((truth.points_world.diff(dim=0) * 60).norm(dim=-1).max())
    dots = (clip.rotations[1:] * clip.rotations[:-1]).sum(-1)
    assert float(dots.min()) > 0.0  # quaternion signs are continuous
    assert clip.position_std is not None
    assert bool((clip.position_std > 0.0).all() and (clip.position_std < 0.2).all())


@needs_walk
def test_filled_means_unseen(dirty: tuple[Markers, Markers, Solution]) -> None:
    truth, seen, solution = dirty
    clip = solution.clip
    assert clip.filled is not None
    for side in ("left", "right"):
        for part, joint in JOINTS.items():
            column = clip.filled[:, clip.skeleton.index(side.title() + joint)]
            assert torch.equal(column, ~seen.seen[:, truth.names.index(f"{side}_{part}")])
    toes = clip.filled[:, clip.skeleton.index("LeftToeBase")]
    assert bool(toes.all()) == ("left_big_toe" not in truth.names)


@pytest.mark.parametrize("names", [COCO_17, BODY_25, HALPE_26], ids=["COCO", "BODY", "HALPE"])
def test_noiseless_angles_within_a_degree(names: tuple[str, ...]) -> None:
    """Hip flexion too: this person's spine is straight, as the solver must assume of all."""
    truth, markers = model_person(names)
    found = solve(markers, SolveOptions(lock_contacts=False))
    for joint in ("LeftUpLeg", "RightUpLeg", "LeftLeg", "RightLeg"):
        wrong = (_angles(found, joint) - _angles(truth, joint))[:, 0].abs()
        assert float(wrong.max()) < 1.0, joint
    for joint in ("LeftForeArm", "RightForeArm"):
        wrong = (_angles(found, joint) - _angles(truth, joint))[:, 1].abs()
        assert float(wrong.max()) < 1.0, joint


def test_solving_commutes_with_turning_the_world() -> None:
    _, markers = model_person(COCO_17, frames=40)
    markers = disturb(markers, Faults(gaps=0.0))
    turn = matrix_from_euler(torch.tensor([1.1], dtype=torch.float64), "y")
    shift = torch.tensor([3.0, 0.4, -2.0], dtype=torch.float64)
    moved = replace(markers, points_world=markers.points_world @ turn.mT + shift)
    before = forward_clip(solve(markers)).positions @ turn.mT + shift
    after = forward_clip(solve(moved)).positions
    torch.testing.assert_close(before, after, atol=2e-4, rtol=0)


def test_solving_commutes_with_playing_backwards() -> None:
    _, markers = model_person(COCO_17, frames=40)
    markers = disturb(markers, Faults(outliers=0.0))
    back = replace(markers, points_world=markers.points_world.flip(0))
    options = SolveOptions(iterations=25)
    forwards = forward_clip(solve(markers, options)).positions
    backwards = forward_clip(solve(back, options)).positions.flip(0)
    assert float((forwards - backwards).norm(dim=-1).max()) < 0.002


def test_the_frame_rate_hardly_matters() -> None:
    _, markers = model_person(COCO_17, frames=120, fps=120.0)
    options = SolveOptions(marker_std=0.01, lock_contacts=False)
    fine = forward_clip(solve(markers, options)).positions[::4]
    coarse = replace(markers, points_world=markers.points_world[::4], fps=30.0)
    gap = fine - forward_clip(solve(coarse, options)).positions
    assert float(gap[2:-2].norm(dim=-1).max()) < 0.006


def test_windows_join_without_a_seam() -> None:
    _, markers = model_person(COCO_17, frames=300)
    whole = forward_clip(solve(markers, SolveOptions(window=100.0, lock_contacts=False))).positions
    cut = forward_clip(solve(markers, SolveOptions(window=1.0, lock_contacts=False))).positions
    assert float((whole - cut).norm(dim=-1).max()) < 1e-3


def test_a_long_absence_is_held_and_reported() -> None:
    _, markers = model_person(COCO_17, frames=240)
    points = markers.points_world.clone()
    points[80:160] = torch.nan
    points[:10] = torch.nan
    found = solve_take(replace(markers, points_world=points))
    clip = found.clip
    assert len(clip) == 240
    assert clip.filled is not None
    assert bool(clip.filled[80:160].all())
    assert bool(clip.filled[:10].all())
    assert any("nobody was seen for 1.3 s" in f.sentence for f in found.findings)
    positions = forward_clip(clip).positions
    assert float((positions[80:160] - positions[79]).norm(dim=-1).max()) < 0.9
    assert float((positions.diff(dim=0) * 60.0).norm(dim=-1).max()) < 6.0
    assert clip.position_std is not None
    assert float(clip.position_std[120].mean()) > 2.0 * float(clip.position_std[40].mean())


def test_a_hidden_limb_is_reported() -> None:
    _, markers = model_person(COCO_17, frames=120)
    points = markers.points_world.clone()
    points[30:90, markers.names.index("left_wrist")] = torch.nan
    found = solve_take(replace(markers, points_world=points))
    assert any(f.sentence.startswith("left_wrist was out of sight for 1.0 s") for f in
               found.findings)  # fmt: skip
    assert found.clip.filled is not None
    hand = found.clip.filled[:, found.clip.skeleton.index("LeftHand")]
    assert hand.nonzero().squeeze(-1).tolist() == list(range(30, 90))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_shortest_takes_work(count: int) -> None:
    truth, markers = model_person(HALPE_26, frames=count)
    found = solve(markers)
    assert len(found) == count
    gap = forward_clip(found).positions[:, 16:18] - forward_clip(truth).positions[:, 16:18]
    assert float(gap.norm(dim=-1).max()) < 0.01


def test_absent_limbs_rest() -> None:
    _, markers = model_person(COCO_17, frames=20)
    torso = markers.select(("left_hip", "right_hip", "left_shoulder", "right_shoulder"))
    clip = solve(torso)
    assert clip.filled is not None
    assert bool(clip.filled[:, clip.skeleton.index("LeftHand")].all())
    bent = geodesic_angle(clip.rotations, torch.tensor([0.0, 0, 0, 1], dtype=torch.float64))
    assert float(bent[:, clip.skeleton.index("LeftForeArm")].max()) < 0.02


def test_limits_hold_against_wrong_markers() -> None:
    """A knee that is seen bending forwards is not believed."""
    _, markers = model_person(COCO_17, frames=30)
    points = markers.points_world.clone()
    hip, knee, ankle = (markers.names.index(f"left_{n}") for n in ("hip", "knee", "ankle"))
    points[:, ankle] = 2.0 * points[:, knee] - points[:, hip]
    points[:, ankle, :] += 0.10 * torch.tensor([0.5, 0.0, 0.8], dtype=torch.float64)
    wrong = replace(markers, points_world=points)
    assert float(_angles(solve(wrong), "LeftLeg")[:, 0].min()) >= -1e-6
    free = solve(wrong, SolveOptions(joint_limits=False))
    assert float(_angles(free, "LeftLeg")[:, 0].min()) < -1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: replace(m, fps=0.0), "frame rate of 1"),
        (lambda m: replace(m, fps=float("nan")), "frame rate of 1"),
        (lambda m: replace(m, points_world=m.points_world * torch.nan), "seen somewhere"),
        (lambda m: replace(m, points_world=m.points_world[:0]), "seen somewhere"),
        (lambda m: replace(m, points_world=m.points_world * torch.inf), "infinity"),
        (lambda m: replace(m, points_world=m.points_world * 1000.0), "in metres"),
        (lambda m: m.select(COCO_17[:11]), "left_hip, right_hip"),
    ],
)
def test_refusals(change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve(change(model_person(COCO_17, frames=5)[1]))


def test_never_all_four_is_refused() -> None:
    _, markers = model_person(COCO_17, frames=6)
    points = markers.points_world.clone()
    points[::2, markers.names.index("left_hip")] = torch.nan
    points[1::2, markers.names.index("right_shoulder")] = torch.nan
    points[:, markers.names.index("right_hip")] = torch.nan
    with pytest.raises(InputError, match="hips and both shoulders"):
        solve(replace(markers, points_world=points))


@needs_demo
def test_demo_trial() -> None:
    markers = _demo()
    solution = solve_take(markers)
    clip, seen = solution.clip, solution.residual
    assert float(seen.median()) < 0.018
    positions = forward_clip(clip).positions

    def acceleration(points: torch.Tensor) -> float:
        return float((points.diff(n=2, dim=0) * 60.0**2).norm(dim=-1).median())

    assert acceleration(positions) < 0.25 * acceleration(markers.points_world)
    speed = (positions.diff(dim=0) * 60.0).norm(dim=-1).max()
    assert float(speed) < float((markers.points_world.diff(dim=0) * 60.0).norm(dim=-1).max())
    for joint in ("LeftLeg", "RightLeg"):
        assert float(_angles(clip, joint)[:, 0].min()) >= -1e-6
    assert clip.contacts is not None
    assert float(slide(positions, clip.contacts).nan_to_num(nan=0.0).max()) < 0.005


def test_a_doubtful_marker_has_little_say() -> None:
    """Two views of a wrist that nearly agree on a ray leave it uncertain along that ray."""
    truth, markers = model_person(COCO_17, frames=30)
    wrist = markers.names.index("left_wrist")
    covariance = (0.005**2 * torch.eye(3, dtype=torch.float64)).repeat(30, 17, 1, 1)
    points = markers.points_world.clone()
    points[:, wrist, 2] += 0.03  # wrong by 30 mm along z
    sure = replace(markers, points_world=points, covariance=covariance)
    covariance = covariance.clone()
    covariance[:, wrist, 2, 2] = 0.2**2
    doubtful = replace(sure, covariance=covariance)
    hand = truth.skeleton.index("LeftHand")
    real = forward_clip(truth).positions[:, hand]
    options = SolveOptions(marker_std=0.003)
    trusted = (forward_clip(solve(sure, options)).positions[:, hand] - real).norm(dim=-1)
    doubted = (forward_clip(solve(doubtful, options)).positions[:, hand] - real).norm(dim=-1)
    assert float(doubted.median()) < 0.6 * float(trusted.median())
