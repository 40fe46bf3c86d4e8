"""A room imports only the rooms below it, and heavy optional packages stay out of `__init__`."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "muybridge"
FLOORS = {
    "errors": 0, "atomic": 1, "lock": 1, "geometry": 1, "nn": 2, "train": 3, "motion": 4,
    "files": 5, "pose": 6,
    "capture": 7, "edit": 7, "action": 7, "language": 7,
    "generate": 8, "recipes": 9, "studio": 10, "cli": 11, "__main__": 12,
}  # fmt: skip
EXTRAS = {"viser", "onnx", "onnxruntime", "matplotlib", "pytest", "hypothesis", "beartype"}
NEED_EXTRAS = {
    "studio.editor": {"viser"}, "studio.stage": {"viser"}, "studio.motion_editor": {"viser"},
    "studio.ladder_plot": {"matplotlib"},
}  # fmt: skip
HEAVY = {"cv2", "av", "viser", "ezc3d", "matplotlib", "onnxruntime", "scipy", "torch"}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "absolute imports only"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_room_imports_only_lower_rooms(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    for name in _imports(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "muybridge" or len(parts) < 2 or parts[1] not in FLOORS:
            continue
        lower = FLOORS[parts[1]] < FLOORS[room]
        assert lower or parts[1] == room, f"{room} may not import {name}"


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("__init__.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_package_roots_stay_light(path: Path) -> None:
    found = {name.split(".")[0] for name in _imports(ast.parse(path.read_text()))} & HEAVY
    assert not found, f"{path} imports {found}"


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {}
    modules = {
        ".".join(("muybridge", *p.relative_to(SOURCE).with_suffix("").parts)): p
        for p in SOURCE.rglob("*.py")
        if p.name != "__init__.py"
    }
    for module, path in modules.items():
        graph[module] = {n for n in _imports(ast.parse(path.read_text())) if n in modules}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle {' -> '.join((*trail, module))}"
        if module not in done:
            for other in graph[module]:
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, muybridge; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)


def _outer_imports(path: Path) -> Iterator[str]:
    """What importing the file imports: not what its functions do, nor what only types need."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node)


def test_the_package_imports_without_its_extras() -> None:
    """`pip install muybridge` is enough for every module but the studio's own."""

    @cache
    def needed(name: str) -> frozenset[str]:
        path = (SOURCE.parent / name.replace(".", "/")).with_suffix(".py")
        if not path.is_file():
            return frozenset({name.split(".")[0]} & EXTRAS)
        return frozenset().union(*map(needed, _outer_imports(path)))

    found = {}
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        if extras := needed(f"muybridge.{module}"):
            found[module] = extras
    assert found == NEED_EXTRAS
