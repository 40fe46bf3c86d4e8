"""`muybridge view`: the studio in the browser, for a take or a motion file."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from muybridge.errors import InputError
from muybridge.studio.exhibit import open_exhibit

__all__ = ["view"]


def view(path: Path, port: int = 8080, open_browser: bool = True) -> None:
    """Show a take's folder or a .bvh, .glb, .c3d or .trc file until Ctrl-C.

    Args:
        path: What to look at; corrections are written into a take's folder.
        port: Of the local server; the next free one if it is taken.
        open_browser: Open a page at once.
    Raises:
        InputError: If viser is not installed, or there is nothing to show at the path.
    """
    try:
        from muybridge.studio.editor import edited_studio
    except ModuleNotFoundError as error:
        if error.name != "viser":
            raise
        raise InputError(
            "expected the package viser for the studio, found none; "
            'install it with `pip install "muybridge[studio]"`'
        ) from error
    studio = edited_studio(open_exhibit(path), port)
    address = f"http://127.0.0.1:{studio.port}"
    print(f"{path} is shown at {address}; end with Ctrl-C")
    try:
        if open_browser:
            webbrowser.open(address)
        studio.server.sleep_forever()
    except KeyboardInterrupt:
        print("closed")
    finally:
        studio.close()
