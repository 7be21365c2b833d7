"""Read the body of a request into its record, strictly: what is wrong is said with the field's name."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import orjson
from attrs import frozen

from agentflow_core.names import did_you_mean
from agentflow_core.records import ToolResult
from agentflow_core.sandbox.server.replies import Rejected

if TYPE_CHECKING:
    from starlette.types import Receive

__all__ = ["MOST_CALLS", "ClientGone", "label_of", "parse", "read_body", "read_json"]

T = TypeVar("T")
#: Calls in one batch at most.
MOST_CALLS = 1000
_LONGEST_LABEL = 200
_LABELS = ("session_id", "worker_id", "call_id")


class ClientGone(Exception):
    """The caller went away before its request had come in whole."""


async def read_body(receive: Receive, limit: int, announced: bytes | None = None) -> bytes:
    """The whole body.

    Raises:
        Rejected: it is larger than ``limit`` bytes.
        ClientGone: it did not come to its end.
    """
    if announced is not None and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= limit:
        return body
    parts = [body]
    size = len(body)
    while size <= limit:
        if message["type"] == "http.disconnect":
            raise ClientGone
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    raise _too_large(limit)


def _too_large(limit: int) -> Rejected:
    message = f"the request is larger than {limit} bytes"
    failure = ToolResult.failure("invalid_argument", message, hint="send less, or raise server.max_body_bytes")
    return Rejected(failure, status=413, headers=((b"connection", b"close"),))


def read_json(body: bytes) -> Any:
    """The JSON value of a body. NaN and lone surrogates pass, so that whoever takes the value can name its place.

    Raises:
        Rejected: it is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise _invalid(f"the body is not JSON: {error}") from error


def parse(cls: type[T], value: Any, where: str = "") -> T:
    """The record of a JSON value.

    Raises:
        Rejected: with every field that is unknown, missing or of a wrong type.
    """
    shape = _SHAPES.get(cls) or _shape(cls)
    if not isinstance(value, dict):
        raise _invalid(f"{where or 'the body'}: expected an object, not {_kind(value)}")
    problems: list[str] = []
    found: dict[str, Any] = {}
    for key, item in value.items():
        check = shape.checks.get(key)
        if check is None:
            problems.append(f"{where}{key[:60]!r} is not a field{did_you_mean(key[:60], shape.checks)}")
            continue
        try:
            found[key] = check(item, f"{where}{key}")
        except _Wrong as error:
            problems.append(str(error))
    problems += [f"{where}{name!r} is missing" for name in shape.required if name not in value]
    if problems:
        raise _invalid("; ".join(problems[:10]))
    return cls(**found)


def label_of(value: Any, where: str) -> str | None:
    """A label of the caller's choice, or None. Raises `Rejected` if it is long or holds what cannot be printed."""
    try:
        return _label(value, where)
    except _Wrong as error:
        raise _invalid(str(error)) from error


class _Wrong(Exception):
    """A value that does not fit its field."""


Check = Callable[[Any, str], Any]


@frozen
class _Shape:
    checks: Mapping[str, Check]
    required: tuple[str, ...]


_SHAPES: dict[type, _Shape] = {}


def _shape(cls: type) -> _Shape:
    hints = typing.get_type_hints(cls)
    fields = attrs.fields(cls)
    made = _SHAPES[cls] = _Shape(
        {one.name: _label if one.name in _LABELS else _check(hints[one.name]) for one in fields},
        tuple(one.name for one in fields if one.default is attrs.NOTHING),
    )
    return made


def _check(hint: Any) -> Check:
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is UnionType or origin is typing.Union:
        [member] = [one for one in arguments if one is not NoneType]
        inner = _check(member)
        return lambda value, where: None if value is None else inner(value, where)
    if origin is Mapping:
        return _mapping(None if arguments[1] is Any else _check(arguments[1]))
    if origin is tuple:
        return _sequence(arguments[0])
    return {str: _text, bool: _flag, float: _seconds}[hint]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"{where}: expected text, not {_kind(value)}")
    return value


def _label(value: Any, where: str) -> str | None:
    if value is None:
        return None
    text = _text(value, where)
    if not (0 < len(text) <= _LONGEST_LABEL and text.isprintable()):
        raise _Wrong(f"{where}: expected 1 to {_LONGEST_LABEL} printable characters")
    return text


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"{where}: expected true or false, not {_kind(value)}")
    return value


def _seconds(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise _Wrong(f"{where}: expected a number above 0")
    return value


def _mapping(inner: Check | None) -> Check:
    def check(value: Any, where: str) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _Wrong(f"{where}: expected an object, not {_kind(value)}")
        if inner is None:
            return value
        return {_label(key, f"a name in {where}"): inner(item, f"{where}.{key}") for key, item in value.items()}

    return check


def _sequence(member: Any) -> Check:
    def check(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Wrong(f"{where}: expected a list, not {_kind(value)}")
        if len(value) > MOST_CALLS:
            raise _Wrong(f"{where}: expected {MOST_CALLS} at most, not {len(value)}")
        if attrs.has(member):
            return tuple(parse(member, item, f"{where}[{index}].") for index, item in enumerate(value))
        return tuple(_label(_text(item, f"{where}[{index}]"), f"{where}[{index}]") for index, item in enumerate(value))

    return check


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _invalid(message: str) -> Rejected:
    return Rejected(ToolResult.failure("invalid_argument", message, hint="/openapi.json describes every request"))
