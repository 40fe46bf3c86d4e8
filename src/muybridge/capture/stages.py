"""Stages that remember: each leaves its artefacts and is redone only when what it read has changed.

A stage's key is a hash of its name, the package's source, its options and the content of its
inputs. The key and the hashes of its outputs are written after the outputs, so a run that was
killed half-way is simply not remembered; an output that was changed or removed by hand makes its
stage run again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from muybridge.atomic import write_text

__all__ = ["Outcome", "Workshop", "content_hash"]

CHUNK_BYTES = 1 << 22
State = Literal["done", "kept"]


def content_hash(path: Path) -> str:
    """Hash of a file's bytes, or of all names and bytes below a folder."""
    digest = hashlib.blake2b(digest_size=20)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: "done" anew or "kept" from before, and its wall time when it was done."""

    stage: str
    state: State
    seconds: float
    reason: str


@dataclass
class Workshop:
    """The out folder of one take and what its stages remember.

    Attributes:
        folder: Where the artefacts lie; records are in `work/stages/`.
        outcomes: Every stage asked for so far.
    """

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list)
    hashes: dict[tuple[str, int, int], str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Folder of the intermediate artefacts."""
        return self.folder / "work"

    def run(
        self,
        stage: str,
        inputs: Iterable[Path],
        options: object,
        outputs: Sequence[Path],
        job: Callable[[], None],
    ) -> Outcome:
        """Run `job` unless its outputs are already those of the same inputs and options.

        Args:
            stage: Name; also the name of its record.
            inputs: Files or folders whose content the job reads.
            options: Dataclass or plain value that changes the result.
            outputs: Files the job writes.
            job: Writes all outputs, each atomically.
        """
        key = self._key(stage, inputs, options)
        record = self._read_record(stage)
        reason = self._why_stale(key, record, outputs)
        if reason is None:
            seconds = record.get("seconds")
            before = float(seconds) if isinstance(seconds, (int, float)) else 0.0
            outcome = Outcome(stage, "kept", before, "nothing changed")
        else:
            self._record_path(stage).unlink(missing_ok=True)
            started = time.perf_counter()
            job()
            elapsed = time.perf_counter() - started
            missing = [str(path) for path in outputs if not path.exists()]
            assert not missing, f"stage {stage} did not write {missing}"
            self._write_record(stage, key, outputs, elapsed)
            outcome = Outcome(stage, "done", elapsed, reason)
        self.outcomes.append(outcome)
        return outcome

    def _record_path(self, stage: str) -> Path:
        return self.work / "stages" / f"{stage}.json"

    def _read_record(self, stage: str) -> dict[str, object]:
        path = self._record_path(stage)
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _write_record(self, stage: str, key: str, outputs: Sequence[Path], seconds: float) -> None:
        record = {
            "key": key,
            "outputs": {self._relative(path): self.hash(path) for path in outputs},
            "seconds": seconds,
        }
        path = self._record_path(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(record, indent=1))

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _key(self, stage: str, inputs: Iterable[Path], options: object) -> str:
        facts = [stage, _code(), _plain(options), [self.hash(path) for path in inputs]]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]

    def hash(self, path: Path) -> str:
        """`content_hash`, computed once per size and time stamp of a file in this run."""
        if path.is_dir():
            return content_hash(path)
        status = path.stat()
        stamp = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        if stamp not in self.hashes:
            self.hashes[stamp] = content_hash(path)
        return self.hashes[stamp]

    def _why_stale(
        self, key: str, record: Mapping[str, object], outputs: Sequence[Path]
    ) -> str | None:
        if not record:
            return "it has not run yet"
        if record.get("key") != key:
            return "its input or options changed"
        written = record.get("outputs")
        if not isinstance(written, dict):
            return "its record is unreadable"
        for path in outputs:
            if not path.exists():
                return f"{self._relative(path)} is missing"
            if written.get(self._relative(path)) != self.hash(path):
                return f"{self._relative(path)} was changed by hand"
        return None


@functools.cache
def _code() -> str:
    """Hash of the package's own source: what another version made is not trusted."""
    package = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=20)
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _plain(value: object) -> object:
    """A value as JSON can hold it; raises TypeError for what has no stable form."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {"_type": type(value).__name__} | {name: _plain(item) for name, item in pairs}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no stable form for {type(value).__name__}")
