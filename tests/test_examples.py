"""Every example runs and says what the docs promise."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from muybridge.capture.pipeline import CaptureOptions, capture
from muybridge.capture.session import open_session
from tests.language.texts import made_text
from tests.sessions import make_session

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small session and its captured take."""
    folder = tmp_path_factory.mktemp("example")
    make_session(folder / "session", 20)
    capture(open_session(folder / "session"), folder / "take", CaptureOptions(fps=30.0))
    return folder


def _run(name: str, *arguments: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return run.stdout


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?", text)]


def test_triangulate() -> None:
    assert "from 4 views" in _run("triangulate.py")


def test_read_bvh(walk: Path, tmp_path: Path) -> None:
    said = _run("read_bvh.py", walk / "take" / "take.bvh", tmp_path / "walk.glb")
    assert "20 frames at 30.00 Hz" in said
    assert "Head" in said
    assert (tmp_path / "walk.glb").stat().st_size > 10_000


def test_solve_markers(walk: Path, tmp_path: Path) -> None:
    said = _run("solve_markers.py", walk / "take" / "take.trc", tmp_path / "walk.bvh")
    assert "typical uncertainty" in said
    assert (tmp_path / "walk.bvh").read_text().startswith("HIERARCHY")


def test_capture_session(walk: Path, tmp_path: Path) -> None:
    said = _run("capture_session.py", walk / "session", tmp_path / "take")
    assert "person1: 20 frames" in said


def test_vanishing_gradient(tmp_path: Path) -> None:
    lines = _run("vanishing_gradient.py", tmp_path).splitlines()
    right = {line[:20].strip(): float(line.split()[-1].rstrip("%")) for line in lines}
    assert right["LSTM, forget bias 3"] > 90 > 50 > right["RNN"]
    assert (tmp_path / "vanishing_gradient.png").stat().st_size > 10_000


def test_cubic_fit(here: Callable[..., str], tmp_path: Path) -> None:
    lines = here("cubic_fit.py", tmp_path).splitlines()
    assert len(lines) == 8
    assert all(_numbers(line)[-2] < 1e-4 for line in lines)
    assert (tmp_path / "cubic_fit.png").stat().st_size > 10_000


def test_adam_and_adamw(here: Callable[..., str], tmp_path: Path) -> None:
    found = [_numbers(line) for line in here("adam_and_adamw.py", tmp_path).splitlines()]
    for size, decoupled, _, coupled in found:  # the third is the 2 of "L2"
        assert decoupled == pytest.approx(found[0][1], rel=1e-3)
        assert coupled * size == pytest.approx(found[0][3], rel=0.05)
    assert (tmp_path / "adam_and_adamw.png").stat().st_size > 10_000


def test_stochastic_approximation(here: Callable[..., str], tmp_path: Path) -> None:
    lines = here("stochastic_approximation.py", tmp_path).splitlines()
    harmonic, constant, squares = (_numbers(line.split("RMSE")[1])[0] for line in lines[:3])
    assert harmonic < 0.012 < 0.1 < constant < 0.2 < squares
    jitter = [_numbers(line.split(":")[1])[0] for line in lines[3:]]
    assert jitter == sorted(jitter, reverse=True)
    assert (tmp_path / "stochastic_approximation.png").stat().st_size > 10_000


def test_activations(here: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text(made_text(1500, 30))
    lines = here("activations.py", tmp_path, tmp_path / "text").splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    assert float(table["sigmoid"][0]) < 1e-15 < 0.1 < float(table["tanh"][0])
    assert float(table["leaky_relu"][1]) == 0 < 0.3 < float(table["relu"][1])
    assert float(table["silu"][2]) > float(table["threshold"][2]) + 0.05
    for name in ("activation_shapes.png", "activations.png"):
        assert 10_000 < (tmp_path / name).stat().st_size < 120_000


def test_perceptron(here: Callable[..., str], tmp_path: Path) -> None:
    lines = here("perceptron.py", tmp_path).splitlines()
    for _, made, most in map(_numbers, lines[:6]):
        assert 0 < made <= most
    assert lines[-1] == "xor: learned never"
    assert "never" not in lines[-2] + lines[-3]
    assert (tmp_path / "perceptron.png").stat().st_size > 10_000


def test_balance(here: Callable[..., str], tmp_path: Path) -> None:
    free, first, last = (
        float(line.split("MaxVio ")[-1].split(": ")[-1].split()[0])
        for line in here("balance.py", tmp_path).splitlines()
    )
    assert last < 0.3 < 5 < first < free
    assert (tmp_path / "balance.png").stat().st_size > 10_000


def test_needle(here: Callable[..., str], tmp_path: Path) -> None:
    rows = {
        line[:12].strip(): _numbers(line[12:]) for line in here("needle.py", tmp_path).splitlines()
    }
    assert rows["length"] == [32, 64, 128, 256, 512]
    assert rows["scaled by 16"][-1] > 0.9 > 0.3 > rows["not scaled"][-1]
    assert (tmp_path / "needle.png").stat().st_size > 10_000


def test_routing(here: Callable[..., str], tmp_path: Path) -> None:
    lines = here("routing.py", tmp_path).splitlines()
    alone, switch, gshard, bias, choice = (_numbers(line.split("expert:")[1])[0] for line in lines)
    assert choice == 0.25
    assert max(switch, gshard, bias) < 0.5 < 0.8 < alone
    assert (tmp_path / "routing.png").stat().st_size > 10_000


def test_sorting(here: Callable[..., str]) -> None:
    assert "256 of 256 new texts" in here("sorting.py")


def test_analogy(here: Callable[..., str]) -> None:
    untrained, trained = here("analogy.py").splitlines()
    assert _numbers(untrained.split("least of 12 nouns")[1])[0] < 0
    assert _numbers(trained.split("least of 12 nouns")[1])[0] > 0.5


def test_large_vocabulary() -> None:
    text = EXAMPLES.parents[1] / "shared/data/text/tinyshakespeare.txt"
    if not text.exists():
        pytest.skip("no text in ../shared/data/text")
    lines = _run("large_vocabulary.py", text).splitlines()[1:]
    full, classes, sample = (float(line.split(" ms ")[0].split()[-1]) for line in lines)
    assert classes < full / 2
    assert sample < full / 2
    assert all(float(line.split()[-4]) < 9.5 for line in lines), "a uniform guess is 10.2"


def test_tokens_per_character(here: Callable[..., str], tmp_path: Path) -> None:
    """Without texts of its own; the larger vocabulary of each kind needs fewer tokens."""
    rows = [_numbers(row)[-3:] for row in here("tokens_per_character.py", tmp_path).splitlines()]
    for kind in (rows[1:4], rows[4:7]):
        for language in (1, 2):
            assert kind[0][language] > kind[1][language] > kind[2][language]
    assert (tmp_path / "tokens_per_character.png").stat().st_size > 10_000


def test_packing(here: Callable[..., str], tmp_path: Path) -> None:
    lines = here("packing.py", tmp_path).splitlines()
    padded, in_order, pooled, best = (_numbers(line)[-1] for line in lines[:4])
    assert padded < in_order < pooled < best
    separate, packed, mixed = _numbers(lines[4].split("one by one")[1])
    assert packed == pytest.approx(separate, rel=1e-6)
    assert abs(mixed / separate - 1) > 1e-4
    assert (tmp_path / "packing.png").stat().st_size > 10_000


def _steps(said: str) -> list[float]:
    return [float(line.split("loss")[1]) for line in said.splitlines() if line.startswith("step")]


def test_data_parallel_alone(here: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text(made_text(1500))
    first = _steps(here("data_parallel.py", tmp_path, tmp_path / "text"))
    second = _steps(here("data_parallel.py", tmp_path, tmp_path / "text"))
    assert len(first) == len(second) == 15
    assert first[-1] < 0.8 * first[0]
    assert second[0] < first[-1] + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_data_parallel_by_two_and_then_alone(
    here: Callable[..., str], tmp_path: Path, sharded: bool
) -> None:
    text = tmp_path / "text"
    text.write_text(made_text(1500))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    launch += [str(EXAMPLES / "data_parallel.py"), str(tmp_path), str(text)]
    run = subprocess.run(
        [*launch, *["--sharded"] * sharded],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    by_two = _steps(run.stdout) + _steps(here("data_parallel.py", tmp_path, text))
    (tmp_path / "alone").mkdir()
    alone = [x for _ in "ab" for x in _steps(here("data_parallel.py", tmp_path / "alone", text))]
    assert by_two == pytest.approx(alone, abs=1e-3)


def test_chinese_llama(here: Callable[..., str], tmp_path: Path) -> None:
    """Without texts of its own: pieces merged in need fewer bits a character."""
    first, *rows = here("chinese_llama.py", tmp_path).splitlines()
    before, after = _numbers(first)[-2:]
    assert after < before / 2
    old, drawn, mean = (_numbers(row.split(":")[1]) for row in rows)
    assert len(old) == 5
    assert max(drawn[-1], mean[-1]) < old[-1]
    assert mean[-1] < mean[0]
    assert (tmp_path / "chinese_llama.png").stat().st_size > 10_000


def test_every_example_has_a_test() -> None:
    tests = [path.read_text() for path in Path(__file__).parent.glob("test_examples*.py")]
    assert all(path.name in "".join(tests) for path in EXAMPLES.glob("*.py"))
