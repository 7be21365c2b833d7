"""The sessions of MCP clients: each is one worker of the engine, and lives in one task from its first request to its end."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

import anyio
import orjson
from attrs import frozen
from mcp.server.runner import serve_loop
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from agentflow_core.records import ToolResult
from agentflow_core.sandbox.server.access import Caller
from agentflow_core.sandbox.server.mcp_tools import SESSION_HEADER, mcp_server, worker_of
from agentflow_core.sandbox.server.replies import Rejected, Reply

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus
    from starlette.types import Receive, Scope

    from agentflow_core.sandbox.server.exchange import Exchange
    from agentflow_core.sandbox.server.handlers import Handlers
    from agentflow_core.sandbox.server.mcp import Sent

__all__ = ["McpSessions"]

_log = logging.getLogger("agentflow_core.server")
_MOST: Final = 1000
_VERSION_HEADER: Final = b"mcp-protocol-version"
_LONGEST_IDLE_S: Final = 366 * 24 * 3600.0


@frozen
class _Session:
    """One MCP session, and whose it is."""

    id: str
    caller: Caller
    transport: StreamableHTTPServerTransport


class McpSessions:
    """All MCP sessions of a server.

    The SDK's own manager of sessions is not used, since it tells nobody that a session has ended; and sessions are
    what gives a client's calls their state. So protocol revisions without sessions (2026-07-28) are answered with those
    that have them, and clients that know both take one of these.
    """

    def __init__(self, handlers: Handlers, tasks: TaskGroup, idle_s: float) -> None:
        self._handlers = handlers
        self._tasks = tasks
        self._idle_s = min(max(idle_s, 0.1), _LONGEST_IDLE_S)
        self._server = mcp_server(handlers)
        self._sessions: dict[str, _Session] = {}  # of 36 KB each

    def has(self, exchange: Exchange) -> bool:
        """Is it a request of a session that is open?"""
        return exchange.headers.get(SESSION_HEADER, b"").decode("latin-1") in self._sessions

    async def answer(self, exchange: Exchange, scope: Scope, receive: Receive, sent: Sent) -> Reply | None:
        """Answer a request in its session, or in a new one; or return the answer that refuses it.

        Raises:
            Rejected: the caller has no such session, the request names none, or there are too many.
        """
        version = exchange.headers.get(_VERSION_HEADER, b"").decode("latin-1")
        if version and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            return _without_sessions(version, exchange.body)
        named = exchange.headers.get(SESSION_HEADER)
        if named is not None:
            session = self._sessions.get(named.decode("latin-1"))
            if session is None or session.caller != exchange.caller:
                failure = ToolResult.failure("not_found", "there is no such MCP session", hint="begin a new one")
                raise Rejected(failure)
            exchange.log["worker"] = worker_of(session.caller, session.id)
            await session.transport.handle_request(scope, receive, sent)
            return None
        if scope["method"] != "POST":
            failure = ToolResult.failure("invalid_argument", "the header Mcp-Session-Id is missing")
            raise Rejected(failure)
        if len(self._sessions) >= _MOST:
            raise Rejected(ToolResult.failure("overloaded", f"{_MOST} MCP sessions are open", retry_after_s=60))
        await self._open(exchange.caller, scope, receive, sent)
        return None

    async def _open(self, caller: Caller, scope: Scope, receive: Receive, sent: Sent) -> None:
        session_id = uuid.uuid4().hex
        transport = StreamableHTTPServerTransport(session_id, idle_timeout=self._idle_s)
        session = self._sessions[session_id] = _Session(session_id, caller, transport)
        await self._tasks.start(self._live, session)
        try:
            await transport.handle_request(scope, receive, sent)
        finally:
            if not 200 <= sent.status < 400:  # it was no initialize
                with anyio.CancelScope(shield=True):
                    await transport.terminate()

    async def _live(self, session: _Session, *, task_status: TaskStatus[None]) -> None:
        """Serve the session until its client ends it, it has been idle, or the server ends; then close its worker."""
        transport = session.transport
        try:
            async with transport.connect() as (incoming, outgoing):
                task_status.started()
                with transport.idle_scope or anyio.CancelScope():
                    await serve_loop(self._server, incoming, outgoing, lifespan_state=None, session_id=session.id)
        except Exception:  # noqa: BLE001 - a defect of the SDK ends one session, not the server
            _log.warning("an MCP session failed", exc_info=True)
        finally:
            del self._sessions[session.id]
            with anyio.CancelScope(shield=True):
                await transport.terminate()
                await self._handlers.engine.close_worker(worker_of(session.caller, session.id))


def _without_sessions(version: str, body: bytes) -> Reply:
    """Refuse a protocol revision as the protocol says it: with those that are spoken here."""
    try:
        message = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        message = {}
    error: dict[str, Any] = {
        "code": UNSUPPORTED_PROTOCOL_VERSION,
        "message": "the tools keep state, and this revision has no sessions: begin with initialize",
        "data": {"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": version},
    }
    answered = message.get("id") if isinstance(message, dict) else None
    return Reply(400, orjson.dumps({"jsonrpc": "2.0", "id": answered, "error": error}), "unsupported")
