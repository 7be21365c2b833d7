"""The routes of one server as functions: records go in, records come out, the framework's failures are raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from attrs import evolve

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox.remote.transport import ANSWER_S
from agentflow_core.sandbox.wire import (
    CreateSessionRequest,
    ExecuteRequest,
    HeartbeatRequest,
    WarmupRequest,
    decode_result,
    encode_request,
    failure_from,
    load_session,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.sandbox.remote.transport import Answer, Transport

__all__ = ["Routes"]

#: What a call may wait for before its own time begins: its turn, and the start of a session.
BEFORE_THE_CALL_S = 900.0
_TOKEN_HINT = "pass token=, or set AGENTFLOW_TOKEN, to a token of this server"


class Routes:
    """What one server can be asked.

    Every method raises `Unreachable` where the server does not answer, and `SandboxError` with the code that it gave
    where it refuses.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def execute(self, request: ExecuteRequest) -> ToolResult:
        """The result of a call, of success and of failure. Repeated requests run once: they have a ``call_id``."""
        try:
            body = encode_request(request)
        except SandboxError as error:  # arguments that are not JSON
            return evolve(ToolResult.failure("invalid_argument", error.message, hint=error.hint), tool=request.tool)
        answer_s = ANSWER_S if request.timeout_s is None else request.timeout_s + BEFORE_THE_CALL_S
        answer = await self._transport.send("POST", "/v1/execute", body, is_call=True, answer_s=answer_s)
        result = self._envelope(answer)
        if result.ok or result.tool:
            return result
        if result.code != "invalid_argument":
            raise failure_from(result)
        return evolve(result, tool=request.tool)  # a label or a body that the server does not take

    async def create_sessions(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> dict[str, SessionInfo]:
        """Open sessions, all or none, by backend. Not repeated where the server may have opened them already."""
        body = encode_request(CreateSessionRequest(backends=backends, worker_id=worker_id))
        answer = await self._transport.send("POST", "/v1/sessions", body, is_call=True, may_repeat=False)
        return {name: load_session(value) for name, value in self._data(answer).items()}

    async def sessions(self, worker_id: str) -> list[SessionInfo]:
        """The open sessions of a worker, in order of opening."""
        answer = await self._transport.send("GET", f"/v1/sessions?{urlencode({'worker_id': worker_id})}")
        return [load_session(value) for value in self._data(answer)["sessions"]]

    async def fork(self, worker_id: str, session_id: str) -> SessionInfo:
        """A copy of a session. Not repeated where the server may have made it already."""
        path = _session(worker_id, session_id, "/fork")
        return load_session(self._data(await self._transport.send("POST", path, is_call=True, may_repeat=False)))

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start a session's idle time anew."""
        path = _session(worker_id, session_id, "/renew")
        return load_session(self._data(await self._transport.send("POST", path)))

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Close a session."""
        self._data(await self._transport.send("DELETE", _session(worker_id, session_id)))

    async def close_worker(self, worker_id: str, patience_s: float) -> None:
        """Close all sessions of a worker."""
        path = f"/v1/workers/{quote(worker_id, safe='')}"
        self._data(await self._transport.send("DELETE", path, patience_s=patience_s))

    async def heartbeat(self, workers: Sequence[str]) -> None:
        """Say that these workers live, at least one of them."""
        path = f"/v1/workers/{quote(workers[0], safe='')}/heartbeat"
        body = encode_request(HeartbeatRequest(workers=tuple(workers[1:])))
        self._data(await self._transport.send("POST", path, body, patience_s=0))

    async def tools(self) -> Any:
        """What is offered; `agentflow_core.sandbox.remote.offers` reads it."""
        return self._data(await self._transport.send("GET", "/v1/tools?format=native", patience_s=0))

    async def capabilities(self, patience_s: float | None = None) -> Mapping[str, Any]:
        """What the server is, its backends with their providers, and its status."""
        answer = await self._transport.send("GET", "/v1/capabilities", patience_s=patience_s)
        data: Mapping[str, Any] = self._data(answer)
        return data

    async def is_up(self, patience_s: float = 0.0) -> bool:
        """Does it answer at all, and well?"""
        return (await self._transport.send("GET", "/healthz", patience_s=patience_s)).status == 200

    async def warmup(self, backends: Sequence[str]) -> None:
        """Start backends."""
        body = encode_request(WarmupRequest(backends=tuple(backends)))
        self._data(await self._transport.send("POST", "/v1/warmup", body))

    async def artifact(self, sha256: str, start: int, end: int | None) -> bytes:
        """The bytes ``[start, end)`` of an artifact."""
        if end is not None and end <= start:
            return b""
        last = "" if end is None else end - 1
        headers = {"Range": f"bytes={start}-{last}"} if start or end is not None else {}
        answer = await self._transport.send("GET", f"/v1/artifacts/{quote(sha256, safe='')}", headers=headers)
        if answer.status == 206:
            return answer.body
        if answer.status == 416:  # begins after its end
            return b""
        if answer.status != 200:
            raise failure_from(self._envelope(answer))
        return answer.body[start:end]

    def _data(self, answer: Answer) -> Any:
        result = self._envelope(answer)
        if not result.ok:
            raise failure_from(result)
        return result.data

    def _envelope(self, answer: Answer) -> ToolResult:
        url = self._transport.url
        try:
            result = decode_result(answer.body)
        except SandboxError as error:
            raise SandboxError(
                f"{url} answers with HTTP {answer.status} and no envelope",
                hint="is it the URL of an AgentFlow sandbox server?",
            ) from error
        if answer.status == 401:
            raise SandboxError(f"{url}: {result.message}", code="unauthenticated", hint=_TOKEN_HINT)
        return result


def _session(worker_id: str, session_id: str, action: str = "") -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}{action}?{urlencode({'worker_id': worker_id})}"
