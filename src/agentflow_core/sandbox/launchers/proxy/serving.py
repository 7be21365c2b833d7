"""The proxy of one session: take clients from a listening socket, judge what they ask, carry what is allowed."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
from attrs import frozen

from agentflow_core.sandbox.launchers.proxy.connections import Connection, TooLongError
from agentflow_core.sandbox.launchers.proxy.refusals import Refusal, bad_request
from agentflow_core.sandbox.launchers.proxy.relaying import exchange, join
from agentflow_core.sandbox.launchers.proxy.requests import Tunnel, read_request

if TYPE_CHECKING:
    import socket

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.launchers.proxy.reaching import Reach

__all__ = ["Proxy", "ProxyLimits"]

_log = logging.getLogger("agentflow_core.sandbox")

_RETRY_S = 0.1


@frozen(kw_only=True)
class ProxyLimits:
    """What the clients of one session may take of the engine."""

    connections: int = 32  #: at once; more wait
    head_bytes: int = 32768  #: of a request's line and headers
    head_s: float = 20.0  #: until they have come
    idle_s: float = 300.0  #: without a byte in either direction
    linger_s: float = 2.0  #: for a client to stop sending after it was refused


class Proxy:
    """An HTTP/1.1 proxy behind a socket that listens already. It forwards one request a connection, or tunnels.

    Args:
        listener: whose clients are the session's; closed by `close`.
        reach: what they may reach.
        room: how many clients all sessions of the launcher may have at once.
        limits: what this one's may take.
    """

    def __init__(
        self, listener: socket.socket, reach: Reach, *, room: anyio.Semaphore, limits: ProxyLimits | None = None
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._reach = reach
        self._limits = limits or ProxyLimits()
        self._room = room
        self._own_room = anyio.Semaphore(self._limits.connections)

    @property
    def url(self) -> str:
        """The proxy as its clients see it."""
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    async def serve(self) -> None:
        """Serve until cancelled, which ends all connections."""
        async with anyio.create_task_group() as group:
            while True:
                await self._take(group)

    def close(self) -> None:
        """Close the listening socket, when `serve` has ended."""
        self._listener.close()

    async def _take(self, group: TaskGroup) -> None:
        """Take the next client, once there is room for one more."""
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._own_room)
            await anyio.wait_readable(self._listener)
            await held.enter_async_context(self._room)
            try:
                accepted, _ = self._listener.accept()
                client = Connection(accepted)
            except BlockingIOError:
                return
            except OSError as error:  # it is gone again, or this process has no descriptor left
                _log.debug("a client of a session's proxy could not be taken: %s", error)
                await anyio.sleep(_RETRY_S)
                return
            group.start_soon(self._handle, client, held.pop_all())

    async def _handle(self, client: Connection, held: AsyncExitStack) -> None:
        async with held:
            try:
                await self._answer(client)
            except OSError as error:
                _log.debug("a client of a session's proxy is gone: %s", error)
            except Exception:  # noqa: BLE001 - hostile boundary: what one session sends must not end the others
                _log.exception("the proxy of a session failed")
            finally:
                client.close()

    async def _answer(self, client: Connection) -> None:
        try:
            request = read_request(await self._head(client))
            server = await self._reach.connection(request.host, request.port)
        except Refusal as refusal:
            await self._refuse(client, refusal)
            return
        try:
            idle_s = self._limits.idle_s
            if isinstance(request, Tunnel):
                await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await join(client, server, idle_s=idle_s)
            else:
                await exchange(client, server, head=request.head, body_bytes=request.body_bytes, idle_s=idle_s)
        finally:
            server.close()

    async def _head(self, client: Connection) -> bytes:
        try:
            with anyio.fail_after(self._limits.head_s):
                head = await client.receive_until(b"\r\n\r\n", self._limits.head_bytes)
        except TimeoutError:
            raise bad_request(f"the request did not come within {self._limits.head_s:g} s", status=408) from None
        except TooLongError:
            told = f"the request's headers are longer than {self._limits.head_bytes} bytes"
            raise bad_request(told, status=431) from None
        if not head.endswith(b"\r\n\r\n"):
            raise ConnectionAbortedError("the request ended early")
        return head

    async def _refuse(self, client: Connection, refusal: Refusal) -> None:
        """Answer, and let the client read it: a connection that closes on unread bytes takes its answer along."""
        with anyio.move_on_after(self._limits.linger_s):
            await client.send(refusal.answer())
            client.end()
            while await client.receive():
                pass
