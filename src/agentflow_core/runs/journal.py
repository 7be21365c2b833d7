"""Append finished units to a run's journal, many with one fsync, and read them back.

A journal is a directory of files ``0001.jsonl``, ``0002.jsonl``, …; each is written by one process, once. A unit's
lines stand together and count when the line that ends them is there; see `agentflow_core.runs.lines`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from sys import intern
from typing import TYPE_CHECKING, Any
from zlib import crc32

from attrs import frozen

from agentflow_core.errors import RunCorruptError, StorageError
from agentflow_core.records.events import Notice
from agentflow_core.runs.files import storage_error, sync_directory, write_atomic
from agentflow_core.runs.ledger import Entry, ledger_line, read_ledger
from agentflow_core.runs.lines import END, encode, encoded, frame, parse, peeked
from agentflow_core.runs.scan import Damage, scan_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Self

__all__ = ["Batch", "Journal"]

_FILE = re.compile(r"(\d{4,})\.jsonl")
_LEDGER = "ledger"
_READERS = 32  #: files kept open for reading
_sync = getattr(os, "fdatasync", os.fsync)


@frozen(kw_only=True)
class Batch:
    """A finished unit: its encoded records ``(type, data)``, how it ended, and its lines for ``timings.jsonl``."""

    key: str
    id: str
    stage: str
    outcome: str
    attempt: int = 1
    error: Any = None  #: JSON
    records: Sequence[tuple[str, bytes]] = ()
    timings: bytes = b""


class Journal:
    """The journal of one run directory; ``entries`` is every finished unit by key.

    Opening for writing tidies: what a killed process left of an unfinished unit is cut off, the ledger is completed.
    ``append`` may be called from any thread, the rest from one.
    """

    def __init__(
        self, directory: Path, timings: Path, *, writable: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self.directory = directory
        self.entries: dict[str, Entry] = {}
        self.notices: list[Notice] = []
        self.own: int | None = None  #: the number of the file that this process writes
        self._timings = timings
        self._clock = clock
        self._writable = writable
        self._lock = threading.Lock()
        self._descriptors: dict[str, int] = {}
        self._readers: dict[int, Any] = {}
        self._seq = 0
        self._offset = 0
        self._failure: StorageError | None = None
        self._load()

    # ---- opening

    def _files(self) -> dict[int, Path]:
        if not self.directory.is_dir():
            return {}
        found = {int(match[1]): path for path in self.directory.iterdir() if (match := _FILE.fullmatch(path.name))}
        return dict(sorted(found.items()))

    def _load(self) -> None:
        files = self._files()
        sizes = {number: path.stat().st_size for number, path in files.items()}
        path = self.directory / _LEDGER
        ledger = read_ledger(path)
        trusted = ledger.intact and all(entry.end <= sizes.get(entry.file, 0) for _, entry in ledger.entries)
        covered = dict.fromkeys(files, 0)
        if trusted:
            for key, entry in ledger.entries:
                self._admit(key, entry)
                covered[entry.file] = max(covered[entry.file], entry.end)
        else:
            self._tell(f"{path} does not fit the journal and is made again")
        added: list[tuple[str, Entry]] = []
        damages: list[Damage] = []
        for number, file in files.items():
            if sizes[number] > covered[number]:
                scan = scan_file(file, number, covered[number])
                added += scan.entries
                damages += scan.damages
                self._cut(file, scan.end, sizes[number])
        for key, entry in added:
            self._admit(key, entry)
        for damage in damages:
            if damage.unit is None or damage.unit not in self.entries:
                self._tell(f"{damage.message}; the unit is done again")
        if self._writable:
            self._mend_ledger(path, added, ledger.good_bytes, trusted)

    def _admit(self, key: str, entry: Entry) -> None:
        known = self.entries.get(key)
        if known is None or (known.file, known.offset) < (entry.file, entry.offset):
            self.entries[key] = entry

    def _tell(self, message: str) -> None:
        self.notices.append(Notice(message=message))

    def _cut(self, file: Path, end: int, size: int) -> None:
        if end == size:
            return
        self.notices.append(
            Notice(message=f"{file}: dropped {size - end} bytes of a unit that did not finish", level="info")
        )
        if self._writable:
            os.truncate(file, end)

    def _mend_ledger(self, path: Path, added: Sequence[tuple[str, Entry]], good_bytes: int, trusted: bool) -> None:
        if not trusted:
            write_atomic(path, (ledger_line(key, entry) for key, entry in self.entries.items()))
        elif path.exists() and path.stat().st_size > good_bytes:
            os.truncate(path, good_bytes)
        if trusted and added:
            self._write(path, [ledger_line(key, entry) for key, entry in added])

    # ---- writing

    def append(self, batches: Sequence[Batch]) -> None:
        """Write the units and make them durable, all with one fsync.

        Raises:
            StorageError: the disk refuses. None of these units counts; all earlier ones do; no later one is taken.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            try:
                self._append(batches)
            except StorageError as error:
                self._failure = error
                raise

    def _append(self, batches: Sequence[Batch]) -> None:
        descriptor, path = self._own_file()
        units = [self._encoded(batch) for batch in batches]
        try:
            # in one call, since after each one this thread waits for the lock of a busy interpreter
            _write_all(descriptor, b"".join(units))
            _sync(descriptor)
        except OSError as error:
            with suppress(OSError):  # if this fails too, reopening cuts off the same bytes
                os.ftruncate(descriptor, self._offset)
            raise storage_error(path, error) from error
        entries = [(batch.key, self._placed(batch, unit)) for batch, unit in zip(batches, units, strict=True)]
        for key, entry in entries:
            self._admit(key, entry)
        self._write(self.directory / _LEDGER, [ledger_line(key, entry) for key, entry in entries])
        self._write(self._timings, [batch.timings for batch in batches])

    def _encoded(self, batch: Batch) -> bytes:
        ts = self._clock()
        end = {
            "stage": batch.stage,
            "id": batch.id,
            "outcome": batch.outcome,
            "attempt": batch.attempt,
            "records": len(batch.records),
            "error": batch.error,
        }
        lines = []
        for type_, data in (*batch.records, (END, encode(end))):
            lines.append(frame(seq=self._seq, ts=ts, unit=batch.key, type_=type_, data=data))
            self._seq += 1
        return b"".join(lines)

    def _placed(self, batch: Batch, raw: bytes) -> Entry:
        entry = Entry(
            stage=intern(batch.stage),
            outcome=intern(batch.outcome),
            attempt=batch.attempt,
            file=self.own or 0,
            offset=self._offset,
            length=len(raw),
            crc=crc32(raw),
        )
        self._offset += len(raw)
        return entry

    def _own_file(self) -> tuple[int, Path]:
        if self.own is None:
            number = max(self._files(), default=0) + 1
            path = self.directory / f"{number:04}.jsonl"
            self._descriptor(path, os.O_EXCL)
            sync_directory(self.directory)
            self.own = number
        path = self.directory / f"{self.own:04}.jsonl"
        return self._descriptor(path), path

    def _descriptor(self, path: Path, flags: int = 0) -> int:
        if path.name not in self._descriptors:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                opened = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | flags, 0o644
                )
            except OSError as error:
                raise storage_error(path, error) from error
            self._descriptors[path.name] = opened
        return self._descriptors[path.name]

    def _write(self, path: Path, lines: Iterable[bytes]) -> None:
        raw = b"".join(lines)
        if not raw:
            return
        try:
            _write_all(self._descriptor(path), raw)
        except OSError as error:
            raise storage_error(path, error) from error

    # ---- reading

    def read(self, key: str) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
        """The records of a finished unit, and how it ended.

        Raises:
            RunCorruptError: they are not what was written; the unit is done again when the run is resumed.
        """
        *lines, last = self._raw(self.entries[key]).splitlines(keepends=True)
        records = [(about.type, parse(line, about)) for line in lines if (about := peeked(line))]
        return records, parse(last, peeked(last))

    def batch(self, key: str) -> Batch:
        """A finished unit as it was appended, its data still encoded, to be appended elsewhere."""
        entry = self.entries[key]
        *lines, last = self._raw(entry).splitlines(keepends=True)
        end = parse(last, peeked(last))
        return Batch(
            key=key,
            id=end["id"],
            stage=entry.stage,
            outcome=entry.outcome,
            attempt=entry.attempt,
            error=end["error"],
            records=[(about.type, encoded(line, about)) for line in lines if (about := peeked(line))],
        )

    def _raw(self, entry: Entry) -> bytes:
        if entry.file not in self._readers:
            if len(self._readers) == _READERS:
                self._readers.pop(next(iter(self._readers))).close()
            self._readers[entry.file] = (self.directory / f"{entry.file:04}.jsonl").open("rb", buffering=0)
        reader = self._readers[entry.file]
        reader.seek(entry.offset)
        raw: bytes = reader.read(entry.length)
        if crc32(raw) != entry.crc:
            raise self._corrupt(entry)
        return raw

    def _corrupt(self, entry: Entry) -> RunCorruptError:
        path = self.directory / f"{entry.file:04}.jsonl"
        return RunCorruptError(
            f"{path}: the unit at byte {entry.offset} does not match its checksum",
            hint="start the same command again: the unit is then done again",
        )

    def drop_damaged(self, keys: Iterable[str]) -> list[Notice]:
        """Forget those of the units whose lines are no longer what was written, and say so."""
        notices = []
        others = [(entry.file, entry.offset, key) for key in keys if (entry := self.entries[key]).file != self.own]
        for _, _, key in sorted(others):
            try:
                self._raw(self.entries[key])
            except RunCorruptError as error:
                del self.entries[key]
                notices.append(Notice(message=f"{error.message}; the unit is done again"))
        return notices

    def close(self) -> None:
        """Close every file."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        for reader in self._readers.values():
            reader.close()
        self._descriptors.clear()
        self._readers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_all(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]
