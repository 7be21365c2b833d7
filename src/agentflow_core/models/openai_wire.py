"""Requests and answers in the form of OpenAI chat completions and embeddings, to and from our records."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import orjson

from agentflow_core.errors import ModelRequestError, TransientError
from agentflow_core.records import (
    Completion,
    ImagePart,
    Message,
    TextPart,
    ToolCall,
    Usage,
    clean_json,
    clean_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_core.blobs import BlobStore
    from agentflow_core.models.prices import PriceConfig
    from agentflow_core.records import ModelRequest, Sampling, ToolDefinition

__all__ = [
    "ANSWER_TOOL",
    "RUNGS",
    "Rung",
    "decode_body",
    "decode_completion",
    "decode_embeddings",
    "encode_body",
    "is_strict",
]

#: How a JSON answer is asked for, the most reliable way first.
Rung = Literal["json_schema", "tool", "json_object", "text"]
RUNGS: tuple[Rung, ...] = ("json_schema", "tool", "json_object", "text")
ANSWER_TOOL = "answer"

_FINISH = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
#: What servers add to a choice and trainers want: log probabilities and token ids.
_KEPT_OF_CHOICE = ("logprobs", "token_ids")
_KEPT_OF_BODY = ("prompt_logprobs", "prompt_token_ids")
_EXCERPT_CHARS = 200


def encode_body(
    request: ModelRequest,
    *,
    model: str,
    sampling: Sampling,
    rung: Rung,
    blobs: BlobStore | None = None,
    max_tokens_field: str = "max_tokens",
) -> dict[str, Any]:
    """The body of the HTTP request. ``rung`` matters where the request has a response schema.

    Raises:
        ModelRequestError: an image, but no blob store that holds its bytes.
        DataError: an image that the store does not hold.
    """
    messages = _messages(request.messages, blobs)
    body: dict[str, Any] = {"model": model, "messages": messages}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_schema is not None:
        _ask_for_json(body, request.response_schema, rung)
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        body[max_tokens_field] = sampling.max_tokens
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    body.update(sampling.extra)
    return body


def _messages(messages: Iterable[Message], blobs: BlobStore | None) -> list[dict[str, Any]]:
    """The messages; images of tool results follow their run of tool messages, which may hold text only."""
    found: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            pictures = [_image(part, blobs) for part in message.content if isinstance(part, ImagePart)]
            images += pictures
            text = message.text or ("(see the image below)" if pictures else "")
            found.append({"role": "tool", "tool_call_id": message.tool_call_id or "", "content": text})
            continue
        if images:
            found.append({"role": "user", "content": images})
            images = []
        found.append(_message(message, blobs))
    if images:
        found.append({"role": "user", "content": images})
    return found


def _message(message: Message, blobs: BlobStore | None) -> dict[str, Any]:
    content: str | list[dict[str, Any]] | None
    if any(isinstance(part, ImagePart) for part in message.content):
        content = [
            {"type": "text", "text": part.text} if isinstance(part, TextPart) else _image(part, blobs)
            for part in message.content
        ]
    else:
        content = message.text
    encoded: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        encoded["content"] = content or None
        encoded["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return encoded


def _image(part: ImagePart, blobs: BlobStore | None) -> dict[str, Any]:
    if blobs is None:
        raise ModelRequestError(
            f"the message holds the image {part.sha256[:12]}, and no blob store was given to read it from"
        )
    data = base64.b64encode(blobs.get(part.sha256)).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.wire_name, "description": tool.description, "parameters": tool.parameters},
    }


def _tool_choice(choice: str) -> str | dict[str, Any]:
    if choice in ("auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def _ask_for_json(body: dict[str, Any], schema: Mapping[str, Any], rung: Rung) -> None:
    if rung == "json_schema":
        described = {"name": ANSWER_TOOL, "schema": schema, "strict": is_strict(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
        return
    if rung == "tool":
        function = {"name": ANSWER_TOOL, "description": "Give the answer.", "parameters": schema}
        body["tools"] = [{"type": "function", "function": function}]
        body["tool_choice"] = {"type": "function", "function": {"name": ANSWER_TOOL}}
        return
    if rung == "json_object":
        body["response_format"] = {"type": "json_object"}
    wish = "Answer with one JSON value, and nothing else, that fits this JSON Schema:\n" + json.dumps(
        schema, ensure_ascii=False, default=dict
    )
    body["messages"] = [*body["messages"], {"role": "user", "content": wish}]


def is_strict(schema: Any) -> bool:
    """Does the schema fit what OpenAI's strict mode asks for: closed objects all of whose properties are required?"""
    if isinstance(schema, Mapping):
        kind = schema.get("type")
        if kind == "object" or (isinstance(kind, list | tuple) and "object" in kind) or "properties" in schema:
            properties = schema.get("properties")
            if not isinstance(properties, Mapping) or schema.get("additionalProperties") is not False:
                return False
            if set(schema.get("required", ())) != set(properties):
                return False
        elif not kind and not schema.keys() & {"anyOf", "enum", "const", "$ref"}:
            return False
        nested = ("properties", "$defs", "definitions")
        parts = [part for name in nested for part in (schema.get(name) or {}).values()]
        parts += [schema[name] for name in ("items",) if name in schema]
        parts += schema.get("anyOf", ())
        return all(is_strict(part) for part in parts)
    return False


