"""Put what a tool returned into the envelope: clean, with a known code, large texts as artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve

from agentflow_core.records import Artifact, TextContent, ToolResult, Truncation, clean_json, clean_text
from agentflow_core.records.codes import CODES
from agentflow_core.records.results import SHOWN_LIMIT_BYTES

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore

__all__ = ["defect", "enveloped", "size_of", "with_artifact"]

_MESSAGE_CHARS = 2000


def enveloped(value: Any) -> ToolResult:
    """The result that a tool's return value stands for: a result, a text, a JSON value, or nothing."""
    if isinstance(value, ToolResult):
        return _cleaned(value)
    if value is None:
        return ToolResult()
    if isinstance(value, str):
        return ToolResult.success(text=value)
    if isinstance(value, bool | int | float | Mapping | list | tuple):
        return ToolResult.success(value)
    return ToolResult.failure("internal", f"the tool returned a {type(value).__name__}, which is not JSON")


def defect(error: BaseException) -> ToolResult:
    """The result of a tool that raised what it should not: the kind of exception and its message."""
    try:
        said = str(error)
    except Exception as second:  # noqa: BLE001 - plugin boundary: its exception cannot even be shown
        said = f"(its message cannot be shown: {type(second).__name__})"
    name = type(error).__name__
    return ToolResult.failure("internal", f"{name}: {said[:_MESSAGE_CHARS]}" if said else name)


def size_of(result: ToolResult) -> int:
    """The bytes of the result's text in UTF-8."""
    text = result.text
    return len(text) if text.isascii() else len(text.encode("utf-8"))


async def with_artifact(result: ToolResult, blobs: BlobStore) -> ToolResult:
    """The result with its whole text stored as an artifact and its truncation told; the text stays in it whole."""
    raw = result.text.encode("utf-8")
    sha256 = await anyio.to_thread.run_sync(blobs.put, raw)
    half = SHOWN_LIMIT_BYTES // 2
    kept = len(raw[:half].decode("utf-8", "ignore").encode()) + len(raw[-half:].decode("utf-8", "ignore").encode())
    stored = Artifact(sha256=sha256, mime="text/plain; charset=utf-8", bytes=len(raw), name="text")
    return evolve(
        result,
        artifacts=(*result.artifacts, stored),
        truncation=Truncation(bytes_total=len(raw), bytes_kept=kept, artifact=sha256),
    )


def _cleaned(result: ToolResult) -> ToolResult:
    if result.code not in CODES or result.ok != (result.code == "ok"):
        return ToolResult.failure(
            "internal", f"the tool answered with ok={result.ok} and the code {result.code[:60]!r}, which do not fit"
        )
    changed: dict[str, Any] = {}
    data = result.data
    if data is not None and type(data) is not int and (clean := clean_json(data)) is not data:
        changed["data"] = clean
    if any(isinstance(part, TextContent) and clean_text(part.text) != part.text for part in result.content):
        changed["content"] = tuple(
            evolve(part, text=clean_text(part.text)) if isinstance(part, TextContent) else part
            for part in result.content
        )
    if not result.ok and clean_text(result.message + result.hint) != result.message + result.hint:
        changed["message"] = clean_text(result.message)
        changed["hint"] = clean_text(result.hint)
    return evolve(result, **changed) if changed else result
