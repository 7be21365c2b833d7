"""Find the finished units of a journal file by reading it: the way back when the ledger cannot help."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import TYPE_CHECKING, Any
from zlib import crc32

from attrs import field, frozen

from agentflow_core.runs.ledger import Entry
from agentflow_core.runs.lines import END, Line, is_sound, parse, peek

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Damage", "Scan", "scan_file"]


@frozen(kw_only=True)
class Damage:
    """A unit that cannot be used, or a line that belongs to none; ``unit`` is its key where it is known."""

    message: str
    unit: str | None = None


@frozen(kw_only=True)
class Scan:
    """What a file holds from some offset on; what follows ``end`` belongs to no finished unit."""

    end: int
    entries: Sequence[tuple[str, Entry]] = ()
    damages: Sequence[Damage] = ()


@frozen
class _Open:
    """The lines of the unit that has not ended yet, by sequence number."""

    offsets: dict[int, int] = field(factory=dict)
    units: set[str] = field(factory=set)


def scan_file(path: Path, number: int, start: int = 0) -> Scan:
    """Read the lines from ``start``; a unit counts when all its lines and the one that ends it are sound."""
    entries: list[tuple[str, Entry]] = []
    damages: list[Damage] = []
    end = offset = start
    open_ = _Open()
    with path.open("rb") as file:
        file.seek(start)
        while line := file.readline():
            at, offset = offset, offset + len(line)
            about = peek(line) if is_sound(line) else None
            if about is None:
                if line.endswith(b"\n"):
                    damages.append(_bad_line(path, at, open_))
                continue
            if about.type != END:
                open_.offsets[about.seq] = at
                open_.units.add(about.unit)
                continue
            entry = _entry(file, line, about, at, number, open_)
            file.seek(offset)
            if entry is None:
                damages.append(Damage(message=f"{path}: a unit before byte {at} lacks lines", unit=about.unit))
            else:
                entries.append((about.unit, entry))
            end = offset
            open_ = _Open()
    return Scan(end=end, entries=entries, damages=damages)


def _bad_line(path: Path, at: int, open_: _Open) -> Damage:
    unit = next(iter(open_.units)) if len(open_.units) == 1 else None
    return Damage(message=f"{path}: the line at byte {at} does not match its checksum", unit=unit)


def _entry(file: BinaryIO, line: bytes, about: Line, at: int, number: int, open_: _Open) -> Entry | None:
    data: dict[str, Any] = parse(line, about)
    count: int = data["records"]
    if any(seq not in open_.offsets for seq in range(about.seq - count, about.seq)):
        return None
    offset = open_.offsets.get(about.seq - count, at)
    file.seek(offset)
    length = at + len(line) - offset
    return Entry(
        stage=intern(data["stage"]),
        outcome=intern(data["outcome"]),
        attempt=data["attempt"],
        file=number,
        offset=offset,
        length=length,
        crc=crc32(file.read(length)),
    )
