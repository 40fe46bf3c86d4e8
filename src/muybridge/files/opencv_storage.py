"""OpenCV's FileStorage files, YAML or XML, as plain numbers.

OpenCV's own reader is not used: a damaged file ends the whole process in it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from muybridge.errors import InputError

__all__ = ["Values", "read_storage", "shown"]

Values = dict[str, np.ndarray]
YAML_MATRIX = re.compile(
    r"^(\w+): *!!opencv-matrix\s+rows: *(\d+)\s+cols: *(\d+)\s+dt: *\S+\s+data: *\[([^\]]*)\]", re.M
)
YAML_SEQUENCE = re.compile(r"^(\w+): *\[?([-+.\d][-+.\deE, \n]*)\]? *$", re.M)


def shown(value: Any) -> str:
    """A wrong value, short and on one line."""
    return repr(" ".join(str(value).split())[:60])


def read_storage(text: str, path: Path) -> Values:
    """Top-level numbers, sequences and matrices of a FileStorage file; the rest is left out.

    Args:
        text: Content of the file.
        path: Where it came from, for messages.
    Raises:
        InputError: If the XML is broken, or a matrix does not hold rows x cols numbers.
    """
    if text.lstrip().startswith("<"):
        return _xml_values(text, path)
    values = {}
    for key, rows, cols, data in YAML_MATRIX.findall(text):
        values[key] = _numbers(key, f"{rows} {cols}", data.replace(",", " "), path)
    for key, data in YAML_SEQUENCE.findall(text):
        values[key] = _numbers(key, "", data.replace(",", " "), path)
    return values


def _xml_values(text: str, path: Path) -> Values:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(
            f"expected OpenCV's XML in {path}, got {error}; export it again"
        ) from error
    values = {}
    for node in root:
        if node.get("type_id") == "opencv-matrix":
            shape = f"{node.findtext('rows')} {node.findtext('cols')}"
            values[node.tag] = _numbers(node.tag, shape, node.findtext("data") or "", path)
        elif re.fullmatch(r"[-+.\deE\s]+", node.text or ""):
            values[node.tag] = _numbers(node.tag, "", node.text or "", path)
    return values


def _numbers(key: str, shape: str, data: str, path: Path) -> np.ndarray:
    try:
        numbers = np.array([float(word) for word in data.split()])
        return numbers.reshape([int(n) for n in shape.split()] or -1)
    except ValueError as error:
        raise InputError(
            f"expected {shape.replace(' ', ' x ') or 'finite'} numbers as {key} in {path}, got "
            f"{shown(data)}; export it again"
        ) from error
