"""The examples of capture by other sensors and of the animation desk run and say what they should.

None of them needs the recordings beside the project: they use made walks, limbs and sensors.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]


def numbers(line: str) -> list[float]:
    """All numbers of a line."""
    return [float(n) for n in re.findall(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?", line)]


def rows(said: str, split: str = ":") -> dict[str, str]:
    """What stands after each line's first words."""
    return dict(line.split(split, 1) for line in said.splitlines() if split in line)


def drew(folder: Path, name: str) -> None:
    """A picture of the example's name is there."""
    assert (folder / f"{name}.png").stat().st_size > 10_000


def test_curves(here: Run, tmp_path: Path) -> None:
    said = here("curves.py", tmp_path)
    for name, overshoots in (("monotone", False), ("natural spline", True), ("linear", False)):
        line = next(line for line in said.splitlines() if line.startswith(name))
        assert (max(numbers(line.split("between")[1])) > 1.001) == overshoots, line
    drew(tmp_path, "curves")


def test_runge(here: Run, tmp_path: Path) -> None:
    said = {line[:34].strip(): numbers(line[34:])[1::2] for line in
            here("runge.py", tmp_path).splitlines()}  # fmt: skip
    even, spline = said["one polynomial, even keys"], said["cubic spline"]
    assert even == sorted(even), "the polynomial gets worse with more keys"
    assert spline == sorted(spline, reverse=True), "the spline gets better"
    assert even[-1] > 59 > 1e4 * spline[-1]
    drew(tmp_path, "runge")


def test_rotation_curves(here: Run, tmp_path: Path) -> None:
    said = {line[:20].strip(): numbers(line.split("jump")[1])[0] for line in
            here("rotation_curves.py", tmp_path).splitlines()}  # fmt: skip
    assert said["slerp"] > 10.0 > 1.0 > said["squad: C1"] > said["rotation spline: C2"]
    drew(tmp_path, "rotation_curves")


def test_key_reduction(here: Run, tmp_path: Path) -> None:
    for line in here("key_reduction.py", tmp_path).splitlines():
        allowed, keys, values, fewer, off = numbers(line)
        assert off <= allowed
        assert keys < values / 5
        assert fewer == pytest.approx(values / keys, abs=0.1)
    drew(tmp_path, "key_reduction")


def test_ik_methods(here: Run, tmp_path: Path) -> None:
    said = here("ik_methods.py", tmp_path)
    assert len(said.splitlines()) == 6
    assert all(numbers(line.split("median")[1])[0] < 1e-5 for line in said.splitlines())
    drew(tmp_path, "ik_methods")


def test_ik_pose(here: Run, tmp_path: Path) -> None:
    for line in here("ik_pose.py").splitlines():
        assert numbers(line.split(":")[1])[0] < 1.0, line


def test_pin_feet_and_retarget(here: Run, tmp_path: Path) -> None:
    for name, before in (("pin_feet.py", "before"), ("retarget.py", "orientations alone")):
        slid = {k: numbers(v)[0] for k, v in rows(here(name, tmp_path)).items()}
        assert max(slid.values()) == slid[before] > 3.0
        assert min(slid.values()) < 0.2 * slid[before]
        drew(tmp_path, name.removesuffix(".py"))


def test_timewarp_blend(here: Run, tmp_path: Path) -> None:
    slow, between, fast = (
        numbers(v)[0] for v in rows(here("timewarp_blend.py", tmp_path)).values()
    )
    assert slow > between > fast
    drew(tmp_path, "timewarp_blend")


def test_motion_graph(here: Run, tmp_path: Path) -> None:
    graph, walk = here("motion_graph.py", tmp_path).splitlines()
    frames, transitions, core = numbers(graph)
    assert frames > core > 0.5 * frames
    assert transitions > 50
    assert numbers(walk)[1] < 0.2
    drew(tmp_path, "motion_graph")


def test_motion_matching(here: Run, tmp_path: Path) -> None:
    _, off = here("motion_matching.py", tmp_path).splitlines()
    assert numbers(off)[0] < 0.2
    drew(tmp_path, "motion_matching")


def test_motion_field(here: Run, tmp_path: Path) -> None:
    said = rows(here("motion_field.py", tmp_path))
    assert numbers(said["steered"])[0] > numbers(said["let go"])[0] + 0.3
    drew(tmp_path, "motion_field")


def test_pose_pca(here: Run, tmp_path: Path) -> None:
    width, *_, ninety, ninety_five, ninety_nine = numbers(here("pose_pca.py", tmp_path))
    assert ninety <= ninety_five <= ninety_nine < width / 3
    drew(tmp_path, "pose_pca")


def test_encoders(here: Run, tmp_path: Path) -> None:
    for line in here("encoders.py", tmp_path).splitlines():
        _, bound, worst = numbers(line)
        assert worst < bound
    drew(tmp_path, "encoders")


def test_imu_drift(here: Run, tmp_path: Path) -> None:
    wanted = {"b t": 1.0, "s": 0.5, "g b t³": 3.0, "b t²": 2.0}
    said = here("imu_drift.py", tmp_path).splitlines()
    for law, exponent in wanted.items():
        line = next(line for line in said if f":  {law}" in line)
        assert numbers(line.split("exponent")[1])[0] == pytest.approx(exponent, abs=0.1)
    drew(tmp_path, "imu_drift")


def test_imu_fusion(here: Run, tmp_path: Path) -> None:
    said = {line[:34].strip(): numbers(line[34:])[0] for line in
            here("imu_fusion.py", tmp_path).splitlines()}  # fmt: skip
    assert said["bias of the whole take, then VQF"] < 2.0
    assert said["gyroscope alone"] > 10.0
    drew(tmp_path, "imu_fusion")


def test_imu_take(here: Run) -> None:
    angles, root = here("imu_take.py").splitlines()[-2:]
    assert numbers(angles)[0] < 4.0
    assert numbers(root)[0] < 10.0


def test_depth_camera(here: Run, tmp_path: Path) -> None:
    _, off = numbers(here("depth_camera.py", tmp_path))
    assert off < 30.0
    drew(tmp_path, "depth_camera")


def test_gap_curves(here: Run, tmp_path: Path) -> None:
    said = [numbers(line)[0] for line in here("gap_curves.py", tmp_path).splitlines()]
    straight, cubic, ours = said
    assert straight > cubic > 10.0 * ours
    drew(tmp_path, "gap_curves")


def test_labelled_cloud(here: Run, tmp_path: Path) -> None:
    right, all_of_them, rms, _ = numbers(here("labelled_cloud.py", tmp_path))
    assert right == all_of_them
    assert rms < 2.0
    drew(tmp_path, "labelled_cloud")


def test_marker_segments(here: Run) -> None:
    *_, joined, off = here("marker_segments.py").splitlines()
    assert "joined to its parent" in joined
    assert numbers(off)[0] < 5.0
