"""`muybridge view`: look at a take or a motion file in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class View:
    """Open a take's folder, or a .bvh, .glb, .npz, .fbx, .c3d or .trc file, in the studio."""

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """A take's folder, or a motion file: joints can be dragged and keys moved."""
    port: int = 8080
    """Port of the local server."""
    browser: bool = True
    """Open the browser at once."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        from muybridge.studio.viewer import view

        view(self.path, port=self.port, open_browser=self.browser)
