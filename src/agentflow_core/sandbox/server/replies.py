"""What is answered: the envelope of a value or of a failure, and the HTTP status that follows its code."""

from __future__ import annotations

import logging
import math
import traceback
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core.errors import AgentFlowError, DataError, RunError, SandboxError, UnknownNameError, UsageError
from agentflow_core.records import ToolResult
from agentflow_core.records.codes import CODES
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.wire import encode_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Send

__all__ = ["Rejected", "Reply", "failure_of", "reply_to_call", "reply_with", "send_reply", "status_of"]

_log = logging.getLogger("agentflow_core.server")
_JSON = b"application/json"
_STATUS = {
    "ok": 200,
    "invalid_argument": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_tool": 404,
    "conflict": 409,
    "session_expired": 410,
    "session_lost": 410,
    "overloaded": 429,
    "quota_exceeded": 429,
    "internal": 500,
    "unsupported": 501,
    "not_ready": 503,
    "provider_unavailable": 503,
    "cancelled": 503,
    "timeout": 504,
    "disk_limit": 507,
}
_BACKEND_FAILED = 502  # a session did not start for a reason of its own
#: Codes that say the same of a call whoever gave them; with the others a tool speaks in its own terms.
_OF_THE_CALL = frozenset(
    ("invalid_argument", "unknown_tool", "session_expired", "session_lost", "overloaded", "not_ready", "timeout")
) | {"internal"}


@frozen
class Reply:
    """An answer, ready to be sent; ``code`` is that of its envelope, for the log."""

    status: int
    body: bytes
    code: str = "ok"
    media_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Rejected(Exception):
    """A request that the server refuses itself."""

    def __init__(
        self, result: ToolResult, *, status: int | None = None, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(result.message)
        self.result = result
        self.reply = reply_with(result, status=status, headers=headers)


def status_of(code: str) -> int:
    """The HTTP status of the framework's answer with the code."""
    return _STATUS.get(code, _BACKEND_FAILED)


def reply_with(result: ToolResult, *, status: int | None = None, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """The framework's answer."""
    return Reply(
        status_of(result.code) if status is None else status,
        encode_result(result),
        result.code,
        headers=(*_retry_after(result), *headers),
    )


def reply_to_call(result: ToolResult, tool: str, session_id: str | None) -> Reply:
    """The engine's answer to a call. A tool that failed in its own terms is answered 200, as one that succeeded.

    ``not_found`` speaks of the session only where one was named and the call did not run in it, and ``conflict`` of
    the call's id only where the engine has put no tool into the result.
    """
    code = result.code
    if code == "ok":
        return Reply(200, encode_result(result))
    status = 200
    if (
        code in _OF_THE_CALL
        or (code == "not_found" and session_id is not None and not result.session_id)
        or (code == "conflict" and not result.tool)
    ):
        status = _STATUS[code]
    if not result.tool:
        result = evolve(result, tool=tool)
    return Reply(status, encode_result(result), code, headers=_retry_after(result))


def _retry_after(result: ToolResult) -> tuple[tuple[bytes, bytes], ...]:
    if result.retry_after_s is None:
        return ()
    return ((b"retry-after", b"%d" % max(1, math.ceil(result.retry_after_s))),)


def failure_of(error: Exception, *, debug: bool = False) -> ToolResult:
    """The envelope for what the engine raised: an error of ours by its kind; another one is a defect, and logged."""
    if isinstance(error, Refusal):
        return error.result
    if isinstance(error, AgentFlowError):
        code = _code_of(error)
        failure = ToolResult.failure(code, error.message, hint=error.hint)
        return failure if code != "internal" or not debug else _with_traceback(failure, error)
    _log.error("a request failed", exc_info=error)
    failure = ToolResult.failure("internal", f"a defect of the server: {type(error).__name__}")
    return _with_traceback(failure, error) if debug else failure


def _code_of(error: AgentFlowError) -> str:
    if isinstance(error, SandboxError):
        return error.code if error.code in CODES and error.code != "ok" else "internal"
    if isinstance(error, UnknownNameError):
        return "not_found"
    if isinstance(error, UsageError) and not isinstance(error, DataError):
        return "invalid_argument"
    return "internal" if isinstance(error, RunError) else "provider_unavailable"


def _with_traceback(failure: ToolResult, error: Exception) -> ToolResult:
    text: Any = "".join(traceback.format_exception(error))
    return evolve(failure, data={"traceback": text})


async def send_reply(send: Send, reply: Reply, *, with_body: bool = True) -> None:
    """Send the answer."""
    headers = [
        (b"content-type", reply.media_type),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-content-type-options", b"nosniff"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body if with_body else b""})
