"""Read and edit text files of a session by lines and by places; it blocks, so threads use it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from agentflow_core.sandbox.beneath import Beneath

__all__ = ["LARGEST_EDIT_BYTES", "Edited", "Lines", "edit", "read_lines", "read_span"]

#: What is read of a file at once at most.
MOST_BYTES: Final = 1024 * 1024
#: What a file may hold that is edited, since it is held in memory.
LARGEST_EDIT_BYTES: Final = 64 * 1024 * 1024
_PART: Final = 1 << 16


@frozen(kw_only=True)
class Lines:
    """Some lines of a file, or some bytes."""

    data: bytes
    first: int  #: the number of the first line from 1, or the offset of the first byte
    count: int  #: how many lines, or bytes
    next: int | None  #: where to read on; None at the end
    size: int  #: of the file, in bytes
    is_cut: bool = False  #: was a line too long to be given whole?


@frozen(kw_only=True)
class Edited:
    """What an edit has changed."""

    count: int
    lines: tuple[int, ...]  #: of the file as it is now, where a change begins


def read_lines(root: Beneath, path: str, first: int, count: int) -> Lines:
    """Lines from ``first`` on, at most ``count``, and no more than a megabyte of them."""
    with root.opened(path) as fd, open(os.dup(fd), "rb") as file:
        size = os.fstat(fd).st_size
        number = 1
        while number < first:
            part = file.readline(_PART)
            if not part:
                break
            number += part.endswith(b"\n")
        if number < first:
            raise SandboxError(
                f"line={first} is behind the end: {path[:200]!r} has {_count(number, size)} lines",
                code="invalid_argument",
                hint="begin with line=1",
            )
        kept = bytearray()
        taken = 0
        is_cut = False
        while taken < count and not is_cut:
            line = file.readline(MOST_BYTES + 1)
            if not line or (kept and len(kept) + len(line) > MOST_BYTES):
                break
            is_cut = len(line) > MOST_BYTES
            kept += line[:MOST_BYTES]
            taken += 1
        is_end = not is_cut and file.tell() - (len(line) if taken < count else 0) >= size if size else True
        return Lines(
            data=bytes(kept), first=first, count=taken, next=None if is_end else first + taken, size=size, is_cut=is_cut
        )


def _count(number: int, size: int) -> int:
    return number - 1 if size else 0


def read_span(root: Beneath, path: str, start: int, length: int) -> Lines:
    """Bytes from ``start`` on."""
    with root.opened(path) as fd:
        size = os.fstat(fd).st_size
        data = bytearray()
        while len(data) < length and (part := os.pread(fd, length - len(data), start + len(data))):
            data += part
    end = start + len(data)
    return Lines(data=bytes(data), first=start, count=len(data), next=end if end < size else None, size=size)


def edit(root: Beneath, path: str, old: str, new: str, count: int | None, room: int) -> Edited:
    """Replace a text in a file: it must stand there once, or exactly ``count`` times."""
    with root.opened(path) as fd, open(os.dup(fd), "rb") as file:
        data = file.read(LARGEST_EDIT_BYTES + 1)
    if len(data) > LARGEST_EDIT_BYTES:
        raise SandboxError(f"{path[:200]!r} is too large to be edited", code="unsupported", hint="run sed on it")
    sought, given = old.encode(), new.encode()
    found = data.count(sought)
    if not found:
        raise SandboxError(f"the old text does not stand in {path[:200]!r}", code="not_found", hint=_nearly(data, old))
    if found != (count or 1):
        at = ", ".join(map(str, _places(data, sought)[:10]))
        raise SandboxError(
            f"the old text stands {found} times in {path[:200]!r}, in the lines {at}{' …' if found > 10 else ''}",
            code="conflict",
            hint=f"give more of the text around it, so that it is the only one, or count={found} to replace all",
        )
    changed = data.replace(sought, given)
    if len(changed) - len(data) > room:
        raise SandboxError(f"there is no room for {path[:200]!r}", code="disk_limit", hint="delete some files first")
    root.write(path, changed)
    lines = []
    place = shift = 0
    for _ in range(min(found, 100)):
        place = data.index(sought, place)
        lines.append(changed.count(b"\n", 0, place + shift) + 1)
        place += len(sought)
        shift += len(given) - len(sought)
    return Edited(count=found, lines=tuple(lines))


def _places(data: bytes, sought: bytes) -> list[int]:
    """The numbers of the lines where it begins."""
    places: list[int] = []
    at = -len(sought)
    while (at := data.find(sought, at + len(sought))) >= 0 and len(places) < 11:
        places.append(data.count(b"\n", 0, at) + 1)
    return places


def _nearly(data: bytes, old: str) -> str:
    """What stands there instead, where only spaces differ, or the line that comes closest."""
    text = data[:MOST_BYTES].decode("utf-8", "replace")
    if "".join(old.split()) in "".join(text.split()):
        return "it stands there with other spaces or line ends: read the file again and copy the text exactly"
    first = next((line.strip() for line in old.splitlines() if line.strip()), "")
    lines = text.splitlines()[:5000]
    if first:
        from rapidfuzz import process  # only when an edit fails

        near = process.extractOne(first, [line.strip() for line in lines], score_cutoff=60)
        if near is not None:
            return f"line {near[2] + 1} comes close: {near[0][:200]}"
    return "read the file, and copy the text exactly"
