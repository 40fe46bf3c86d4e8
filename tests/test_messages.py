"""Every sentence to the user says what was expected, what came, and what to do.

The source is read, not run: each `raise InputError(...)` is found, and its text put together from
literals, f-strings, the module's constants, and helpers that only return such a text.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "muybridge"
FILES = sorted(SOURCE.rglob("*.py"))
VALUE = "<value>"  # stands for what is only known at run time
OTHERS = {"no-deps", "no-browser", "nproc-per-node"}  # of pip; tyro's negation of a flag; torchrun
OPTIONS = ("language/model_options.py", "train/options.py")  # of commands, outside their room
SAYS_WHAT_CAME = (" got ", " found ")


def _helpers(tree: ast.Module) -> dict[str, ast.expr]:
    """What a name stands for: constants, and the returned text of functions of one return."""
    meanings: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            meanings[node.targets[0].id] = node.value
        elif isinstance(node, ast.FunctionDef):
            returns = [n for n in ast.walk(node) if isinstance(n, ast.Return)]
            if len(returns) == 1 and returns[0].value is not None:
                meanings[node.name] = returns[0].value
    return meanings


def _text(node: ast.expr, meanings: dict[str, ast.expr]) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, meanings) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) | ast.Call(func=ast.Name(id=name)):
            return _text(meanings[name], meanings) if name in meanings else VALUE
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, meanings) + _text(right, meanings)
    return VALUE


def _messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    meanings = _helpers(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="InputError"), args=[message]):
                yield node.lineno, _text(message, meanings)


def _faults(message: str) -> list[str]:
    if not message.replace(VALUE, "").strip(" :"):
        return []  # known at run time only: a reader puts the path before its parser's sentence
    sentence, _, advice = message.removeprefix(f"{VALUE}: ").partition("; ")
    faults = [] if sentence.startswith("expected ") else ["does not begin with 'expected'"]
    if not any(word in f"{sentence} " for word in SAYS_WHAT_CAME):
        faults.append("does not say what it got or found")
    if not advice.strip():
        faults.append("does not say after '; ' what to do")
    return faults


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_errors_say_what_was_expected_what_came_and_what_to_do(path: Path) -> None:
    wrong = [
        f"line {line}: {', '.join(faults)}: {message}"
        for line, message in _messages(ast.parse(path.read_text()))
        if (faults := _faults(message))
    ]
    assert not wrong, "\n".join(wrong)


def test_options_that_are_advised_exist() -> None:
    """A sentence such as "give --grid 2x2" must name an option of some command."""
    known = {"help", "version"}
    for path in (*(SOURCE / "cli").glob("*.py"), *(SOURCE / name for name in OPTIONS)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                known.add(node.target.id.replace("_", "-"))
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                advised = re.findall(r"(?<![\w(-])--([a-z][a-z-]+)\b(?!:)", node.value)
                unknown = set(advised) - known - OTHERS
                wrong += [f"{path.name} line {node.lineno}: --{name}" for name in unknown]
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_what_it_should() -> None:
    assert sum(len(list(_messages(ast.parse(p.read_text())))) for p in FILES) > 150
    bad = ast.parse('raise InputError(f"no {x}")\nraise InputError("expected a, got b")')
    assert [len(_faults(message)) for _, message in _messages(bad)] == [3, 1]
    good = ast.parse('def say():\n    return f"expected {x}, got y; do z"\nraise InputError(say())')
    assert [_faults(message) for _, message in _messages(good)] == [[]]
