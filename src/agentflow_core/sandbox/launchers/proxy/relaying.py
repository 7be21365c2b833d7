"""Carry bytes between two connections until both have ended, or nothing has moved for too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio import CancelScope

from agentflow_core.sandbox.launchers.proxy.connections import TooLongError
from agentflow_core.sandbox.launchers.proxy.refusals import Refusal
from agentflow_core.sandbox.launchers.proxy.requests import read_chunk_size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_core.sandbox.launchers.proxy.connections import Connection

__all__ = ["exchange", "join"]

_LINE_BYTES = 4096
_TRAILER_LINES = 64


class _Relay:
    """A pair of connections, and the scope that ends them when they are idle."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.scope = CancelScope()
        self.moved()

    def moved(self) -> None:
        self.scope.deadline = anyio.current_time() + self._idle_s

    async def some(self, source: Connection, target: Connection, max_bytes: int = 65536) -> int:
        """Carry what there is; how many bytes, none at the end."""
        data = await source.receive(max_bytes)
        self.moved()
        if data:
            await target.send(data)
            self.moved()
        return len(data)

    async def all(self, source: Connection, target: Connection) -> None:
        while await self.some(source, target):
            pass
        target.end()

    async def exactly(self, source: Connection, target: Connection, size: int) -> None:
        while size:
            carried = await self.some(source, target, size)
            if not carried:
                raise ConnectionAbortedError("the body ended early")
            size -= carried

    async def chunks(self, source: Connection, target: Connection) -> None:
        """A body in chunks, with its trailer."""
        while size := read_chunk_size(line := await source.receive_until(b"\r\n", _LINE_BYTES)):
            await target.send(line)
            await self.exactly(source, target, size + 2)
        await target.send(line)
        for _ in range(_TRAILER_LINES):
            line = await source.receive_until(b"\r\n", _LINE_BYTES)
            await target.send(line)
            if line == b"\r\n":
                return
        raise TooLongError

    async def drop(self, source: Connection) -> None:
        """Read and forget, since what is left unread destroys an answer on its way when the connection closes."""
        while await source.receive():
            pass

    async def run(self, *ways: Callable[[], Awaitable[None]]) -> None:
        """Go all ways at once; one that fails ends them all."""

        async def go(way: Callable[[], Awaitable[None]]) -> None:
            try:
                await way()
            except (OSError, TooLongError, Refusal):  # somebody is gone, or sends what is no body
                self.scope.cancel()

        with self.scope:
            async with anyio.create_task_group() as group:
                for way in ways:
                    group.start_soon(go, way)


async def join(client: Connection, server: Connection, *, idle_s: float) -> None:
    """Carry everything both ways."""
    relay = _Relay(idle_s)
    await relay.run(lambda: relay.all(client, server), lambda: relay.all(server, client))


async def exchange(
    client: Connection, server: Connection, *, head: bytes, body_bytes: int | None, idle_s: float
) -> None:
    """Carry one request and its answer; the server was told to close after it."""
    relay = _Relay(idle_s)

    async def ask() -> None:
        try:
            await server.send(head)
            if body_bytes is None:
                await relay.chunks(client, server)
            else:
                await relay.exactly(client, server, body_bytes)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server may answer and close before it has read all; its answer counts
        await relay.drop(client)

    async def answer() -> None:
        await relay.all(server, client)
        relay.scope.cancel()

    await relay.run(ask, answer)