def decode_body(content: bytes, url: str) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        TransientError: it is not one, which proxies and servers that restart answer for a while.
    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            body = clean_json(json.loads(content))  # lone surrogates, huge numbers
        except (ValueError, RecursionError) as error:
            raise TransientError(
                f"{url} answered with something that is not JSON: {_excerpt(content)}", status=200
            ) from error
    if not isinstance(body, dict):
        raise TransientError(f"{url} answered with JSON that is no object: {_excerpt(content)}", status=200)
    return body


def decode_completion(
    body: Mapping[str, Any], *, url: str, model: str, price: PriceConfig | None, answer_tool: bool = False
) -> Completion:
    """The completion of an answer. With ``answer_tool``, the arguments of that call are its text.

    Raises:
        TransientError: the answer has no choice with a message.
    """
    try:
        choice = body["choices"][0]
        said = choice["message"]
        if not isinstance(said, Mapping):
            raise TypeError("the message is no object")
    except (KeyError, IndexError, TypeError) as error:
        raise TransientError(f"{url} answered without a choice: {_excerpt(_dumped(body))}", status=200) from error
    text = _text(said.get("content")) or _text(said.get("refusal"))
    calls = _tool_calls(said.get("tool_calls"))
    if answer_tool and calls and calls[0].name == ANSWER_TOOL:
        text, calls = calls[0].arguments, ()
    reasoning = said.get("reasoning_content") or said.get("reasoning")
    finish = _FINISH.get(str(choice.get("finish_reason") or "stop"), "stop")
    if finish in ("stop", "tool_calls"):
        finish = "tool_calls" if calls else "stop"
    details = {name: choice[name] for name in _KEPT_OF_CHOICE if choice.get(name) is not None}
    details |= {name: body[name] for name in _KEPT_OF_BODY if body.get(name) is not None}
    return Completion(
        message=Message(
            role="assistant",
            content=(TextPart(text),) if text else (),
            tool_calls=calls,
            reasoning=clean_text(reasoning) if isinstance(reasoning, str) and reasoning else None,
        ),
        finish_reason=finish,
        usage=_usage(body.get("usage"), price),
        model=str(body.get("model") or model),
        details=details,
    )


def decode_embeddings(
    body: Mapping[str, Any], count: int, *, url: str, model: str, price: PriceConfig | None
) -> Completion:
    """The answer to ``count`` texts as a completion: their vectors, in order, in ``parsed["embeddings"]``.

    Raises:
        TransientError: the answer has no such vectors.
    """
    try:
        ordered = sorted(body["data"], key=lambda item: item["index"])
        if [item["index"] for item in ordered] != list(range(count)):
            raise TypeError("not one for each text")
        vectors = [[float(number) for number in item["embedding"]] for item in ordered]
    except (KeyError, TypeError, ValueError) as error:
        raise TransientError(
            f"{url} answered without {count} embeddings: {_excerpt(_dumped(body))}", status=200
        ) from error
    return Completion(
        message=Message(role="assistant"),
        usage=_usage(body.get("usage"), price),
        model=str(body.get("model") or model),
        parsed={"embeddings": vectors},
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return clean_text(content)
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return clean_text("".join(part for part in parts if isinstance(part, str)))
    return ""


def _tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list):
        return ()
    found: list[ToolCall] = []
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = "{}" if arguments is None else json.dumps(arguments, ensure_ascii=False)
        found.append(
            ToolCall(
                id=str(call.get("id") or f"call_{index}"),
                name=str(function.get("name") or ""),
                arguments=arguments,
            )
        )
    return tuple(found)


def _usage(usage: Any, price: PriceConfig | None) -> Usage:
    if not isinstance(usage, Mapping):  # a server that does not count: what it cost is not known
        return Usage(calls=1, cost_usd=None)
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    cached = _count(usage.get("prompt_tokens_details"), "cached_tokens")
    return Usage(
        calls=1,
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=completion,
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        cost_usd=None if price is None else price.cost_usd(prompt=prompt, cached=cached, completion=completion),
    )


def _count(counts: Any, name: str) -> int:
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) else 0


def _dumped(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(dict(body))


def _excerpt(content: bytes) -> str:
    text = clean_text(content[: _EXCERPT_CHARS * 4].decode("utf-8", "replace"))
    shown = " ".join(text.split())
    return repr(shown if len(shown) <= _EXCERPT_CHARS else f"{shown[:_EXCERPT_CHARS]}…")
