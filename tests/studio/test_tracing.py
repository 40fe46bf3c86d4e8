"""Rotoscoping: what is traced is saved, undone, interpolated, and becomes a capture."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.capture.pipeline import CaptureOptions, capture
from muybridge.capture.session import open_session
from muybridge.errors import InputError
from muybridge.files.keypoints import Correction, read_corrections, read_keypoints_folder
from muybridge.motion.keypoints import COCO_17
from muybridge.studio.tracing import TRACING_FILE, Tracing, open_tracing
from muybridge.studio.tracing_server import TracingServer
from tests.sessions import make_session
from tests.studio.browser import browse
from tests.studio.synthetic_take import synthetic_take, write_videos

FRAMES = 21


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with videos and a calibration, and no detections."""
    folder = make_session(tmp_path_factory.mktemp("bare") / "walk", FRAMES)
    write_videos(synthetic_take(frame_count=FRAMES), folder / "videos")
    shutil.rmtree(folder / "keypoints")
    return folder


@pytest.fixture
def session(bare: Path, tmp_path: Path) -> Path:
    """A copy of it to work on."""
    return Path(shutil.copytree(bare, tmp_path / "walk"))


def trace(tracing: Tracing, every: int) -> torch.Tensor:
    """Trace the truth in some frames of every camera; where each joint really is, pixels."""
    truth = synthetic_take(frame_count=FRAMES).people[0].keypoints
    for c, camera in enumerate(truth.cameras):
        for t in range(0, FRAMES, every):
            for j, joint in enumerate(truth.joints):
                x, y = truth.points_px[c, t, 0, j].tolist()
                if np.isfinite(x):
                    edit = Correction(camera, t, 0, joint, round(x, 2), round(y, 2))
                    tracing._edits[edit.place] = edit  # one save for all: see below
        tracing.put(edit)
    return truth.points_px


def test_a_session_traced_from_scratch_is_captured(session: Path, tmp_path: Path) -> None:
    tracing = open_tracing(session)
    truth = trace(tracing, every=4)
    written = read_keypoints_folder(session / "keypoints", 30.0)
    assert written.points_px.shape[:3] == (4, FRAMES, 1)
    off = (written.points_px[:, :, 0] - truth[:, :, 0]).norm(dim=-1)
    assert float(off[:, ::4].nanmean()) < 0.01
    assert float(off.nanmean()) < 3.0
    assert set(written.confidence[:, 2].unique().tolist()) <= {0.0, 0.5}

    options = CaptureOptions(keypoints=True, fps=30.0)
    take = capture(open_session(session), tmp_path / "take", options)
    (person,) = take.people
    wanted = synthetic_take(frame_count=FRAMES).people[0].markers
    names = tuple(name for name in person.markers.names if name in wanted.names)
    found, real = person.markers.select(names), wanted.select(names)
    error = (found.points_world - real.points_world).norm(dim=-1).nanmean()
    assert float(error) < 0.02, f"{float(error):.4f} m"


def test_what_is_not_traced_stays_as_detected(tmp_path: Path) -> None:
    session = make_session(tmp_path / "walk", 6, videos=True)
    options = CaptureOptions(keypoints=True, fps=30.0)
    before = capture(open_session(session), session / "take", options)
    tracing = open_tracing(session)
    assert tracing.source.file == session / "take" / "corrections.json"
    was = tracing.points("cam01", 3, 0)
    assert {p.state for p in was} <= {"detected", "none"}
    tracing.put(Correction("cam01", 3, 0, "left_wrist", 222.0, 111.0))
    now = tracing.points("cam01", 3, 0)
    at = COCO_17.index("left_wrist")
    wrist = tracing.source.joints.index("left_wrist")
    assert now[wrist] == (222.0, 111.0, "traced")
    assert now[:wrist] + now[wrist + 1 :] == was[:wrist] + was[wrist + 1 :]
    after = capture(open_session(session), session / "take", options)
    old, new = before.people[0].keypoints, after.people[0].keypoints
    moved = (old.points_px - new.points_px).abs().nan_to_num().amax(-1)[:, :, 0] > 1e-6
    assert moved.nonzero().tolist() == [[0, 3, old.joints.index(COCO_17[at])]]


def test_every_change_is_saved_and_can_be_undone(session: Path) -> None:
    tracing = open_tracing(session, "halpe", people=2)
    first = Correction("cam01", 3, 1, "left_heel", 10.0, 20.0)
    tracing.put(first)
    tracing.put(Correction("cam01", 3, 1, "left_heel", 11.0, 20.0))
    tracing.forget(first.place)
    assert read_corrections(session / TRACING_FILE) == ()
    assert tracing.undo() == first.place
    assert tracing.undo() == first.place
    assert read_corrections(session / TRACING_FILE) == (first,)
    assert tracing.redo() == first.place
    assert tracing.edits[0].x == 11.0
    tracing.put(Correction("cam02", 0, 0, "nose", None, None))
    assert not tracing.can_redo
    again = open_tracing(session)  # as it was begun, whatever is asked
    assert again.edits == tracing.edits
    assert (len(again.source.joints), again.source.people) == (26, 2)
    assert again.points("cam02", 0, 0)[0].state == "hidden"


