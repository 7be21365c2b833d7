"""Both directions of a TCP connection, by its non-blocking socket; what was read too much can be put back."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.proxy.hosts import Address

__all__ = ["Connection", "TooLongError", "connect"]

_CHUNK = 65536


class TooLongError(Exception):
    """What was looked for does not come within the bytes that it may take."""


class Connection:
    """A connected socket, which it owns. One task at a time reads and one writes. What fails raises `OSError`."""

    def __init__(self, connected: socket.socket) -> None:
        try:
            connected.setblocking(False)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            connected.close()
            raise
        self._socket = connected
        self._back = b""

    async def receive(self, max_bytes: int = _CHUNK) -> bytes:
        """Some bytes; none when the other side will send no more."""
        await anyio.lowlevel.checkpoint()
        if self._back:
            data, self._back = self._back[:max_bytes], self._back[max_bytes:]
            return data
        while True:
            try:
                return self._socket.recv(min(max_bytes, _CHUNK))
            except BlockingIOError:
                await anyio.wait_readable(self._socket)

    async def receive_until(self, mark: bytes, max_bytes: int) -> bytes:
        """The bytes up to the mark, with it; fewer, without it, if the other side ends.

        Raises:
            TooLongError: there are more.
        """
        found = bytearray()
        while mark not in found:
            if len(found) >= max_bytes:
                raise TooLongError
            data = await self.receive()
            if not data:
                return bytes(found)
            found += data
        end = found.index(mark) + len(mark)
        self._back = bytes(found[end:]) + self._back
        if end > max_bytes:
            raise TooLongError
        return bytes(found[:end])

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await anyio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    def end(self) -> None:
        """Tell the other side that nothing more comes; what it sends can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both directions, when no task waits for either."""
        self._socket.close()


async def connect(address: Address, port: int) -> Connection:
    """A connection to just this address; nothing is looked up."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        number = opened.connect_ex((str(address), port))
        if number == errno.EINPROGRESS:
            await anyio.wait_writable(opened)
            number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        return Connection(opened)
    except BaseException:
        opened.close()
        raise
