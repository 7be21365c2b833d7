"""The routes of one server as functions: records go in, records come out, the framework's failures are raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from attrs import evolve

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox.backend import FileSlice
from agentflow_core.sandbox.remote.transport import ANSWER_S
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.wire import (
    CreateSessionRequest,
    ExecuteRequest,
    ForkRequest,
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
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], call_id: str
    ) -> dict[str, SessionInfo]:
        """Open sessions, all or none, by backend; once, however often it is asked under the id."""
        body = encode_request(CreateSessionRequest(backends=backends, worker_id=worker_id, call_id=call_id))
        answer = await self._transport.send("POST", "/v1/sessions", body, is_call=True)
        return {name: load_session(value) for name, value in self._data(answer).items()}

    async def sessions(self, worker_id: str) -> list[SessionInfo]:
        """The open sessions of a worker, in order of opening."""
        answer = await self._transport.send("GET", f"/v1/sessions?{urlencode({'worker_id': worker_id})}")
        return [load_session(value) for value in self._data(answer)["sessions"]]

    async def fork(self, worker_id: str, session_id: str, call_id: str) -> SessionInfo:
        """A copy of a session; one, however often it is asked for under the id."""
        path, body = _session(worker_id, session_id, "/fork"), encode_request(ForkRequest(call_id=call_id))
        return load_session(self._data(await self._transport.send("POST", path, body, is_call=True)))

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
        answer = await self._part(f"/v1/artifacts/{quote(sha256, safe='')}", start, end)
        if answer.status not in (200, 206, 416):
            raise failure_from(self._envelope(answer))
        return _slice(answer, start, end).data

    async def read_file(self, worker_id: str, session_id: str, path: str, start: int, end: int | None) -> FileSlice:
        """The bytes ``[start, end)`` of a file of a session. Raises `Refusal` where it was not asked in the session."""
        last = end if end is None or end > start else start + 1  # HTTP has no empty range
        answer = await self._part(_file(worker_id, session_id, path), start, last, is_call=True)
        if answer.status not in (200, 206, 416):
            raise _of_files(self._envelope(answer))
        found = _slice(answer, start, last)
        return found if end == last else evolve(found, data=b"")

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """Put a file into a session. Raises `Refusal` where it was not asked in the session."""
        url, media_type = _file(worker_id, session_id, path), "application/octet-stream"
        answer = await self._transport.send("PUT", url, data, media_type=media_type, is_call=True)
        result = self._envelope(answer)
        if not result.ok:
            raise _of_files(result)

    async def _part(self, path: str, start: int, end: int | None, *, is_call: bool = False) -> Answer:
        last = "" if end is None else end - 1
        headers = {"Range": f"bytes={start}-{last}"} if start or end is not None else {}
        return await self._transport.send("GET", path, headers=headers, is_call=is_call)

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


def _file(worker_id: str, session_id: str, path: str) -> str:
    return _session(worker_id, session_id, f"/files/{quote(path, safe='')}")


def _slice(answer: Answer, start: int, end: int | None) -> FileSlice:
    """The bytes of an answer: the part that was asked for, the whole, or (416) that the part begins after its end."""
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    size = int(total) if total.isdigit() else len(answer.body)
    if answer.status == 416:
        return FileSlice(data=b"", size=size)
    return FileSlice(data=answer.body if answer.status == 206 else answer.body[start:end], size=size)


def _of_files(result: ToolResult) -> SandboxError:
    """The failure of reading or writing a file; the session that it names did what it could."""
    return failure_from(result) if result.session_id else Refusal(result)


def _session(worker_id: str, session_id: str, action: str = "") -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}{action}?{urlencode({'worker_id': worker_id})}"