def test_between_traced_frames_a_joint_does_not_overshoot(session: Path) -> None:
    tracing = open_tracing(session)
    for frame, x in ((0, 10.0), (4, 10.0), (8, 90.0), (12, 90.0)):
        tracing.put(Correction("cam01", frame, 0, "nose", x, 5.0))
    xs = [tracing.points("cam01", t, 0)[0].x for t in range(13)]
    assert xs == sorted(xs)
    assert (xs[2], xs[10]) == (10.0, 90.0)
    tracing.put(Correction("cam01", 6, 0, "nose", None, None))  # hidden: nothing reaches across
    states = [tracing.points("cam01", t, 0)[0].state for t in range(4, 9)]
    assert states == ["traced", "none", "hidden", "none", "traced"]
    assert tracing.points("cam01", 13, 0)[0].state == "none"


@pytest.mark.parametrize(
    ("camera", "frame", "person", "joint"),
    [("cam9", 0, 0, "nose"), ("cam01", 21, 0, "nose"), ("cam01", -1, 0, "nose"),
     ("cam01", 0, 1, "nose"), ("cam01", 0, 0, "tail")],
)  # fmt: skip
def test_what_is_not_there_cannot_be_traced(
    session: Path, camera: str, frame: int, person: int, joint: str
) -> None:
    tracing = open_tracing(session)
    with pytest.raises(InputError, match="expected a camera of cam01"):
        tracing.put(Correction(camera, frame, person, joint, 1.0, 2.0))
    assert not (session / TRACING_FILE).exists()
    assert not tracing.can_undo


def test_without_videos_there_is_nothing_to_trace(tmp_path: Path) -> None:
    session = make_session(tmp_path / "walk", 4)
    with pytest.raises(InputError, match=r"expected videos in .* to trace over"):
        open_tracing(session)
    (session / "videos").mkdir()
    write_videos(synthetic_take(frame_count=4), session / "videos")
    elsewhere = '[{"camera": "cam9", "frame": 0, "person": 0, "joint": "nose", "x": 1, "y": 1}]'
    for text in ('[{"camera": 1}]', elsewhere):
        (session / TRACING_FILE).write_text(text)
        with pytest.raises(InputError, match=r"tracing\.json"):
            open_tracing(session)


def ask(address: str, path: str, body: object = None, **headers: str) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        content = answer.read()
        return json.loads(content) if answer.headers["Content-Type"].endswith("json") else content


def refused(address: str, path: str, body: object = None, **headers: str) -> int:
    """The code with which a request is refused."""
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(address, path, body, **headers)
    error.value.close()
    return error.value.code


def test_the_server_answers_its_own_page_only(session: Path) -> None:
    server = TracingServer(open_tracing(session), 0)
    try:
        state = ask(server.address, "state")
        assert state["scratch"]
        assert state["cameras"][0]["frames"] == FRAMES
        assert ask(server.address, "picture/0/5")[:2] == b"\xff\xd8"
        edit = {"camera": "cam01", "frame": 2, "person": 0, "joint": "nose", "x": 3, "y": 4.5}
        assert ask(server.address, "put", edit)["count"] == 1
        assert ask(server.address, "points/0/2/0")[0] == [3.0, 4.5, "traced"]
        assert ask(server.address, "undo", {})["place"] == ["cam01", 2, 0, "nose"]
        for path, body, code in (
            ("put", edit | {"x": "left"}, 400), ("put", edit | {"frame": 99}, 400),
            ("put", [1], 400), ("picture/9/0", None, 400), ("nothing", None, 404),
            ("picture/0/999", None, 404), ("points/0/x/0", None, 400),
        ):  # fmt: skip
            assert refused(server.address, path, body) == code, path
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert refused(server.address, "put", edit, **headers) == 403
        assert ask(server.address, "state")["count"] == 0
    finally:
        server.close()


