"""Conversations in OpenAI's chat form, ``{messages, tools}`` a row, as samples of a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.errors import DataError
from agentflow_core.importing.chat import read_messages
from agentflow_core.importing.samples import Sample, finished, function_tool, mended
from agentflow_core.rows import Row, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.blobs import BlobStore
    from agentflow_core.importing.notes import Notes

__all__ = ["read_openai"]

_KNOWN = frozenset({"messages", "tools", "id", "task_id", "model", "metadata", "references"})


def read_openai(path: Path, blobs: BlobStore, notes: Notes) -> Iterator[Sample]:
    """A sample for each row; ``id``, ``model``, ``metadata`` and ``references`` are taken too where a row has them.

    Raises:
        DataError: a row has no messages; names file and line.
    """
    for row in read_rows(path):
        if not isinstance(row.value, dict):
            raise row.error("an object with 'messages' is expected")
        notes.rest(row.value, _KNOWN)
        yield _sample(row, row.value, blobs, notes)


def _sample(row: Row, value: dict[str, Any], blobs: BlobStore, notes: Notes) -> Sample:
    messages = mended(read_messages(value.get("messages"), row.where, blobs, notes), notes)
    tools = value.get("tools") or []
    if not isinstance(tools, list):
        raise DataError(f"{row.where}: 'tools' is no list")
    defined = tuple(tool for tool in map(function_tool, tools) if tool is not None)
    if len(defined) < len(tools):
        notes.remark("a tool that is no function; left out")
    references = value.get("references") or ()
    return finished(
        messages,
        task_id=str(value.get("task_id") or value.get("id") or f"row-{row.number}"),
        references=[str(each) for each in references] if isinstance(references, list | tuple) else [str(references)],
        model=str(value.get("model") or ""),
        tools=defined,
        metadata=dict(row.mapping("metadata")),
    )
