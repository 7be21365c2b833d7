"""Keep what reading and writing the files of sessions came to, as the answers of a recording."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox.backend import FileSlice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["details_of_write", "file_answer", "found_in"]


async def file_answer(work: Callable[[], Awaitable[FileSlice | None]]) -> ToolResult:
    """What reading or writing came to, as it is recorded; its failure too."""
    try:
        found = await work()
    except SandboxError as error:
        return ToolResult.failure(error.code, error.message, hint=error.hint)
    if found is None:
        return ToolResult()
    return ToolResult(data={"base64": base64.b64encode(found.data).decode("ascii"), "size": found.size})


def found_in(answer: ToolResult) -> FileSlice:
    """What `file_answer` was made of; of a writing, nothing. Raises `SandboxError` if that is what it was."""
    if not answer.ok:
        raise SandboxError(answer.message, code=answer.code, hint=answer.hint)
    data: Any = answer.data or {"base64": "", "size": 0}
    return FileSlice(data=base64.b64decode(data["base64"]), size=data["size"])


def details_of_write(path: str, data: bytes) -> dict[str, Any]:
    """What tells one writing from another; it may be larger than what a recording should repeat."""
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest()}
