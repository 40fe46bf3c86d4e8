"""The command `muybridge`: parse, run one verb, and turn a user's mistake into one sentence.

The parser knows the verbs' dataclasses only; torch and its friends are imported by a verb's `run`.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from muybridge import __version__
from muybridge.cli.calibrate import Calibrate
from muybridge.cli.capture import Capture
from muybridge.cli.convert import Convert
from muybridge.cli.crop import Crop
from muybridge.cli.demo import Demo
from muybridge.cli.detect import Detect
from muybridge.cli.inspect import Inspect
from muybridge.cli.reconstruct import Reconstruct
from muybridge.cli.solve import Solve
from muybridge.cli.view import View
from muybridge.errors import InputError

__all__ = ["main"]

verb = tyro.conf.subcommand
Command = (
    Annotated[Capture, verb("capture")]
    | Annotated[Inspect, verb("inspect")]
    | Annotated[Crop, verb("crop")]
    | Annotated[Calibrate, verb("calibrate")]
    | Annotated[Detect, verb("detect")]
    | Annotated[Reconstruct, verb("reconstruct")]
    | Annotated[Solve, verb("solve")]
    | Annotated[Convert, verb("convert")]
    | Annotated[View, verb("view")]
    | Annotated[Demo, verb("demo")]
)

USER_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit: 0 when done, 2 with one sentence when the input cannot be used."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["version"]):
        print(f"muybridge {__version__}")
        return
    command = tyro.cli(
        Command,
        prog="muybridge",
        description="From cameras, to motion, to language: ordinary cameras in, animation out.",
        args=words,
    )
    try:
        command.run()
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted: what was finished is kept; run the same command again to go on")
    except OSError as error:
        _fail(_from_system(error))


def _from_system(error: OSError) -> str:
    place = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"expected room on the disk{place}, it is full; free some and run the same again"
    return (
        f"expected to read or write{place}, the system refused ({error.strerror or error}); "
        "check the path and its permissions"
    )


def _fail(sentence: str) -> None:
    print(f"muybridge: {sentence}", file=sys.stderr)
    raise SystemExit(USER_ERROR)


if __name__ == "__main__":
    main()