def answer(address: str, request: bytes) -> bytes:
    """The first line with which raw bytes are answered."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request.replace(b"HOST", f"{host}:{port}".encode()))
        line.shutdown(socket.SHUT_WR)
        return line.makefile("rb").readline()


@pytest.mark.parametrize(
    ("path", "length", "body"),
    [
        ("put", "-1", b"{}"), ("put", "two", b"{}"), ("put", "99999999999", b"{}"),
        ("put", "20000", b"x" * 20000), ("put", "9000", b"[" * 9000), ("undo", "9", b"{}"),
        ("put", "2", b"\xff\xfe"), ("nothing", "2", b"{}"),
    ],
)  # fmt: skip
def test_broken_requests_are_refused_at_once(
    session: Path, capfd: pytest.CaptureFixture[str], path: str, length: str, body: bytes
) -> None:
    server = TracingServer(open_tracing(session), 0)
    head = f"POST /{path} HTTP/1.0\r\nHost: HOST\r\nContent-Length: {length}\r\n\r\n".encode()
    try:
        code = answer(server.address, head + body).split()[1]
        assert code == (b"404" if path == "nothing" else b"400")
        assert ask(server.address, "state")["count"] == 0
    finally:
        server.close()
    assert capfd.readouterr().err == ""


def test_a_browser_that_turns_away_is_no_news(session: Path, capfd) -> None:
    server = TracingServer(open_tracing(session), 0)
    try:
        host, port = server.address.removeprefix("http://").split(":")
        for _ in range(5):
            line = socket.create_connection((host, int(port)))
            line.sendall(f"GET /picture/0/3 HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()  # at once, without goodbye
        assert ask(server.address, "state")["count"] == 0
    finally:
        server.close()
    assert capfd.readouterr().err == ""


def test_ports_beyond_the_last_are_refused(session: Path) -> None:
    with pytest.raises(InputError, match="expected a free port from 70000 on"):
        TracingServer(open_tracing(session), 70000)


def test_what_cannot_be_written_leaves_the_tracing_as_it_was(session: Path) -> None:
    tracing = open_tracing(session)
    tracing.put(Correction("cam01", 1, 0, "nose", 3.0, 4.0))
    before = (session / TRACING_FILE).read_bytes()
    shutil.rmtree(session / "keypoints")
    (session / "keypoints").write_text("a file where a folder is needed")
    with pytest.raises(InputError, match="expected to write"):
        tracing.put(Correction("cam01", 2, 0, "nose", 5.0, 6.0))
    assert (session / TRACING_FILE).read_bytes() == before
    assert len(tracing.edits) == 1


DRAG = """(() => {
  const at = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type,
    {clientX: x, clientY: y, bubbles: true, pointerId: 1, button: 0}));
  canvas.setPointerCapture = () => {};
  const box = canvas.getBoundingClientRect();
  const move = (from, to) => { at("pointerdown", box.x + from[0], box.y + from[1]);
    at("pointermove", box.x + to[0], box.y + to[1]);
    at("pointerup", box.x + to[0], box.y + to[1]); };
  %s
})()"""


@pytest.mark.browser
def test_tracing_in_a_browser(session: Path, tmp_path: Path) -> None:
    """Click three joints, drag the first, go on a few frames, undo by the keyboard."""
    server = TracingServer(open_tracing(session), 0)
    click = "const p = onScreen([300, 200]); move(p, p);"
    steps = [
        {"eval": DRAG % click, "name": "_"}, {"wait": 400},
        {"eval": DRAG % click.replace("300", "340"), "name": "_"}, {"wait": 400},
        {"eval": DRAG % click.replace("300", "260"), "name": "_"}, {"wait": 400},
        {"eval": DRAG % "move(onScreen([300, 200]), onScreen([310, 150]));", "name": "_"},
        {"wait": 400}, {"press": "ArrowRight"}, {"press": "Shift+ArrowRight"}, {"wait": 500},
        {"eval": DRAG % "move(onScreen([330, 160]), onScreen([330, 160]));", "name": "_"},
        {"wait": 400}, {"press": "ArrowLeft"}, {"wait": 500}, {"shot": "trace.png"},
        {"eval": "[document.body.dataset.ready, frame, state.count, $('note').textContent]",
         "name": "state"},
        {"press": "Control+z"}, {"press": "Control+z"}, {"wait": 600},
        {"eval": "[frame, state.count, points[0]]", "name": "undone"},
    ]  # fmt: skip
    try:
        answer = browse(server.address, tmp_path, steps, wait_ms=1500)
    finally:
        server.close()
    assert answer["console"] == []
    ready, frame, count, note = answer["values"]["state"]
    assert (ready, frame, count) == ("yes", 10, 4)
    assert "saved in tracing.json" in note
    frame, count, nose = answer["values"]["undone"]
    assert (frame, count, nose[2]) == (0, 3, "traced")
    assert nose[:2] == pytest.approx([300.0, 200.0], abs=1.0)
    saved = {e.joint: (e.x, e.y) for e in read_corrections(session / TRACING_FILE)}
    assert saved["left_eye"] == pytest.approx((340.0, 200.0), abs=1.0)
