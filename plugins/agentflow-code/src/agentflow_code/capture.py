"""What a call prints: read as it comes, however much it is, and kept within bounds."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from agentflow_core.sandbox.launchers.streams import ByteReader

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Capture", "Outlet"]

_AT_ONCE: Final = 1 << 18
#: More than this no pipe holds: what is in one when a call has ended was written before that.
_PIPE_BYTES: Final = 1 << 20


class Capture:
    """The first and the last of some output, half of the limit each, and how much it was."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take more output."""
        self.size += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-self._half :]
            if len(self._tail) > 4 * self._half:
                del self._tail[: -self._half]

    @property
    def omitted(self) -> int:
        """How many bytes between the first and the last are not kept."""
        return max(0, self.size - 2 * self._half)

    @property
    def text(self) -> str:
        """What is kept; what is no UTF-8 is replaced."""
        head, tail = bytes(self._head), bytes(self._tail[-self._half :])
        if not self.omitted:
            return (head + tail).decode("utf-8", "replace")
        between = f"\n[… {self.omitted} bytes omitted …]\n"
        return head.decode("utf-8", "ignore") + between + tail.decode("utf-8", "ignore")


class Outlet:
    """Our end of the FIFO that is a session's stdout or stderr."""

    def __init__(self, folder: Path, name: str, uid: int | None) -> None:
        path = folder / name
        os.mkfifo(path, 0o600)
        if uid is not None and uid != os.geteuid():
            os.chown(path, uid, uid)
        # to write too, so that it never ends: what ends is the interpreter, and that is known otherwise
        self._reader = ByteReader(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))

    async def pump(self, capture: Capture) -> None:
        """Hand on what comes, until cancelled."""
        while True:
            capture.add(await self._reader.receive(_AT_ONCE))

    def drain(self, capture: Capture) -> None:
        """Hand on what has come already."""
        left = _PIPE_BYTES
        with suppress(BlockingIOError):
            while left > 0:
                data = os.read(self._reader.fileno(), _AT_ONCE)
                left -= len(data)
                capture.add(data)

    def close(self) -> None:
        """Close it."""
        self._reader.close()
