"""The table of routes: what the application serves, and what the OpenAPI document says of it."""

from __future__ import annotations

from typing import Any, Final, Literal

from attrs import frozen

from agentflow_core.interfaces import SessionInfo
from agentflow_core.sandbox.wire import (
    BatchRequest,
    CreateSessionRequest,
    ExecuteRequest,
    ForkRequest,
    HeartbeatRequest,
    WarmupRequest,
)

__all__ = ["EXECUTE", "OPERATIONS", "Operation"]

EXECUTE: Final = "/v1/execute"
_WORKER_ID = ("worker_id", "one of the caller's workers")
_FORMAT = ("format", "native, openai or mcp")
_NUMBER = {"type": "number"}
_LISTED = {"type": "array", "items": {"type": "object"}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


@frozen(kw_only=True)
class Operation:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str  #: with the parameters as Starlette writes them
    handler: str  #: a method of `Handlers`
    access: Literal["open", "worker", "admin"] = "worker"  #: who may
    admits: bool = False  #: it starts work: refused once the server drains
    body: type | None = None  #: the record that it is, as JSON; ``bytes``: anything
    body_required: bool = True
    query: tuple[tuple[str, str], ...] = ()
    status: int = 200
    data: type | dict[str, Any] | None = None  #: what the envelope's data are; None: null
    media_type: str = "application/json"  #: of a success
    failures: tuple[int, ...] = ()  #: beside those that every operation may answer


OPERATIONS: Final = (
    Operation(method="GET", path="/healthz", handler="healthz", access="open", data=_object(pid={"type": "integer"})),
    Operation(method="GET", path="/readyz", handler="readyz", access="open", failures=(503,)),
    Operation(method="GET", path="/metrics", handler="write_metrics", media_type="text/plain"),
    Operation(
        method="GET",
        path="/v1/capabilities",
        handler="capabilities",
        data=_object(
            version={"type": "string"},
            protocol={"type": "integer"},
            instance={"type": "string"},
            urls={"type": "array", "items": {"type": "string"}},
            backends={"type": "object"},
            status={"type": "object"},
        ),
    ),
    Operation(
        method="GET",
        path="/v1/tools",
        handler="list_tools",
        query=(_FORMAT,),
        data=_object(tools=_LISTED),
        failures=(400,),
    ),
    Operation(
        method="POST",
        path="/v1/warmup",
        handler="warmup",
        admits=True,
        body=WarmupRequest,
        body_required=False,
        failures=(400, 404, 413, 500, 502, 503, 504, 507),
    ),
    Operation(
        method="POST",
        path="/v1/sessions",
        handler="create_session",
        admits=True,
        body=CreateSessionRequest,
        status=201,
        data={"type": "object", "additionalProperties": {"$ref": "#/components/schemas/SessionInfo"}},
        failures=(400, 404, 409, 413, 429, 500, 502, 503, 504, 507),
    ),
    Operation(
        method="GET",
        path="/v1/sessions",
        handler="list_sessions",
        query=(_WORKER_ID,),
        data=_object(sessions={"type": "array", "items": {"$ref": "#/components/schemas/SessionInfo"}}),
        failures=(400,),
    ),
    Operation(
        method="GET",
        path="/v1/sessions/{session_id}",
        handler="get_session",
        query=(_WORKER_ID,),
        data=SessionInfo,
        failures=(400, 404, 410),
    ),
    Operation(
        method="DELETE",
        path="/v1/sessions/{session_id}",
        handler="close_session",
        query=(_WORKER_ID,),
        failures=(400, 404),
    ),
    Operation(
        method="POST",
        path="/v1/sessions/{session_id}/renew",
        handler="renew",
        query=(_WORKER_ID,),
        data=SessionInfo,
        failures=(400, 404, 410),
    ),
    Operation(
        method="POST",
        path="/v1/sessions/{session_id}/fork",
        handler="fork",
        admits=True,
        body=ForkRequest,
        body_required=False,
        query=(_WORKER_ID,),
        status=201,
        data=SessionInfo,
        failures=(400, 404, 409, 410, 413, 429, 500, 501, 502, 503, 504, 507),
    ),
    Operation(
        method="GET",
        path="/v1/sessions/{session_id}/files/{path:path}",
        handler="read_file",
        admits=True,
        query=(_WORKER_ID,),
        media_type="application/octet-stream",
        failures=(206, 400, 404, 410, 416, 429, 500, 501, 502, 503, 504),
    ),
    Operation(
        method="PUT",
        path="/v1/sessions/{session_id}/files/{path:path}",
        handler="write_file",
        admits=True,
        body=bytes,
        query=(_WORKER_ID,),
        failures=(400, 404, 410, 413, 429, 500, 501, 502, 503, 504, 507),
    ),
    Operation(
        method="POST",
        path=EXECUTE,
        handler="execute",
        admits=True,
        body=ExecuteRequest,
        data={},
        failures=(400, 404, 409, 410, 413, 429, 500, 502, 503, 504, 507),
    ),
    Operation(
        method="POST",
        path="/v1/execute/batch",
        handler="execute_batch",
        admits=True,
        body=BatchRequest,
        data=_object(results={"type": "array", "items": {"$ref": "#/components/schemas/ToolResult"}}),
        failures=(400, 413, 503),
    ),
    Operation(
        method="GET",
        path="/v1/artifacts/{sha256}",
        handler="artifact",
        media_type="application/octet-stream",
        failures=(206, 404, 416),
    ),
    Operation(
        method="POST",
        path="/v1/workers/{worker_id:path}/heartbeat",
        handler="heartbeat",
        body=HeartbeatRequest,
        body_required=False,
        data=_object(heartbeat_s=_NUMBER, worker_lost_s=_NUMBER),
        failures=(400, 404, 413),
    ),
    Operation(method="DELETE", path="/v1/workers/{worker_id:path}", handler="close_worker", failures=(400, 404)),
    Operation(
        method="POST",
        path="/v1/admin/drain",
        handler="drain",
        access="admin",
        status=202,
        data=_object(in_flight={"type": "integer"}),
    ),
)
