"""Messages in the chat form of OpenAI, as files and training formats have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.records.messages import ImagePart, Message, Part, TextPart, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["from_chat", "to_chat"]

_KEYS = {"role", "content", "tool_calls", "tool_call_id", "reasoning_content"}


def to_chat(message: Message) -> dict[str, Any]:
    """The message as OpenAI writes it; what it does not have is left out, but for ``content``.

    ``content`` is one text as it is, None where there is nothing, else a list of parts, of which an image is
    ``{type: image, sha256, mime}``: its bytes are in the run's blobs.
    """
    value: dict[str, Any] = {"role": message.role, "content": _content(message.content)}
    if message.tool_calls:
        value["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        value["tool_call_id"] = message.tool_call_id
    if message.reasoning is not None:
        value["reasoning_content"] = message.reasoning
    value.update(message.unknown)
    return value


def from_chat(value: Mapping[str, Any]) -> Message:
    """The message that `to_chat` wrote. Raises KeyError or TypeError for a value that is none."""
    return Message(
        role=value["role"],
        content=_parts(value.get("content")),
        tool_calls=tuple(
            ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
            for call in value.get("tool_calls") or ()
        ),
        tool_call_id=value.get("tool_call_id"),
        reasoning=value.get("reasoning_content"),
        unknown={key: item for key, item in value.items() if key not in _KEYS},
    )


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, str]] | None:
    if not parts:
        return None
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image", "sha256": part.sha256, "mime": part.mime}
        for part in parts
    ]


def _parts(content: Any) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(part) for part in content)


def _part(part: Mapping[str, Any]) -> Part:
    return TextPart(part["text"]) if part["type"] == "text" else ImagePart(part["sha256"], part["mime"])
