"""Bytes over pipes, FIFOs and sockets by their file descriptors, on any event loop and without buffers of our own."""

from __future__ import annotations

import os

import anyio
import anyio.lowlevel
from anyio import BrokenResourceError, BusyResourceError, CancelScope, ClosedResourceError, EndOfStream
from anyio.abc import ByteReceiveStream, ByteSendStream

__all__ = ["ByteReader", "ByteWriter", "pipe"]


class _Descriptor:
    """A non-blocking file descriptor that one task at a time waits for, and that `aclose` takes from it safely."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._waiting: CancelScope | None = None

    @property
    def is_closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        if self._fd < 0:
            raise ClosedResourceError
        return self._fd

    async def _wait(self, *, writable: bool) -> None:
        if self._waiting is not None:
            raise BusyResourceError("waiting for")
        fd = self.fileno()
        wait = anyio.wait_writable if writable else anyio.wait_readable
        try:
            with CancelScope() as self._waiting:
                await wait(fd)
        finally:
            self._waiting = None
            if self._fd < 0:
                os.close(fd)  # only now, when the loop no longer knows its number
        if self._fd < 0:
            raise ClosedResourceError

    def close(self) -> None:
        """Close; whoever waits gets `ClosedResourceError`."""
        fd, self._fd = self._fd, -1
        if self._waiting is not None:
            self._waiting.cancel()
        elif fd >= 0:
            os.close(fd)


class ByteReader(_Descriptor, ByteReceiveStream):
    """The reading end of a pipe or FIFO."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """What there is, at most ``max_bytes``; `EndOfStream` when there will be nothing more."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = os.read(self.fileno(), max_bytes)
            except BlockingIOError:
                await self._wait(writable=False)
            except OSError as error:
                raise BrokenResourceError from error
            else:
                if not data:
                    raise EndOfStream
                return data

    async def read_all(self, max_bytes: int = 1 << 20) -> bytes:
        """Everything up to the end; what is beyond ``max_bytes`` is read and dropped."""
        kept = bytearray()
        async for data in self:
            kept += data[: max_bytes - len(kept)]
        return bytes(kept)

    async def aclose(self) -> None:
        """See `close`."""
        self.close()


class ByteWriter(_Descriptor, ByteSendStream):
    """The writing end of a pipe or FIFO."""

    async def send(self, item: bytes) -> None:
        """Write all of it, waiting while the pipe is full; `BrokenResourceError` if nobody reads any more."""
        await anyio.lowlevel.checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[os.write(self.fileno(), rest) :]
            except BlockingIOError:
                await self._wait(writable=True)
            except OSError as error:
                raise BrokenResourceError from error

    async def aclose(self) -> None:
        """See `close`."""
        self.close()


def pipe() -> tuple[int, int]:
    """A pipe's ends, to read and to write, inherited by nobody."""
    return os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
