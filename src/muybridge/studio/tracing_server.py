"""The tracing page: a small local server between a browser's canvas and a `Tracing`.

GET /                          the page
GET /state                     cameras, joints and what can be undone
GET /picture/CAMERA/FRAME      a JPEG
GET /points/CAMERA/FRAME/PERSON   the joints of a person there
POST /put, /forget, /undo, /redo  a change, saved before it is answered

Only pages of this server may ask: requests with another host or origin are refused.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from io import BufferedIOBase
from typing import Any

import cv2

from muybridge.errors import InputError
from muybridge.files.keypoints import Correction
from muybridge.motion.keypoints import COCO_PAIRS
from muybridge.studio.filmstrip import Filmstrip
from muybridge.studio.tracing import Tracing

__all__ = ["TracingServer"]

JPEG_QUALITY = 88
CHANGES = ("put", "forget", "undo", "redo")
LONGEST_REQUEST = 10_000  # bytes
PATIENCE_S = 20.0  # with a browser that says no more
TRIES = 20  # ports


class TracingServer:
    """Serves one tracing from a thread of its own until `close`."""

    def __init__(self, tracing: Tracing, port: int, host: str = "127.0.0.1") -> None:
        self.tracing = tracing
        self.films = [Filmstrip(video) for video in tracing.source.videos]
        self.lock = threading.Lock()
        self._http = _free_server(host, port, _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def wait(self) -> None:
        """Until the server ends."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.5)

    def close(self) -> None:
        """End the server and let go of the videos."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=5.0)
        for film in self.films:
            film.close()

    def state(self) -> dict[str, Any]:
        """What the page needs to know beside pictures and points."""
        source = self.tracing.source
        names = list(source.joints)
        return {
            "name": source.name,
            "scratch": source.detections is None,
            "file": source.file.name,
            "people": source.people,
            "joints": names,
            "pairs": [
                [names.index(a), names.index(b)] for a, b in COCO_PAIRS if {a, b} <= set(names)
            ],
            "cameras": [
                {"name": name, "width": v.width, "height": v.height, "frames": v.frame_count,
                 "fps": v.fps}
                for name, v in zip(source.cameras, source.videos, strict=True)
            ],
            "traced": {
                name: [self.tracing.traced_frames(name, p) for p in range(source.people)]
                for name in source.cameras
            },
            "count": len(self.tracing.edits),
            "undo": self.tracing.can_undo,
            "redo": self.tracing.can_redo,
        }  # fmt: skip

    def picture(self, camera: str, frame: int) -> bytes:
        """One frame as JPEG; empty if it cannot be read."""
        source = self.tracing.source
        if camera not in source.cameras:
            return b""
        image = self.films[source.cameras.index(camera)].full(frame)
        if image is None:
            return b""
        _, data = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        return data.tobytes()

    def change(self, what: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a change; the new state and where it happened."""
        tracing, place = self.tracing, None
        if what in ("put", "forget"):
            edit = _correction(request)
            place = edit.place
            tracing.put(edit) if what == "put" else tracing.forget(place)
        elif what in ("undo", "redo"):
            place = tracing.undo() if what == "undo" else tracing.redo()
        return self.state() | {"place": place}


def _correction(request: dict[str, Any]) -> Correction:
    kinds = {"camera": str, "frame": int, "person": int, "joint": str}
    right = all(type(request.get(name)) is kind for name, kind in kinds.items())
    places = [request.get(axis) for axis in "xy"]
    number = all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e6 for v in places
    )
    if not right or not (number or places == [None, None]):
        raise InputError(
            "expected camera, frame, person, joint, x and y of a traced joint, got "
            f"{json.dumps(request)[:80]}; trace it again"
        )
    x, y = (None if v is None else round(float(v), 2) for v in places)
    return Correction(
        request["camera"], request["frame"], request["person"], request["joint"], x, y
    )


class _Quiet(ThreadingHTTPServer):
    """A browser that turns away before it has its answer is nobody's news."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _object(stream: BufferedIOBase, length: str) -> dict[str, Any]:
    """The JSON object of a request, of the length that was announced."""
    number = int(length) if len(length) <= 9 and length.isdecimal() else -1
    if not 0 <= number <= LONGEST_REQUEST:
        raise InputError(
            f"expected a request of 0 to {LONGEST_REQUEST} bytes, got a length of {length[:20]!r}; "
            "ask again"
        )
    content = stream.read(number)
    try:
        request = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        request = None
    if len(content) < number or not isinstance(request, dict):
        raise InputError(f"expected a JSON object, got {content[:60]!r}; ask again")
    return request


def _free_server(
    host: str, port: int, handler: type[BaseHTTPRequestHandler]
) -> ThreadingHTTPServer:
    """On the port asked for, or the next free one."""
    for number in range(port, port + TRIES) if port else (0,):
        try:
            return _Quiet((host, number), handler)
        except (OSError, OverflowError):  # taken; beyond the last port there is
            continue
    raise InputError(
        f"expected a free port from {port} on, got none up to {port + TRIES - 1}; choose another "
        "with --port"
    )


def _handler(server: TracingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_S

        def do_GET(self) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            if not self._ours():
                return
            try:
                with server.lock:
                    kind, content = _answer(server, parts)
            except (InputError, ValueError, OSError) as error:
                self._send(400, "text/plain; charset=utf-8", str(error).encode())
                return
            self._send(200 if content else 404, kind, content)

        def do_POST(self) -> None:
            what = self.path.strip("/")
            if not self._ours():
                return
            if what not in CHANGES:
                self._send(404, "text/plain", b"")
                return
            try:
                request = _object(self.rfile, self.headers.get("Content-Length", "0"))
                with server.lock:
                    state = server.change(what, request)
            except (InputError, ValueError, OSError) as error:
                self._send(400, "text/plain; charset=utf-8", str(error).encode())
                return
            self._send(200, "application/json", json.dumps(state).encode())

        def _ours(self) -> bool:
            """False, and refused, if another site's page asks through the user's browser."""
            host = self.headers.get("Host", "")
            origin = self.headers.get("Origin", f"http://{host}")
            local = host.rsplit(":", 1)[0] in ("127.0.0.1", "localhost", "[::1]")
            if local and origin == f"http://{host}":
                return True
            self._send(403, "text/plain", b"only pages of this server may ask")
            return False

        def _send(self, code: int, kind: str, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are nobody's news."""

    return Handler


def _answer(server: TracingServer, parts: list[str]) -> tuple[str, bytes]:
    match parts:
        case [""]:
            page = resources.files("muybridge.studio").joinpath("page", "trace.html")
            return "text/html; charset=utf-8", page.read_bytes()
        case ["state"]:
            return "application/json", json.dumps(server.state()).encode()
        case ["picture", camera, frame]:
            return "image/jpeg", server.picture(_index(server, camera), int(frame))
        case ["points", camera, frame, person]:
            points = server.tracing.points(_index(server, camera), int(frame), int(person))
            return "application/json", json.dumps(points).encode()
    return "text/plain", b""


def _index(server: TracingServer, camera: str) -> str:
    """Cameras go by number in addresses: names may hold anything."""
    names = server.tracing.source.cameras
    number = int(camera)
    if not 0 <= number < len(names):
        raise InputError(f"expected a camera below {len(names)}, got {number}; choose another")
    return names[number]
