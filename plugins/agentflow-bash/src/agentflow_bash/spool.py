"""The latest part of an output that goes on, by offsets that count from its beginning; in a file once it is long."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Spool"]

#: What is kept in memory: most jobs say less, and need no descriptor.
_IN_MEMORY: Final = 64 * 1024


class Spool:
    """A ring of ``capacity`` bytes, in a file without a name in the folder."""

    def __init__(self, folder: Path, capacity: int) -> None:
        self._folder = folder
        self._capacity = capacity
        self._memory = bytearray()
        self._file: BinaryIO | None = None
        self._is_closed = False
        self._lost = 0  # bytes before this offset could not be kept
        self.total = 0  #: bytes that came so far

    @property
    def start(self) -> int:
        """The offset of the first byte that is still there."""
        return max(self._lost, self.total - self._capacity)

    def add(self, data: bytes) -> None:
        """Take what came."""
        if self._is_closed:
            return
        try:
            self._add(data)
        except OSError:  # there is no room
            self._lost = self.total

    def _add(self, data: bytes) -> None:
        if self._file is None:
            if self.total + len(data) <= min(_IN_MEMORY, self._capacity):
                self._memory += data
                self.total += len(data)
                return
            kept, self._memory = self._memory, bytearray()
            self.total += len(data)
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - `close` closes it
            os.pwrite(self._file.fileno(), kept, 0)
        else:
            self.total += len(data)
        data = data[-self._capacity :]
        at = (self.total - len(data)) % self._capacity
        first = self._capacity - at
        os.pwrite(self._file.fileno(), data[:first], at)
        if len(data) > first:
            os.pwrite(self._file.fileno(), data[first:], 0)

    def read(self, offset: int, size: int) -> bytes:
        """What stands from the offset on, at most ``size`` bytes; the offset is not before `start`."""
        if self._file is None:
            return bytes(self._memory[offset : offset + size]) if not self._lost else b""
        size = max(0, min(size, self.total - offset))
        at = offset % self._capacity
        first = min(size, self._capacity - at)
        data = os.pread(self._file.fileno(), first, at)
        return data + (os.pread(self._file.fileno(), size - first, 0) if size > first else b"")

    def close(self) -> None:
        """Forget all."""
        self._is_closed = True
        if self._file is not None:
            self._file.close()
            self._file = None
