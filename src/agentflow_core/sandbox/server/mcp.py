"""``/mcp``: let MCP clients in, and import what speaks their protocol when the first one comes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from agentflow_core.records import ToolResult
from agentflow_core.sandbox.server.bodies import read_body
from agentflow_core.sandbox.server.replies import Rejected, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskGroup
    from starlette.types import Message, Receive, Scope, Send

    from agentflow_core.sandbox.server.exchange import Exchange
    from agentflow_core.sandbox.server.handlers import Handlers
    from agentflow_core.sandbox.server.mcp_sessions import McpSessions

__all__ = ["MCP", "MCP_METHODS", "McpRoute", "Sent"]

MCP: Final = "/mcp"
MCP_METHODS: Final = ("GET", "POST", "DELETE")
_SENDING_S = 2  # for answers that are ready when the server stops


class McpRoute:
    """The route, over the same engine as all others; tokens, Host and Origin are looked at before.

    The SDK takes a third of a second to import and 35 MB, and most servers never see an MCP client: it is imported at
    the first request, in a thread, so that other requests go on meanwhile.

    Args:
        handlers: the other routes' functions.
        idle_s: after how long without a request an MCP session ends.
    """

    def __init__(self, handlers: Handlers, idle_s: float) -> None:
        self._handlers = handlers
        self._idle_s = idle_s
        self._lock = anyio.Lock()
        self._tasks: TaskGroup | None = None
        self._sessions: McpSessions | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take requests until the end. Then every MCP session ends, and with it the streams that clients hold open.

        What the engine's end has answered is sent before; so the engine is to be closed first.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            yield
            self._tasks = None
            if self._sessions is not None:
                with anyio.move_on_after(_SENDING_S):
                    await self._handlers.gate.wait_empty()
            tasks.cancel_scope.cancel()

    async def answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> Reply:
        """Answer a request; where ``exchange.is_answered`` then, the reply only tells what was sent.

        A request that came before the server drained counts as one under way until its answer is sent, and until its
        call has ended where the caller went away; a stream that a client holds open does not.

        Raises:
            Rejected: the server has no MCP, or is about to stop; the request names no session that there is; or its
                body is too large.
            ClientGone: the caller went away before its request had come in whole.
        """
        sessions = self._sessions or await self._begin()
        gate = self._handlers.gate
        if scope["method"] == "POST":
            limit = self._handlers.facts.max_body_bytes
            exchange.body = await read_body(receive, limit, exchange.headers.get(b"content-length"))
            if gate.is_open or not sessions.has(exchange):
                gate.enter()
                exchange.is_inside = True
        sent = Sent(exchange, send)
        refusal = await sessions.answer(exchange, scope, _replayed(exchange.body, receive), sent)
        if refusal is not None:
            return refusal
        if exchange.work is not None:
            await exchange.work.wait()
        exchange.log["bytes_out"] = sent.size
        return Reply(sent.status, b"")

    async def _begin(self) -> McpSessions:
        async with self._lock:
            if self._sessions is None:
                await anyio.to_thread.run_sync(_import)
                if self._tasks is None:
                    raise Rejected(ToolResult.failure("not_ready", "the server is about to stop"))
                from agentflow_core.sandbox.server.mcp_sessions import McpSessions  # imported by now

                self._sessions = McpSessions(self._handlers, self._tasks, self._idle_s)
            return self._sessions


def _import() -> None:
    try:
        import_module("agentflow_core.sandbox.server.mcp_sessions")
    except ImportError as error:
        what = "is not installed" if find_spec("mcp") is None else f"cannot be imported: {error}"
        failure = ToolResult.failure(
            "provider_unavailable", f"the mcp package {what}", hint="pip install 'agentflow-core[mcp]'"
        )
        raise Rejected(failure, status=501) from error


class Sent:
    """Passes on what is sent, and remembers the status and the size of it."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self.status = 0
        self.size = 0

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._exchange.is_answered = True
            self.status = message["status"]
        self.size += len(message.get("body", b""))
        await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what else is received: that the caller is gone."""
    left: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return left.pop() if left else await receive()

    return replayed
