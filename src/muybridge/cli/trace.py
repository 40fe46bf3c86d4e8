"""`muybridge trace`: rotoscoping, joints drawn by hand over the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Trace:
    """Draw or drag 2-D joints over the videos, frame by frame; what is traced is saved at once.

    Over a take, or a session with detections, the traced joints replace the detected ones; capture
    the session again to use them. A session without any is traced from scratch: frames between
    traced ones are interpolated, and `muybridge capture SESSION --keypoints` goes on from there.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """A session's or a take's folder."""
    joints: Literal["coco", "halpe"] = "coco"
    """What to trace from scratch: 17 joints, or 26 with feet."""
    people: int = 1
    """How many people to trace from scratch."""
    port: int = 8090
    """Port of the local server; the next free one if it is taken."""
    browser: bool = True
    """Open the browser at once."""

    def run(self) -> None:
        """Serve the page until Ctrl-C."""
        import webbrowser

        from muybridge.errors import InputError
        from muybridge.studio.tracing import open_tracing
        from muybridge.studio.tracing_server import TracingServer

        if not 1 <= self.people <= 20:
            raise InputError(f"expected 1 to 20 people, got {self.people}; give --people 1")
        server = TracingServer(open_tracing(self.folder, self.joints, self.people), self.port)
        print(f"{self.folder} is traced at {server.address}; end with Ctrl-C", flush=True)
        try:
            if self.browser:
                webbrowser.open(server.address)
            server.wait()
        except KeyboardInterrupt:
            print(f"closed; what was traced is in {server.tracing.source.file}")
        finally:
            server.close()
