"""The command itself: quick help, the version, codes of exit."""

import subprocess
import sys

import pytest

from muybridge import __version__
from muybridge.cli.main import main

HEAVY = ("torch", "cv2", "av", "scipy", "viser", "onnxruntime", "jaxtyping")


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    """Figures of time say little on a busy machine; what is imported decides them."""
    code = (
        "import sys\n"
        "from muybridge.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('loaded:', *({set(HEAVY)!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    verbs = "capture inspect crop calibrate detect reconstruct solve convert view demo"
    assert set(verbs.split()) <= set(run.stdout.replace("•", " ").split())
    assert run.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("words", [["--version"], ["version"]])
def test_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)
    assert capsys.readouterr().out == f"muybridge {__version__}\n"


@pytest.mark.parametrize("words", [[], ["dance"], ["convert", "one.bvh"], ["capture", "--fps"]])
def test_words_that_make_no_command_exit_with_two(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


def test_a_mistake_exits_with_two_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["convert", "none.bvh", "out.glb"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("muybridge: expected")
    assert said.count("\n") == 1
