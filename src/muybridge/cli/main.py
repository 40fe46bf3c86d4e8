"""The command `muybridge`: parse, run one verb, and turn a user's mistake into one sentence.

The parser knows the verbs' dataclasses only; torch and its friends are imported by a verb's `run`.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, NoReturn

import tyro

from muybridge import __version__
from muybridge.cli.calibrate import Calibrate
from muybridge.cli.capture import Capture
from muybridge.cli.convert import Convert
from muybridge.cli.crop import Crop
from muybridge.cli.demo import Demo
from muybridge.cli.detect import Detect
from muybridge.cli.edit import Edit
from muybridge.cli.graph import Graph
from muybridge.cli.inspect import Inspect
from muybridge.cli.lm import Lm
from muybridge.cli.match import Match
from muybridge.cli.pose import Pose
from muybridge.cli.reconstruct import Reconstruct
from muybridge.cli.solve import Solve
from muybridge.cli.text import Text
from muybridge.cli.trace import Trace
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
    | Annotated[Edit, verb("edit")]
    | Annotated[Pose, verb("pose")]
    | Annotated[Graph, verb("graph")]
    | Annotated[Match, verb("match")]
    | Annotated[View, verb("view")]
    | Annotated[Trace, verb("trace")]
    | Annotated[Demo, verb("demo")]
    | Annotated[Lm, verb("lm")]
    | Annotated[Text, verb("text")]
)

OUR_ERROR = 1
USER_ERROR = 2
DEBUG = "MUYBRIDGE_DEBUG"  # set to anything: a defect of ours is raised with its traceback
ENDINGS = ("SIGTERM", "SIGHUP")  # treated like Ctrl-C; Windows has not both


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit.

    Exit code 0 when done; 2 with one sentence when the input cannot be used, or on Ctrl-C or a
    signal to end; 1 with one sentence, and a file to send to us, when muybridge itself is wrong.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["version"]):
        print(f"muybridge {__version__}")
        return
    _print_anything()
    try:
        with _ended_like_interrupted():
            _run(words)
            sys.stdout.flush()
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _deaf_to_interrupts()
        _fail("interrupted: what was finished is kept; run the same command again to go on")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python's last flush would complain
        _fail("expected somewhere to print to, got a closed pipe; run it again without the pipe")
    except OSError as error:
        _fail(_from_system(error))
    except Exception as error:
        if _out_of_memory(error):
            _fail(
                "expected enough memory, got none from the system; close other programs, or cut "
                "the take into shorter ones"
            )
        if os.environ.get(DEBUG):
            raise
        _fail(_defect(error, words), OUR_ERROR)


def _run(words: Sequence[str]) -> None:
    command = tyro.cli(
        Command,
        prog="muybridge",
        description="From cameras, to motion, to language: ordinary cameras in, animation out.",
        args=words,
    )
    command.run()


def _print_anything() -> None:
    """Characters that the terminal cannot show are written as escapes instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """Signals that would kill us at once end us like Ctrl-C, so that we can tidy up.

    One that the caller has told us to ignore (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ENDINGS if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _deaf_to_interrupts() -> None:
    """We are ending: a second Ctrl-C would add nothing but a traceback."""
    for name in ("SIGINT", *ENDINGS):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _from_system(error: OSError) -> str:
    place = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"expected room on the disk{place}, got none: it is full; free some and run the same "
            "again"
        )
    return (
        f"expected to read or write{place}, got refused by the system ({error.strerror or error}); "
        "check the path and its permissions"
    )


def _out_of_memory(error: Exception) -> bool:
    """True for Python's, and for the sentences in which torch and OpenCV say the same."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or "allocate memory" in said or "insufficient mem" in said


def _defect(error: Exception, words: Sequence[str]) -> str:
    """One sentence, and everything we need to know in a file."""
    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    with tempfile.NamedTemporaryFile(
        "w",
        encoding="utf-8",
        errors="backslashreplace",
        prefix="muybridge-crash-",
        suffix=".txt",
        delete=False,
    ) as file:
        file.write(f"muybridge {__version__}, Python {sys.version}\n{list(words)}\n\n")
        traceback.print_exception(error, file=file)
    return (
        f"this is a defect of muybridge, not of your input ({what}); please report it with the "
        f"file {file.name}; what was finished is kept"
    )


def _fail(sentence: str, code: int = USER_ERROR) -> NoReturn:
    print(f"muybridge: {' '.join(sentence.split())}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
