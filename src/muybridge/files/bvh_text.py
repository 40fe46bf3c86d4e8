"""The HIERARCHY and MOTION headers of a BVH file: text to a tree of joints and back.

J joints, end sites included. Offsets are in the file's unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from muybridge.errors import InputError
from muybridge.files.bvh_channels import Layout

__all__ = ["Hierarchy", "Motion", "format_hierarchy", "read_hierarchy", "read_motion_header"]

CHANNEL = {
    f"{axis}{kind}": f"{axis.upper()}{kind}" for axis in "xyz" for kind in ("position", "rotation")
}
ADVICE = "mend that line or export the file again"
MOTION_LINE = re.compile(rb"^[ \t]*MOTION[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
MOTION_HEADER = re.compile(
    rb"\s*MOTION\s+Frames\s*:?\s*(\S+)\s+Frame\s+Time\s*:?\s*(\S+)[ \t]*\r?(?:\n|$)", re.IGNORECASE
)


@dataclass
class Hierarchy:
    """The joints of a file in its order; end sites have no channels."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[tuple[float, float, float]] = field(default_factory=list)
    channels: list[tuple[str, ...]] = field(default_factory=list)
    end_sites: list[bool] = field(default_factory=list)

    def add(self, name: str, parent: int, end_site: bool) -> None:
        """Append a joint without offset and channels."""
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append((0.0, 0.0, 0.0))
        self.channels.append(())
        self.end_sites.append(end_site)

    @property
    def layout(self) -> Layout:
        """Channel names of each joint."""
        return tuple(self.channels)


class Motion(NamedTuple):
    """What stands before the numbers."""

    frame_count: int
    fps: float
    start: int  # byte at which the numbers begin


def read_hierarchy(text: bytes) -> tuple[Hierarchy, int]:
    """The tree of joints, and the byte at which the word MOTION stands.

    Raises:
        InputError: If the tree is malformed; the sentence names the line.
    """
    found = MOTION_LINE.search(text)
    if not found:
        raise InputError("expected a line MOTION after the hierarchy, got none; is it a BVH file?")
    lines = _lines(text[: found.start()])
    first = next(lines, (0, ""))[1]
    if first.upper() != "HIERARCHY":
        raise InputError(f"expected HIERARCHY first, got {first[:20]!r}; is it a BVH file?")
    tree, stack = Hierarchy(), [-1]
    opened = True  # whether the joint named last has had its brace
    for number, line in lines:
        if line == "{" and not opened:
            opened = True
            continue
        if not opened or (len(stack) == 1 and not _opens_joint(line)):
            raise InputError(
                f"expected a joint in braces in line {number}, got {line[:20]!r}; {ADVICE}"
            )
        if line == "}":
            stack.pop()
        elif _opens_joint(line):
            _start_joint(tree, stack, line, number)
            opened = False
        else:
            _set_property(tree, stack[-1], line, number)
    if len(stack) > 1 or not opened or not tree.names:
        raise InputError(
            "expected every joint closed by a brace, got an unfinished hierarchy; "
            "the file is cut short: export it again"
        )
    return tree, found.start()


