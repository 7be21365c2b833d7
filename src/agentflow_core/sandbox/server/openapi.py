"""Describe the routes as OpenAPI 3.1, from their table and the records of requests and answers."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import attrs

from agentflow_core import __version__
from agentflow_core.records import ToolResult
from agentflow_core.records.codes import CODES
from agentflow_core.sandbox.server.bodies import MOST_CALLS
from agentflow_core.sandbox.server.handlers import Handlers
from agentflow_core.sandbox.server.routes import OPERATIONS, Operation

__all__ = ["openapi"]

Schema = dict[str, Any]
_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    Any: {},
}
_LABEL: Schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[\x20-\x7e]+$"}
#: A path within a session, with its slashes quoted where a reader of this document takes it for one segment.
_PATH: Schema = {"type": "string", "minLength": 1, "description": "the path of a file, as the session's tools take it"}
_BYTES: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
#: What holds for a request's field beyond its type.
_BOUNDS: dict[str, Schema] = {
    "timeout_s": {"exclusiveMinimum": 0},
    "calls": {"maxItems": MOST_CALLS},
    "workers": {"maxItems": MOST_CALLS, "items": _LABEL},
}
_PARAMETER = re.compile(r"\{(\w+)(:\w+)?\}")


def openapi() -> Schema:
    """The document."""
    writer = _Writer()
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = writer.operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AgentFlow sandbox",
            "version": __version__,
            "description": "Tools of every environment that is installed, in sessions. Every JSON answer is an envelope.",
        },
        "paths": paths,
        "components": {
            "schemas": writer.schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Writer:
    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self.reference(ToolResult)

    def operation(self, operation: Operation) -> Schema:
        found: Schema = {
            "operationId": operation.handler,
            "summary": (inspect.getdoc(getattr(Handlers, operation.handler)) or "").partition("\n")[0],
        }
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": _PATH if name == "path" else _LABEL}
            for name, _ in _PARAMETER.findall(operation.path)
        ] + [
            {"name": name, "in": "query", "description": about, "schema": _query(name)}
            for name, about in operation.query
        ]
        if parameters:
            found["parameters"] = parameters
        if operation.body is not None:
            content = _BYTES if operation.body is bytes else _json(self.reference(operation.body))
            found["requestBody"] = {"required": operation.body_required, "content": content}
        found["responses"] = self._responses(operation)
        if operation.access != "open":
            found["security"] = [{"token": []}]
        return found

    def _responses(self, operation: Operation) -> Schema:
        envelope = _json({"$ref": "#/components/schemas/ToolResult"})
        success = _json(self._success(operation)) if operation.media_type == "application/json" else None
        body = success or {operation.media_type: {"schema": {"type": "string"}}}
        found = {str(operation.status): {"description": "a success", "content": body}}
        for status in sorted({*operation.failures, *(() if operation.access == "open" else (401, 403))}):
            content = body if status == 206 else envelope
            found[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
        return found

    def _success(self, operation: Operation) -> Schema:
        data = operation.data
        if data is None:
            data = {"type": "null"}
        schema = self.reference(data) if isinstance(data, type) else data
        envelope: Schema = {"$ref": "#/components/schemas/ToolResult"}
        return {"allOf": [envelope, {"properties": {"data": schema}}]} if schema else envelope

    def reference(self, cls: type) -> Schema:
        """A reference to the schema of a record, which is written at its first use."""
        name = cls.__name__
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name] = self._record(cls)
        return {"$ref": f"#/components/schemas/{name}"}

    def _record(self, cls: type) -> Schema:
        hints = typing.get_type_hints(cls)
        is_request = cls.__name__.endswith("Request")
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for one in attrs.fields(cls):
            if "unknown" in one.metadata:
                continue
            schema = self._type(hints[one.name])
            if is_request and one.name in ("session_id", "worker_id", "call_id"):
                schema = {"anyOf": [_LABEL, {"type": "null"}]}
            elif is_request and one.name in _BOUNDS:
                schema = _bounded(schema, _BOUNDS[one.name])
            elif cls is ToolResult and one.name == "code":
                schema = {"type": "string", "enum": list(CODES)}
            if about := one.metadata.get("about"):
                schema = {**schema, "description": about}
            properties[one.name] = schema
            if not is_request or one.default is attrs.NOTHING:
                required.append(one.name)
        found: Schema = {"type": "object", "description": (inspect.getdoc(cls) or "").partition("\n")[0]}
        found |= {"properties": properties, "required": required}
        return {**found, "additionalProperties": False} if is_request else found

    def _type(self, hint: Any) -> Schema:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (types.UnionType, typing.Union):
            return {"anyOf": [self._type(one) for one in arguments]}
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            return {"type": "array", "items": self._type(arguments[0])}
        if origin is Mapping:
            values = self._type(arguments[1])
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if attrs.has(hint):
            return self.reference(hint)
        return dict(_SCALARS[hint])


def _query(name: str) -> Schema:
    return {"enum": ["native", "openai", "mcp"], "default": "native"} if name == "format" else _LABEL


def _bounded(schema: Schema, bounds: Schema) -> Schema:
    if "anyOf" in schema:
        return {"anyOf": [one if one == {"type": "null"} else {**one, **bounds} for one in schema["anyOf"]]}
    return {**schema, **bounds}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
