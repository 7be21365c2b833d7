"""Messages between an agent and a model, in the shape of OpenAI chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from agentflow_core.names import wire_name
from agentflow_core.records.base import Record

__all__ = ["ImagePart", "Message", "Part", "TextPart", "ToolCall", "ToolDefinition", "assistant", "system", "user"]


@frozen
class TextPart:
    """A piece of text."""

    text: str
    type: Literal["text"] = "text"


@frozen
class ImagePart:
    """An image by the hash of its bytes in the run's blob store."""

    sha256: str
    mime: str = "image/png"
    type: Literal["image"] = "image"


Part = TextPart | ImagePart


@frozen(kw_only=True)
class ToolCall:
    """One call that a model asks for: its id, the wire name and the argument string, all as sent."""

    id: str
    name: str  #: the wire name, such as ``rag_search``
    arguments: str


@frozen(kw_only=True)
class ToolDefinition:
    """A tool as it is offered to a model."""

    name: str  #: the native name, such as ``rag:search``
    description: str
    parameters: Mapping[str, Any]  #: JSON Schema of an object

    @property
    def wire_name(self) -> str:
        """The name that the model sees."""
        return wire_name(self.name)


@frozen(kw_only=True)
class Message(Record):
    """One message. A tool message answers one call of the assistant message before it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None  #: what the server returned as ``reasoning_content``, where it did

    @property
    def text(self) -> str:
        """Its text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


def system(text: str) -> Message:
    """A system message."""
    return Message(role="system", content=(TextPart(text),))


def user(text: str) -> Message:
    """A user message."""
    return Message(role="user", content=(TextPart(text),))


def assistant(text: str = "", *, tool_calls: tuple[ToolCall, ...] = (), reasoning: str | None = None) -> Message:
    """An assistant message."""
    parts = (TextPart(text),) if text else ()
    return Message(role="assistant", content=parts, tool_calls=tool_calls, reasoning=reasoning)
