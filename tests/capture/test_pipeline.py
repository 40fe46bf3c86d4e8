"""The whole job on a small session: results, resuming, stale input, corrections, crops."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.capture.pipeline import CaptureOptions, Listener, capture, load_take
from muybridge.capture.session import open_session
from muybridge.capture.stages import Outcome
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.calibration import read_calibration, write_calibration
from muybridge.files.clip import load_learned, save_learned
from muybridge.files.gltf import read_glb
from muybridge.files.keypoints import Correction, save_corrections
from muybridge.files.trc import read_trc
from muybridge.geometry.rigid import Rigid
from muybridge.lock import locked
from muybridge.motion.kinematics import forward_clip
from tests.sessions import make_session
from tests.studio.synthetic_take import joints_world, synthetic_take

FRAMES = 24
RESULTS = ("take.bvh", "take.glb", "take.c3d", "take.trc", "calibration.yaml")


class _Diary:
    """Which stages ran and which were kept."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    def ended(self, outcome: Outcome, _findings: object) -> None:
        self.states[outcome.stage] = outcome.state

    def ran(self) -> set[str]:
        return {stage for stage, state in self.states.items() if state == "done"} - {"inspect"}


def _capture(session: Path, out: Path, **options: object):
    diary = _Diary()
    chosen = CaptureOptions(fps=30.0, **options)  # type: ignore[arg-type]
    take = capture(open_session(session), out, chosen, Listener(ended=diary.ended))
    return take, diary


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_session(tmp_path_factory.mktemp("walk") / "session", FRAMES)


@pytest.fixture(scope="module")
def out(session: Path) -> Path:
    _capture(session, session.parent / "out")
    return session.parent / "out"


def test_results_are_near_the_truth(out: Path) -> None:
    take = load_take(out)
    truth = joints_world(synthetic_take(FRAMES).people[0].clip)
    person = take.people[0]
    names = ("left_shoulder", "right_wrist", "left_knee", "right_ankle")
    index = [synthetic_take(2).people[0].keypoints.joints.index(name) for name in names]
    error = (person.markers.select(names).points_world - truth[:, index]).norm(dim=-1)
    assert float(error.median()) < 0.02
    assert len(person.clip) == FRAMES
    assert person.clip.fps == 30.0


def test_what_refinement_learned_lies_beside_the_cameras(session: Path, out: Path) -> None:
    take = load_take(out)
    assert take.detector_offset_px is not None
    assert take.detector_offset_px.shape == (4, len(take.people[0].keypoints.joints), 2)
    offset = torch.full_like(take.detector_offset_px, 3.0)
    offset[1::2] = -3.0
    path = session.parent / "learned" / "work" / "refine.npz"
    shutil.copytree(out, session.parent / "learned")
    save_learned(path, offset, load_learned(path)[1])
    told, diary = _capture(session, session.parent / "learned")
    assert "refine" in diary.ran(), "a changed artefact is made again, not believed"
    torch.testing.assert_close(told.detector_offset_px, take.detector_offset_px)
    off, _ = _capture(session, session.parent / "learned", refine="off")
    assert off.detector_offset_px is not None
    assert not bool(off.detector_offset_px.any())


def test_files_hold_the_same_motion(out: Path) -> None:
    clip = load_take(out).people[0].clip
    positions = forward_clip(clip).positions
    for other in (read_bvh(out / "take.bvh").clip, read_glb(out / "take.glb")):
        assert (len(other), other.fps) == (FRAMES, pytest.approx(30.0))
        shared = [name for name in clip.skeleton.names if name in other.skeleton.names]
        assert len(shared) >= 20
        ours = positions[:, [clip.skeleton.index(name) for name in shared]]
        theirs = forward_clip(other).positions[:, [other.skeleton.index(n) for n in shared]]
        assert float((ours - theirs.to(ours)).norm(dim=-1).max()) < 1e-4
    assert len(read_trc(out / "take.trc")) == FRAMES


def test_a_second_run_keeps_everything(session: Path, out: Path) -> None:
    stamps = {name: (out / name).stat().st_mtime_ns for name in RESULTS}
    _, diary = _capture(session, out)
    assert diary.ran() == set()
    assert stamps == {name: (out / name).stat().st_mtime_ns for name in RESULTS}


def test_a_new_calibration_redoes_what_rests_on_it(tmp_path: Path) -> None:
    session = make_session(tmp_path / "session", FRAMES)
    _capture(session, tmp_path / "out", refine="off")
    path = session / "calibration" / "calibration.yaml"
    cameras = read_calibration(path)
    turn = torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    lift = cameras.camera_from_world.compose(
        Rigid(turn, torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64).expand(4, 3))
    )
    before = load_take(tmp_path / "out").people[0].clip.root
    write_calibration(path, cameras.with_extrinsics(lift))
    take, diary = _capture(session, tmp_path / "out", refine="off")
    assert "import" not in diary.ran()
    assert {"calibrate", "sync", "reconstruct_person1", "solve_person1"} <= diary.ran()
    rise = (take.people[0].clip.root - before)[:, 1]
    torch.testing.assert_close(rise, torch.ones_like(rise), atol=0.01, rtol=0)


