"""A server of RFB that says what a test wants."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_vm.rfb.display import Display, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Server:
    """The other end of a display: shakes hands, then sends what it is told to, and reads what clients say."""

    def __init__(self, wire: Any, width: int = 8, height: int = 4) -> None:
        self.wire = wire
        self.size = (width, height)

    async def greet(self) -> None:
        await self.wire.send(b"RFB 003.008\n")
        assert await self.wire.read(12) == b"RFB 003.008\n"
        await self.wire.send(b"\x01\x01")
        assert await self.wire.read(1) == b"\x01"
        await self.wire.send(b"\0\0\0\0")
        assert await self.wire.read(1) == b"\x01"
        format_of_ours = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        await self.wire.send(struct.pack(">HH", *self.size) + format_of_ours + struct.pack(">I", 4) + b"test")

    async def asked(self) -> list[int]:
        """Read SetPixelFormat and SetEncodings; which encodings are wanted."""
        assert (await self.wire.read(20))[0] == 0
        head = await self.wire.read(4)
        count = struct.unpack(">H", head[2:])[0]
        return list(struct.unpack(f">{count}i", await self.wire.read(4 * count)))

    async def request(self) -> tuple[int, ...]:
        """Read an update request: whether it is incremental, and its rectangle."""
        kind, *rest = struct.unpack(">BBHHHH", await self.wire.read(10))
        assert kind == 3
        return tuple(rest)

    async def update(self, *rectangles: bytes) -> None:
        await self.wire.send(struct.pack(">BxH", 0, len(rectangles)) + b"".join(rectangles))

    def raw(self, pixel: bytes) -> bytes:
        width, height = self.size
        return rectangle(0, 0, width, height, 0) + pixel * (width * height)


def rectangle(x: int, y: int, width: int, height: int, encoding: int) -> bytes:
    return struct.pack(">HHHHi", x, y, width, height, encoding)


@pytest.fixture
def rect() -> Callable[..., bytes]:
    """The head of a rectangle."""
    return rectangle


@pytest.fixture
def server_of() -> Callable[..., Server]:
    """A server on a wire."""
    return Server


@pytest.fixture
def shown(wires: tuple[Any, Any]) -> Callable[..., Any]:
    """A display that shows white, and its server: ``async with shown() as (display, server)``."""

    @asynccontextmanager
    async def run(width: int = 8, height: int = 4) -> AsyncIterator[tuple[Display, Server]]:
        ours, theirs = wires
        server = Server(theirs, width, height)

        async def serve() -> None:
            await server.greet()
            await server.asked()
            await server.request()
            await server.update(server.raw(b"\xff\xff\xff\0"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            async with connected(ours) as display:
                await server.request()
                yield display, server

    return run
