"""Messages of OpenAI's chat form, as others write it, to our own."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentflow_core.errors import DataError
from agentflow_core.records import ImagePart, Message, Part, TextPart, ToolCall

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore
    from agentflow_core.importing.notes import Notes

__all__ = ["read_messages"]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_KNOWN = frozenset({"role", "content", "tool_calls", "tool_call_id", "reasoning_content"})
_DATA_URL = re.compile(r"data:(image/[\w.+-]+);base64,(.*)", re.DOTALL)


def read_messages(values: Any, where: str, blobs: BlobStore, notes: Notes) -> list[Message]:
    """The messages, with what AgentFlow has no field for kept along; pictures go into the store.

    Raises:
        DataError: they are no messages.
    """
    if not isinstance(values, list) or not values:
        raise DataError(f"{where}: a list of messages is expected")
    return [
        _message(value, f"{where}, message {number}", number, blobs, notes) for number, value in enumerate(values, 1)
    ]


def _message(value: Any, where: str, number: int, blobs: BlobStore, notes: Notes) -> Message:
    role = _ROLES.get(str(value.get("role"))) if isinstance(value, Mapping) else None
    if role is None:
        raise DataError(f"{where}: no message with one of the roles {', '.join(_ROLES)}")
    calls = value.get("tool_calls") or ()
    if not isinstance(calls, list | tuple):
        raise DataError(f"{where}: tool_calls is no list")
    id = value.get("tool_call_id")
    return Message(
        role=role,  # type: ignore[arg-type]
        content=tuple(_parts(value.get("content"), where, blobs, notes)),
        tool_calls=tuple(_call(call, f"call_{number}_{index}", where) for index, call in enumerate(calls)),
        tool_call_id=None if id is None else str(id),
        reasoning=value.get("reasoning_content"),
        unknown={key: item for key, item in value.items() if key not in _KNOWN and item is not None},
    )


def _call(value: Any, id: str, where: str) -> ToolCall:
    function = value.get("function") if isinstance(value, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise DataError(f"{where}: a tool call names no function")
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=str(value.get("id") or id), name=function["name"], arguments=arguments)


def _parts(content: Any, where: str, blobs: BlobStore, notes: Notes) -> list[Part]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [TextPart(content)]
    if not isinstance(content, list):
        raise DataError(f"{where}: its content is neither a text nor a list of parts")
    return [part for value in content if (part := _part(value, where, blobs, notes)) is not None]


def _part(value: Any, where: str, blobs: BlobStore, notes: Notes) -> Part | None:
    if isinstance(value, str):
        return TextPart(value)
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: a part of its content is no object")
    if isinstance(value.get("text"), str):
        return TextPart(value["text"])
    url = value.get("image_url")
    if isinstance(url, Mapping):
        url = url.get("url")
    if not isinstance(url, str):
        notes.remark(f"a part of a message of type {value.get('type')!r}; left out")
        return None
    found = _DATA_URL.fullmatch(url)
    if found is None:
        notes.remark("a picture by its address, which is not fetched; the address is kept as text")
        return TextPart(f"[picture: {url}]")
    try:
        data = base64.b64decode(found[2], validate=True)
    except binascii.Error as error:
        raise DataError(f"{where}: a picture that is not base64: {error}") from error
    return ImagePart(blobs.put(data), found[1])