def test_a_result_changed_by_hand_is_made_again(tmp_path: Path) -> None:
    session = make_session(tmp_path / "session", FRAMES)
    _capture(session, tmp_path / "out")
    (tmp_path / "out" / "calibration.yaml").write_text("tampered")
    take, diary = _capture(session, tmp_path / "out")
    assert diary.ran() == {"refine"}, "the same bytes came out again, so the rest is kept"
    assert len(take.cameras) == 4


def test_corrected_keypoints_flow_into_the_motion(tmp_path: Path) -> None:
    """Rotoscoping: moving one wrist in all views moves it in space, in that frame."""
    session = make_session(tmp_path / "session", FRAMES)
    take, _ = _capture(session, tmp_path / "out", refine="off")
    before = take.people[0].markers.select(("left_wrist",)).points_world[:, 0]
    target = before[10] + torch.tensor([0.0, 0.12, 0.0], dtype=torch.float64)
    pixels = take.cameras.project(target.unsqueeze(0))[:, 0]
    edits = [
        Correction(camera, 10, 0, "left_wrist", float(x), float(y))
        for camera, (x, y) in zip(take.cameras.names, pixels.tolist(), strict=True)
    ]
    save_corrections(session / "corrections.json", edits)
    take, diary = _capture(session, tmp_path / "out", refine="off")
    after = take.people[0].markers.select(("left_wrist",)).points_world[:, 0]
    assert {"import", "calibrate"}.isdisjoint(diary.ran())
    assert float((after[10] - target).norm()) < float((before[10] - target).norm()) / 2
    assert float((after - before)[[0, 1, 22, 23]].norm(dim=-1).max()) < 0.002


def test_two_people_give_two_motions(tmp_path: Path) -> None:
    session = make_session(tmp_path / "session", FRAMES, people=2)
    take, _ = _capture(session, tmp_path / "out")
    assert [person.name for person in take.people] == ["person1", "person2"]
    assert (tmp_path / "out" / "take_person2.bvh").is_file()
    apart = take.people[0].clip.root - take.people[1].clip.root
    assert float(apart.norm(dim=-1).min()) > 0.3
    take, _ = _capture(session, tmp_path / "out", people=1)
    assert len(take.people) == 1
    assert not (tmp_path / "out" / "take_person2.bvh").exists(), "not of this take"


def test_an_unfinished_folder_is_no_take(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="muybridge capture"):
        load_take(tmp_path)


def test_no_calibration_is_said_before_anything_is_written(tmp_path: Path) -> None:
    session = make_session(tmp_path / "session", 4)
    (session / "calibration" / "calibration.yaml").unlink()
    with pytest.raises(InputError, match="expected a calibration"):
        _capture(session, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("delay", [2.5, 4.0, 5.5])
def test_kill_9_loses_and_breaks_nothing(
    session: Path, out: Path, tmp_path: Path, delay: float
) -> None:
    """Killed anywhere, the next run ends with the very files of an undisturbed one."""
    command = [sys.executable, "-m", "muybridge.cli.main", "capture", str(session)]
    target = tmp_path / "out"
    arguments = [*command, "--out", str(target), "--fps", "30"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in target.rglob("*.json"):
        json.loads(path.read_text())
    _capture(session, target)
    for name in ("take.bvh", "calibration.yaml", "take.trc"):
        if name == "take.trc":  # its first lines hold the file's own name
            same = [np.loadtxt(o / name, skiprows=6) for o in (out, target)]
            np.testing.assert_allclose(*same, atol=1e-6)
        else:
            assert (target / name).read_text() == (out / name).read_text()


def test_a_take_too_long_for_c3d_is_written_without(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muybridge.capture.pipeline.MOST_FRAMES", FRAMES - 1)
    take, _ = _capture(session, tmp_path / "out")
    assert (tmp_path / "out" / "take.trc").is_file()
    assert not (tmp_path / "out" / "take.c3d").exists()
    assert any("C3D" in finding.sentence for finding in take.findings)


def test_one_capture_at_a_time_in_a_folder(session: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out" / "work" / "lock"),
        pytest.raises(InputError, match="another muybridge"),
    ):
        _capture(session, tmp_path / "out")
    left = tmp_path / "out" / "work" / ".clock.unfinished-abc.json"
    left.write_text("{")
    _capture(session, tmp_path / "out")
    assert not left.exists(), "what a killed run has left is removed"


DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "noise": lambda data: bytes(range(256)) * 4,
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name", ["keypoints.npz", "people.npz", "person1_clip.npz", "sync.json", "take.json"]
)
def test_damaged_intermediate_results_are_made_again(
    session: Path, out: Path, tmp_path: Path, name: str, damage: str
) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    path = next(p for p in copy.rglob(name) if p.parent.name != "findings")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    _capture(session, copy)
    for result in ("take.bvh", "take.glb", "take.trc", "calibration.yaml", "work/people.npz"):
        assert (copy / result).read_bytes() == (out / result).read_bytes(), result


def test_a_camera_that_sees_nobody_does_not_stop_the_others(tmp_path: Path) -> None:
    session = make_session(tmp_path / "session", FRAMES)
    for path in (session / "keypoints" / "cam02").iterdir():
        path.write_text('{"people": []}')
    take, _ = _capture(session, tmp_path / "out")
    seen = take.people[0].keypoints.seen
    assert not bool(seen[1].any())
    joints = take.people[0].markers.select(("left_wrist", "right_ankle", "nose"))
    assert bool(joints.seen.all())