def _lines(text: bytes) -> Iterator[tuple[int, str]]:
    """Line number and content; a brace stands alone."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    for number, line in enumerate(decoded.split("\n"), 1):
        for part in re.split(r"([{}])", line):
            if part.strip():
                yield number, part.strip()


def _opens_joint(line: str) -> bool:
    return line.split()[0].upper() in ("ROOT", "JOINT", "END")


def _start_joint(tree: Hierarchy, stack: list[int], line: str, number: int) -> None:
    keyword, *words = line.split()
    parent, end_site = stack[-1], keyword.upper() == "END"
    if (parent < 0) != (keyword.upper() == "ROOT") or (parent < 0 and tree.names):
        raise InputError(
            f"expected one ROOT with all joints below it, got {line[:30]!r} in line {number}; "
            "split files with several figures"
        )
    if parent >= 0 and tree.end_sites[parent]:
        raise InputError(
            f"expected no joint below an End Site, got {line[:30]!r} in line {number}; {ADVICE}"
        )
    name = _end_name(tree, parent) if end_site else " ".join(words)
    if not name:
        raise InputError(f"expected a name after {keyword} in line {number}, got none; name it")
    stack.append(len(tree.names))
    tree.add(name, parent, end_site)


def _end_name(tree: Hierarchy, parent: int) -> str:
    count = sum(p == parent and end for p, end in zip(tree.parents, tree.end_sites, strict=True))
    return tree.names[parent] + "_end" + (str(count + 1) if count else "")


def _set_property(tree: Hierarchy, joint: int, line: str, number: int) -> None:
    keyword, *words = line.split()
    if keyword.upper() == "OFFSET":
        tree.offsets[joint] = _offset(words, number)
    elif keyword.upper() == "CHANNELS" and not tree.end_sites[joint]:
        tree.channels[joint] = _channels(words, number)
    else:
        raise InputError(
            f"expected OFFSET or CHANNELS in line {number}, got {line[:20]!r}; {ADVICE}"
        )


def _offset(words: list[str], number: int) -> tuple[float, float, float]:
    try:
        x, y, z = (float(word) for word in words)
    except ValueError:
        x = y = z = float("nan")
    if not abs(x) + abs(y) + abs(z) < 1e300:
        raise InputError(
            f"expected OFFSET and three finite numbers in line {number}, got "
            f"{' '.join(words)[:80]!r}; {ADVICE}"
        )
    return x, y, z


def _channels(words: list[str], number: int) -> tuple[str, ...]:
    names = [CHANNEL.get(word.lower(), "") for word in words[1:]]
    if not words or words[0] != str(len(names)) or "" in names or len(set(names)) < len(names):
        raise InputError(
            f"expected CHANNELS, their count and as many different names such as Xrotation in line "
            f"{number}, got {' '.join(words)[:80]!r}; {ADVICE}"
        )
    return tuple(names)


def read_motion_header(text: bytes, start: int) -> Motion:
    """Frame count and frame rate from the lines after MOTION.

    A frame time has few decimals: 0.033333 is meant as 30 frames/s. So the rate is the whole,
    NTSC or hundredth number that is written with the same digits, where there is one.
    """
    found = MOTION_HEADER.match(text, start)
    if not found:
        raise InputError(
            f"expected lines 'Frames: N' and 'Frame Time: S' after MOTION, got others; {ADVICE}"
        )
    frames, frame_time = (group.decode("latin-1") for group in found.groups())
    if not re.fullmatch(r"\d{1,9}", frames) or int(frames) == 0:
        raise InputError(f"expected at least one frame, got 'Frames: {frames[:20]}'; export again")
    try:
        seconds = float(frame_time)
    except ValueError:
        seconds = 0.0
    if not 1e-6 < seconds < 1e6:
        raise InputError(
            f"expected a frame time above 0 seconds, got {frame_time[:20]!r}; write 1 / fps there"
        )
    return Motion(int(frames), _rate(seconds, frame_time), found.end())


def _rate(seconds: float, text: str) -> float:
    mantissa = text.lower().partition("e")[0]
    decimals = len(mantissa.partition(".")[2]) if "e" not in text.lower() else 17
    rate = 1.0 / seconds
    for guess in (round(rate), round(rate * 1.001) * 1000 / 1001, round(rate, 2)):
        if guess > 0.0 and f"{1.0 / guess:.{decimals}f}" == f"{seconds:.{decimals}f}":
            return float(guess)
    return rate


def format_frame_time(fps: float) -> str:
    """Seconds a frame, eight decimals, or as many as it takes to read the same rate back.

    Six, as many programs write, make 60 frames/s 59.9988: 72 milliseconds adrift after an hour.
    """
    for decimals in range(8, 18):
        text = f"{1.0 / fps:.{decimals}f}"
        if float(text) > 0.0 and abs(_rate(float(text), text) - fps) <= 1e-12 * fps:
            return text
    return repr(1.0 / fps)


def format_hierarchy(tree: Hierarchy) -> str:
    """HIERARCHY as text, indented by tabs; ends before the word MOTION."""
    children: list[list[int]] = [[] for _ in tree.names]
    for joint, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(joint)
    lines = ["HIERARCHY"]
    stack: list[tuple[int, int]] = [(0, 0)]  # joint (-1: only a closing brace) and depth
    while stack:
        joint, depth = stack.pop()
        if joint < 0:
            lines.append("\t" * depth + "}")
            continue
        lines.extend("\t" * depth + line for line in _joint_lines(tree, joint))
        stack.append((-1, depth))
        stack.extend((child, depth + 1) for child in reversed(children[joint]))
    return "\n".join(lines) + "\n"


def _joint_lines(tree: Hierarchy, joint: int) -> list[str]:
    keyword = "ROOT" if joint == 0 else "JOINT"
    title = "End Site" if tree.end_sites[joint] else f"{keyword} {tree.names[joint]}"
    offset = " ".join(f"{value + 0.0:.6f}" for value in tree.offsets[joint])
    lines = [title, "{", f"\tOFFSET {offset.replace('-0.000000', '0.000000')}"]
    if not tree.end_sites[joint]:
        channels = tree.channels[joint]
        lines.append(" ".join((f"\tCHANNELS {len(channels)}", *channels)))
    return lines
