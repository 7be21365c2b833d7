"""Connections over Unix sockets that may be cancelled at any moment.

anyio's own stream reports an error to the event loop when a receive is cancelled just as data comes, which happens each
time that a display is closed while it changes.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import anyio
from anyio.abc import ByteStream

from agentflow_core.sandbox.launchers.streams import ByteReader, ByteWriter

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UnixListener", "UnixStream", "connect_unix"]


class UnixStream(ByteStream):
    """A connection; it owns the socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reader = ByteReader(os.dup(connected.fileno()))
        self._writer = ByteWriter(os.dup(connected.fileno()))

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """See `ByteReceiveStream`."""
        return await self._reader.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """See `ByteSendStream`."""
        await self._writer.send(item)

    async def send_eof(self) -> None:
        """Say that nothing more is sent."""
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close it; who waits for it gets `ClosedResourceError`."""
        self._reader.close()
        self._writer.close()
        self._socket.close()


class UnixListener:
    """A socket of that name in a folder, however long its path is; whoever may enter the folder can connect.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                path = f"/proc/self/fd/{descriptor}/{name}"
                self._socket.bind(path)
                os.chmod(path, 0o666)
            finally:
                os.close(descriptor)
            self._socket.listen(1)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    async def accept(self) -> UnixStream:
        """The next connection."""
        await anyio.wait_readable(self._socket)
        return UnixStream(self._socket.accept()[0])

    def close(self) -> None:
        """Take no more."""
        self._socket.close()


def connect_unix(path: str) -> UnixStream:
    """Connect to a socket; that takes no time, whoever listens.

    Raises:
        OSError: nobody listens there.
    """
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.setblocking(False)
        connected.connect(path)
    except BaseException:
        connected.close()
        raise
    return UnixStream(connected)
