"""Requests as canonical JSON: what cache and recording keys are made of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from agentflow_core.records import ImagePart, TextPart

if TYPE_CHECKING:
    from agentflow_core.records import Message, ModelRequest, Sampling

__all__ = ["canonical", "key_of", "request_document", "sampling_document"]


def request_document(request: ModelRequest) -> dict[str, Any]:
    """What of a request decides its answer, as JSON-ready data; ``inputs`` and ``purpose`` do not."""
    document: dict[str, Any] = {"messages": [_message(message) for message in request.messages]}
    if request.tools:
        document["tools"] = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ]
        document["tool_choice"] = request.tool_choice
    if request.response_schema is not None:
        document["schema"] = request.response_schema
    if sampling := sampling_document(request.sampling):
        document["sampling"] = sampling
    if request.sample:
        document["sample"] = request.sample
    return document


def sampling_document(sampling: Sampling) -> dict[str, Any]:
    """The settings that are set."""
    found: dict[str, Any] = {
        name: value
        for name in ("temperature", "top_p", "max_tokens", "seed")
        if (value := getattr(sampling, name)) is not None
    }
    if sampling.stop:
        found["stop"] = list(sampling.stop)
    if sampling.extra:
        found["extra"] = dict(sampling.extra)
    return found


def canonical(document: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no spaces, UTF-8."""
    return orjson.dumps(document, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def key_of(document_json: bytes) -> str:
    """The key of a canonical document: its SHA-256 in hex."""
    return hashlib.sha256(document_json).hexdigest()


def _message(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message.role, "content": [_part(part) for part in message.content]}
    if message.tool_calls:
        found["tool_calls"] = [[call.id, call.name, call.arguments] for call in message.tool_calls]
    if message.tool_call_id is not None:
        found["tool_call_id"] = message.tool_call_id
    return found


def _part(part: TextPart | ImagePart) -> str | dict[str, str]:
    return part.text if isinstance(part, TextPart) else {"image": part.sha256, "mime": part.mime}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | set | frozenset):
        return sorted(value, key=repr) if isinstance(value, set | frozenset) else list(value)
    if hasattr(value, "items"):
        return dict(value.items())
    raise TypeError(f"{type(value).__name__} is not JSON")
