"""The envelope that every tool of every environment answers with."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Literal

from attrs import field, frozen

from agentflow_core.records.base import Record
from agentflow_core.records.codes import CODES

__all__ = [
    "SHOWN_LIMIT_BYTES",
    "Artifact",
    "ImageContent",
    "ResourceContent",
    "TextContent",
    "ToolResult",
    "ToolUsage",
    "Truncation",
    "clean_json",
    "clean_text",
    "cut",
]

#: What a model is shown of one result at most, in UTF-8 bytes: head and tail, half each.
SHOWN_LIMIT_BYTES = 32 * 1024
_DECIMAL_BITS = 10_000  # Python refuses to write much longer integers in decimal
#: An escape sequence, or an escape character alone: what is left of one could make a sequence with what follows it.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?")


@frozen
class TextContent:
    """Text for the model."""

    text: str
    type: Literal["text"] = "text"


@frozen(kw_only=True)
class ImageContent:
    """An image for the model: the bytes themselves, or the hash of an artifact."""

    mime: str
    data: bytes | None = field(default=None, repr=False)
    sha256: str | None = None
    type: Literal["image"] = "image"


@frozen(kw_only=True)
class ResourceContent:
    """A pointer to something that the model may open with another tool."""

    uri: str
    mime: str = "text/plain"
    text: str = ""
    type: Literal["resource"] = "resource"


Content = TextContent | ImageContent | ResourceContent


@frozen(kw_only=True)
class Artifact:
    """Bytes that are too large to inline, by content hash."""

    sha256: str
    mime: str
    bytes: int
    name: str = ""


@frozen(kw_only=True)
class Truncation:
    """How much of the text a model is shown, and the artifact that holds the whole."""

    bytes_total: int
    bytes_kept: int
    artifact: str = ""


@frozen(kw_only=True)
class ToolUsage:
    """What a call took."""

    wall_ms: float = 0.0
    queue_ms: float = 0.0
    cpu_ms: float | None = None
    max_rss: int | None = None  #: bytes
    bytes_out: int = 0


@frozen(kw_only=True)
class ToolResult(Record):
    """One answer of one tool. ``ok=False`` is a tool that failed in its own terms; it is a value, never raised."""

    ok: bool = True
    code: str = "ok"  #: one of `agentflow_core.records.codes.CODES`
    message: str = ""
    hint: str = ""  #: what the agent may do next
    retryable: bool = False
    retry_after_s: float | None = None
    data: Any = None  #: JSON
    content: tuple[Content, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    truncation: Truncation | None = None
    usage: ToolUsage = ToolUsage()
    tool: str = ""
    session_id: str = ""
    call_id: str = ""
    trace_id: str = ""

    @classmethod
    def success(cls, data: Any = None, *, text: str | None = None, content: Sequence[Content] = ()) -> ToolResult:
        """A success with JSON ``data``; ``text`` is what the model reads (default: the data as JSON)."""
        parts = tuple(content)
        if text is not None:
            parts = (TextContent(clean_text(text)), *parts)
        return cls(data=clean_json(data), content=parts)

    @classmethod
    def failure(
        cls, code: str, message: str, *, hint: str = "", data: Any = None, retry_after_s: float | None = None
    ) -> ToolResult:
        """A failure with a code of `CODES`, a message for the agent and a hint what to do next."""
        known = CODES[code]
        return cls(
            ok=False,
            code=code,
            message=clean_text(message),
            hint=clean_text(hint),
            retryable=known.retryable,
            retry_after_s=retry_after_s,
            data=clean_json(data),
        )

    @property
    def text(self) -> str:
        """The whole text of the result: its text parts, else its data as JSON; of a failure, code and message too."""
        parts = [part.text for part in self.content if isinstance(part, TextContent)]
        if not self.ok:
            parts.insert(0, f"error [{self.code}]: {self.message}" + (f"\n{self.hint}" if self.hint else ""))
        elif not parts and self.data is not None:
            parts.append(json.dumps(self.data, ensure_ascii=False, indent=1))
        return "\n".join(parts)

    @property
    def shown(self) -> str:
        """What a model is shown: ``text``, and of a text over 32 KB its head and tail."""
        return cut(self.text)


def cut(text: str, limit_bytes: int = SHOWN_LIMIT_BYTES) -> str:
    """``text`` if its UTF-8 form fits; else its head and tail, half the limit each, around a line that says what is left out."""
    if len(text) * 4 <= limit_bytes:
        return text
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit_bytes:
        return text
    half = limit_bytes // 2
    head = raw[:half].decode("utf-8", "ignore")
    tail = raw[len(raw) - half :].decode("utf-8", "ignore")
    omitted = len(raw) - len(head.encode()) - len(tail.encode())
    return f"{head}\n[… {omitted} bytes omitted …]\n{tail}"


def clean_text(text: str) -> str:
    """``text`` without ANSI sequences, and with lone surrogates replaced, so that it can be encoded."""
    return _encodable(_ANSI.sub("", text) if "\x1b" in text else text)


def clean_json(value: Any) -> Any:
    """``value`` as JSON that any parser accepts.

    NaN, infinities and integers of more than 64 bits become strings, bytes base64, and keys strings.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _encodable(value)
    if kind is float:
        return value if isfinite(value) else str(value)
    if kind is int:
        return value if -(2**63) <= value < 2**64 else _large(value)
    if kind is list:
        return [clean_json(item) for item in value]
    if value is None or kind is bool:
        return value
    if isinstance(value, int):
        return clean_json(int(value))
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_encodable(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Sequence | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [clean_json(item) for item in items]
    return clean_text(str(value))


def _large(value: int) -> str:
    return str(value) if value.bit_length() < _DECIMAL_BITS else hex(value)


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
