"""Take what commands write, as much as they like, in little memory; and what they leave in the background goes on to write."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import anyio
import anyio.lowlevel
from attrs import define, field

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from agentflow_bash.control import Control

__all__ = ["Capture", "Outputs", "Pair", "unread"]

#: What is kept in memory of one output: its beginning and its end, half each.
INLINE_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 1 << 18
_PIPE_BYTES: Final = 1 << 20
#: Reads in a row before other tasks have their turn.
_BURST: Final = 8
#: What is read of an output whose command has ended, and how long then to wait: what nobody sees must cost little.
_LEFT_BYTES: Final = 65536
_LEFT_PAUSE_S: Final = 0.02
#: Outputs that commands have left open, a session; of more than that the oldest is closed.
_MOST_LEFT: Final = 32


def unread(fd: int) -> int:
    """How many bytes wait in a pipe or FIFO."""
    there = bytearray(4)
    fcntl.ioctl(fd, termios.FIONREAD, there)
    return int.from_bytes(there, sys.byteorder)


@define
class Capture:
    """What came of one output: head and tail in memory, and up to ``stored_bytes`` of it in a file without a name."""

    folder: Path
    stored_bytes: int
    total: int = 0
    stored: int = 0
    file: BinaryIO | None = None
    _head: bytearray = field(factory=bytearray)
    _tail: bytearray = field(factory=bytearray)

    def add(self, data: bytes) -> None:
        """Take what came."""
        self.total += len(data)
        half = INLINE_BYTES // 2
        if self.file is None and self.total > INLINE_BYTES:
            self.file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115 - `close` closes it
            self._store(bytes(self._head + self._tail))
        if self.file is not None:
            self._store(data)
        if (room := half - len(self._head)) > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            if len(self._tail) > 2 * half:
                del self._tail[:-half]

    def _store(self, data: bytes) -> None:
        data = data[: self.stored_bytes - self.stored]
        try:
            while data and self.file is not None:
                written = self.file.write(data)
                self.stored += written
                data = data[written:]
        except OSError:  # there is no room: what stands there is all that is kept
            self.stored_bytes = self.stored

    @property
    def is_whole(self) -> bool:
        """Is all of it in memory?"""
        return self.total <= INLINE_BYTES

    def shown(self) -> str:
        """All of it, or head and tail around a line that says how much is left out."""
        if self.is_whole:
            return (self._head + self._tail).decode("utf-8", "replace")
        half = INLINE_BYTES // 2
        head = bytes(self._head).decode("utf-8", "ignore")
        tail = bytes(self._tail[-half:]).decode("utf-8", "ignore")
        return f"{head}\n[… {self.total - 2 * half} bytes omitted …]\n{tail}"

    def read(self, offset: int, size: int) -> bytes:
        """What is in the file from the offset on."""
        if self.file is None:
            return b""
        return os.pread(self.file.fileno(), max(0, min(size, self.stored - offset)), offset)

    def close(self) -> None:
        """Forget what is in the file."""
        if self.file is not None:
            self.file.close()


class Channel:
    """Our end of a FIFO into which commands write, one after the other."""

    def __init__(self, control: Control, name: str) -> None:
        self.name = name
        self._control = control
        self._fd = control.open_fifo(name, os.O_RDONLY)
        self._ours = -1
        self.capture: Capture | None = None
        self._scope = anyio.CancelScope()
        self._is_left = False
        self._hold()
        with suppress(OSError):  # beyond what this user may have in pipes
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _hold(self) -> None:
        """Have a writer of our own: while there is none, the system calls us to read the end again and again."""
        if self._ours < 0:
            self._ours = self._control.open_fifo(self.name, os.O_WRONLY)

    def _let(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    async def pump(self) -> None:
        """Read what comes, as long as there is somebody who may write."""
        try:
            with self._scope:
                while True:
                    await anyio.wait_readable(self._fd)
                    if not self._is_left:
                        for _ in range(_BURST):
                            if not self._read(_READ_BYTES):
                                break
                        await anyio.lowlevel.checkpoint()
                    elif self._read(_LEFT_BYTES):
                        await anyio.sleep(_LEFT_PAUSE_S)
                    else:
                        break
        finally:
            self._let()
            os.close(self._fd)
            self._fd = -1

    def _read(self, size: int) -> bool:
        """Read once; did something come?"""
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return self._is_left  # others are there, who may still write
        if self.capture is not None:
            self.capture.add(data)
        return bool(data)

    def finish(self) -> bool:
        """Take what the command has written; does nobody else have this open?"""
        rest = unread(self._fd)
        self._let()
        while rest > 0:
            data = os.read(self._fd, rest)
            rest -= len(data)
            if self.capture is not None:
                self.capture.add(data)
        self.capture = None
        try:
            is_free = not os.read(self._fd, 1)
        except BlockingIOError:
            is_free = False
        if is_free:
            try:
                self._hold()
            except FileNotFoundError:  # the session has ended, and its control folder is gone
                return False
        return is_free

    def leave(self) -> None:
        """From now on drop what comes, until nobody is there who writes."""
        self._let()
        self._is_left = True
        self._control.remove(self.name)

    @property
    def is_closed(self) -> bool:
        """Is nobody there any more who writes?"""
        return self._fd < 0

    def close(self) -> None:
        """Stop reading; who writes is told by the system."""
        self._scope.cancel()


@define
class Pair:
    """Where one command after the other writes, until one leaves somebody behind who may write there later."""

    number: int
    out: Channel
    err: Channel

    def close(self) -> None:
        """Stop reading both."""
        self.out.close()
        self.err.close()


class Outputs:
    """The outputs of a session's commands. Those of one command are never mixed with those of another."""

    def __init__(self, control: Control, tasks: TaskGroup) -> None:
        self._control = control
        self._tasks = tasks
        self._made = 0
        self._left: list[Pair] = []
        self._free: Pair | None = self._make()

    def _make(self) -> Pair:
        self._made += 1
        out = Channel(self._control, f"out.{self._made}")
        err = Channel(self._control, f"err.{self._made}")
        for channel in (out, err):
            self._tasks.start_soon(channel.pump)
        return Pair(self._made, out, err)

    def take(self) -> Pair:
        """Outputs for a command."""
        pair, self._free = self._free, None
        return pair or self._make()

    def finish(self, pair: Pair) -> None:
        """The command has ended: take the rest of what it wrote."""
        frees = [channel.finish() for channel in (pair.out, pair.err)]
        if all(frees):
            self._free = pair
            return
        for channel in (pair.out, pair.err):
            channel.leave()
        with suppress(OSError):  # the session has ended, or no more can be opened: the next command finds out
            self._free = self._make()
        self._left = [each for each in self._left if not (each.out.is_closed and each.err.is_closed)]
        self._left.append(pair)
        if len(self._left) > _MOST_LEFT:
            self._left.pop(0).close()

    @property
    def has_left(self) -> bool:
        """Has a command left somebody behind?"""
        return any(not (each.out.is_closed and each.err.is_closed) for each in self._left)

    def close(self) -> None:
        """Stop reading all of them."""
        for pair in (*self._left, *((self._free,) if self._free else ())):
            pair.close()
