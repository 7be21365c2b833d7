"""The ledger beside a journal: where each finished unit stands, so that reopening a run reads no payloads.

The ledger is a convenience: each line has its own checksum, a torn last line is dropped, and from anything worse, or
from a ledger that is missing or behind, the journal itself is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import TYPE_CHECKING
from zlib import crc32

import orjson
from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "Ledger", "ledger_line", "read_ledger"]

_CHECK_BYTES = 9  # eight hexadecimal digits and a space


@frozen(kw_only=True)
class Entry:
    """Where a unit's lines stand (file number, offset and length in bytes, CRC-32 of them), and how it ended."""

    stage: str
    outcome: str
    attempt: int
    file: int
    offset: int
    length: int
    crc: int

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.length

    @property
    def failed(self) -> bool:
        """Whether the unit ended in an error."""
        return self.outcome.startswith("error:")


@frozen(kw_only=True)
class Ledger:
    """What a ledger file says: entries in the order written, how many of its bytes are good, and whether all are."""

    entries: Sequence[tuple[str, Entry]]
    good_bytes: int
    intact: bool


def ledger_line(key: str, entry: Entry) -> bytes:
    """The line of one unit."""
    row = [key, entry.stage, entry.outcome, entry.attempt, entry.file, entry.offset, entry.length, entry.crc]
    body = orjson.dumps(row)
    return b"%08x %b\n" % (crc32(body), body)


def read_ledger(path: Path) -> Ledger:
    """The ledger in the file; a missing one is empty. It is not intact if a line before the last cannot be read."""
    entries: list[tuple[str, Entry]] = []
    good = 0
    if not path.exists():
        return Ledger(entries=entries, good_bytes=0, intact=True)
    with path.open("rb") as file:
        for line in file:
            body = line[_CHECK_BYTES:-1]
            if line[-1:] != b"\n" or line[:_CHECK_BYTES] != b"%08x " % crc32(body):
                return Ledger(entries=entries, good_bytes=good, intact=not file.readline())
            entries.append(_row(body))
            good += len(line)
    return Ledger(entries=entries, good_bytes=good, intact=True)


def _row(body: bytes) -> tuple[str, Entry]:
    key, stage, outcome, attempt, file, offset, length, crc = orjson.loads(body)
    entry = Entry(
        stage=intern(stage),
        outcome=intern(outcome),
        attempt=attempt,
        file=file,
        offset=offset,
        length=length,
        crc=crc,
    )
    return key, entry
