"""What client and server say to each other: requests as records, answers as envelopes, both as JSON.

Every JSON body that a server sends is a `ToolResult` envelope, of success and of failure, whatever the route. What
opens a session or calls a tool may be sent again under the same ``call_id``: it is answered, and not done twice.

- ``POST /v1/execute`` answers with the result of the call: `decode_result`. Its ``tool`` is set, also where the
  engine refused the call (``unknown_tool``, ``overloaded`` …).
- Everything else answers with what was asked for in ``data``: a session as `load_session` reads it, a batch as
  ``{"results": [envelope …]}``, which `load_result` reads one by one.
- ``GET`` and ``PUT /v1/sessions/{id}/files/{path}`` carry bytes. Their failure names the session in ``session_id``
  where it was asked in it, and nothing there where the session itself was refused.
- An envelope with ``ok`` false and an empty ``tool`` is the failure of the framework: `failure_from` is its exception.

A session in a path is found by its id under every worker of the token; the query's ``worker_id`` narrows that to one.
The status follows the code; 429 and 503 say in ``Retry-After`` when to come again. ``/openapi.json`` has the routes.

Text that JSON cannot hold for every reader travels all the same in a request (NaN, lone surrogates), so that the
engine can name the argument that holds it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import attrs
import orjson
from attrs import NOTHING, frozen

from agentflow_core.errors import SandboxError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.records import ToolResult, clean_json
from agentflow_core.records.codec import dump, load

__all__ = [
    "DEFAULT_WORKER",
    "HEARTBEAT_HEADER",
    "HEARTBEAT_S",
    "WORKER_LOST_S",
    "BatchRequest",
    "CreateSessionRequest",
    "ExecuteRequest",
    "ForkRequest",
    "HeartbeatRequest",
    "WarmupRequest",
    "decode_result",
    "dump_result",
    "dump_session",
    "encode_request",
    "encode_result",
    "failure_from",
    "load_result",
    "load_session",
]

#: Whose call it is where a request names no worker.
DEFAULT_WORKER = "main"
#: How often a client that holds sessions says that it lives.
HEARTBEAT_S = 30.0
#: A request with this header comes from a client that sends heartbeats for its workers.
HEARTBEAT_HEADER = b"agentflow-heartbeat"
#: After how long without a heartbeat the sessions of a worker that has sent one are closed.
WORKER_LOST_S = 120.0


def _told(about: str, default: Any = NOTHING) -> Any:
    """A field of a request, with the line that the OpenAPI document says of it."""
    return attrs.field(default=default, metadata={"about": about})


@frozen(kw_only=True)
class ExecuteRequest:
    """One call. Body of ``POST /v1/execute``."""

    tool: str = _told("the tool's full name, such as bash:run")
    params: Mapping[str, Any] | None = _told("the tool's arguments", None)
    session_id: str | None = _told("where it runs; default: the worker's session of the backend, else a new one", None)
    worker_id: str | None = _told("the caller's own label; default: that of the session that is named, else main", None)
    timeout_s: float | None = _told("seconds for the call; default: the tool's, else the backend's", None)
    call_id: str | None = _told("chosen by the caller: a repeated call is answered, and never run twice", None)


@frozen(kw_only=True)
class BatchRequest:
    """Several calls of one worker. Body of ``POST /v1/execute/batch``; data: ``{"results": [envelope …]}``."""

    calls: tuple[ExecuteRequest, ...] = _told("the calls; a worker_id of their own is not looked at")
    parallel: bool = _told("run at the same time what is not of one session", True)
    stop_on_error: bool = _told("after a failure, answer cancelled for what has not ended", False)
    worker_id: str | None = _told("the caller's own label; default: main", None)


@frozen(kw_only=True)
class CreateSessionRequest:
    """Sessions to open, all or none. Body of ``POST /v1/sessions``; data: ``{backend: session}``."""

    backends: Mapping[str, Mapping[str, Any] | None] = _told("backends by name, with the session's settings or null")
    worker_id: str | None = _told("the caller's own label; default: main", None)
    call_id: str | None = _told("chosen by the caller: a repeated request is answered with what it opened", None)


@frozen(kw_only=True)
class ForkRequest:
    """A session to copy. Body of ``POST /v1/sessions/{id}/fork``, where it may be left out; data: the new session."""

    call_id: str | None = _told("chosen by the caller: a repeated request is answered with what it opened", None)


@frozen(kw_only=True)
class WarmupRequest:
    """Backends to start before they are first used. Body of ``POST /v1/warmup``."""

    backends: tuple[str, ...] = _told("names of backends; default: all that are offered", ())


@frozen(kw_only=True)
class HeartbeatRequest:
    """A sign of life. Body of ``POST /v1/workers/{id}/heartbeat``, where it may be left out."""

    workers: tuple[str, ...] = _told("other workers of the same client that live too", ())


Request = ExecuteRequest | BatchRequest | CreateSessionRequest | ForkRequest | WarmupRequest | HeartbeatRequest


def encode_request(request: Request) -> bytes:
    """The request as a JSON body; fields that are not set are left out.

    Raises:
        SandboxError: it holds what JSON has no form for (code ``invalid_argument``).
    """
    try:
        return json.dumps(_plain(request), separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SandboxError(f"the arguments cannot be written as JSON: {error}", code="invalid_argument") from error


def _plain(request: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in attrs.fields(type(request)):
        value = getattr(request, attribute.name)
        if value is None:
            continue
        if isinstance(value, tuple):
            value = [_plain(item) if attrs.has(type(item)) else item for item in value]
        found[attribute.name] = value
    return found


def dump_result(result: ToolResult) -> dict[str, Any]:
    """The result as JSON-ready dicts: what `agentflow_core.records.codec.dump` gives, with image bytes in base64."""
    value: dict[str, Any] = dump(result)
    for part, content in zip(value["content"], result.content, strict=True):
        if content.type == "image" and content.data is not None:
            part["data"] = base64.b64encode(content.data).decode("ascii")
    return value


def load_result(value: Mapping[str, Any]) -> ToolResult:
    """The result of `dump_result`. Raises `SandboxError` if it is none."""
    try:
        content = [
            {**part, "data": base64.b64decode(part["data"], validate=True)}
            if part.get("type") == "image" and part.get("data") is not None
            else part
            for part in value.get("content", ())
        ]
        return load(ToolResult, {**value, "content": content} if content else value)
    except Exception as error:
        raise SandboxError("the server's answer is not an envelope", hint="is it an AgentFlow server?") from error


def encode_result(result: ToolResult) -> bytes:
    """The result as a JSON body."""
    value = dump_result(result)
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, integers over 64 bits
        return orjson.dumps(clean_json(value))


def decode_result(body: bytes) -> ToolResult:
    """The result of a JSON body. Raises `SandboxError` if it is none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SandboxError("the server's answer is not JSON", hint="is it an AgentFlow server?") from error
    if not isinstance(value, dict) or "ok" not in value:
        raise SandboxError("the server's answer is not an envelope", hint="is it an AgentFlow server?")
    return load_result(value)


def dump_session(session: SessionInfo) -> dict[str, Any]:
    """The session as a JSON-ready dict."""
    value: dict[str, Any] = clean_json(attrs.asdict(session, recurse=False))
    return value


def load_session(value: Mapping[str, Any]) -> SessionInfo:
    """The session of `dump_session`; fields that a later version added are passed over."""
    return SessionInfo(**{one.name: value[one.name] for one in attrs.fields(SessionInfo) if one.name in value})


def failure_from(result: ToolResult) -> SandboxError:
    """The exception that an envelope of the framework's failure stands for."""
    return SandboxError(result.message or result.code, code=result.code, hint=result.hint)
