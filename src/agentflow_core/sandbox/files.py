"""Read and write the files of sessions, under the locks and limits of calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio.abc import TaskGroup
from attrs import frozen

from agentflow_core.errors import SandboxError
from agentflow_core.records import clean_json
from agentflow_core.sandbox.backend import Backend, FileSlice
from agentflow_core.sandbox.execution import admitted, run_tool
from agentflow_core.sandbox.hosting import BackendHost
from agentflow_core.sandbox.sessions import LiveSession
from agentflow_core.sandbox.tools import ToolFunction

__all__ = ["LARGEST_READ_BYTES", "SessionFiles", "check_path", "check_span", "no_files"]

#: Last parts of paths that are folders everywhere; what stands before the server may take them for steps in the URL.
_FOLDERS = ("", ".", "..")
#: What is read at once at most, since it is held in memory.
LARGEST_READ_BYTES = 64 * 1024 * 1024


@frozen(kw_only=True)
class SessionFiles:
    """The files of one session; of a shared backend, ``live`` is None."""

    host: BackendHost
    live: LiveSession | None
    worker_id: str
    clock: Callable[[], float]
    tasks: TaskGroup

    async def read(self, path: str, start: int, end: int | None) -> FileSlice:
        """The bytes ``[start, end)``; see `SandboxEngine.read_file`."""
        furthest = start + LARGEST_READ_BYTES
        stop = furthest if end is None else min(max(start, end), furthest)
        found = FileSlice(data=b"", size=0)

        async def work(backend: Backend, state: Any) -> None:
            nonlocal found
            found = await backend.read_file(state, path, start, stop)
            if not isinstance(found, FileSlice):
                raise TypeError(f"read_file returned a {type(found).__name__}, not a FileSlice")

        await self._run(work, shared=True)
        if stop < min(found.size, found.size if end is None else end):
            raise SandboxError(
                f"{path[:100]!r} has {found.size} bytes, and {LARGEST_READ_BYTES} are read at once at most",
                code="invalid_argument",
                hint="read it in parts: give start and end",
            )
        return found

    async def write(self, path: str, data: bytes) -> None:
        """Put the file there; see `SandboxEngine.write_file`."""

        async def work(backend: Backend, state: Any) -> None:
            await backend.write_file(state, path, data)

        await self._run(work, shared=False)

    async def _run(self, work: Callable[[Backend, Any], Awaitable[None]], *, shared: bool) -> None:
        """Do it as a call of the session: in its turn, bounded in time, and cancelled when the session is closed."""
        host, live = self.host, self.live
        lease = await admitted(host, live, shared, self.worker_id, self.clock)
        function = ToolFunction(
            name=f"{host.name} files",
            function=work,
            is_async=True,
            takes_state=True,
            description="",
            schema={},
            parameters={},
        )
        result = await run_tool(lease, function, {}, host.limits.timeout_s, self.tasks)
        if result.code == "session_lost" and live is not None and live.is_open:
            live.close("lost")
        if not result.ok:
            raise SandboxError(result.message, code=result.code, hint=result.hint)


def check_path(path: str) -> None:
    """Raise `SandboxError` for what is no path of a file in any environment; the others are the backend's to judge."""
    if not isinstance(path, str) or "\0" in path or clean_json(path) != path:
        raise SandboxError("path: expected Unicode without NUL", code="invalid_argument")
    if path.rpartition("/")[2] in _FOLDERS:
        raise SandboxError(f"path: {path[:100]!r} names no file", code="invalid_argument")


def check_span(start: int, end: int | None) -> None:
    """Raise `SandboxError` for what are no offsets into a file."""
    for name, value in (("start", start), ("end", 0 if end is None else end)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise SandboxError(f"{name}: expected a number of bytes from 0", code="invalid_argument")


def no_files(backend: str) -> SandboxError:
    """The error of reading or writing where a backend does not offer it."""
    return SandboxError(
        f"backend {backend!r} has no files that can be read or written from outside",
        code="unsupported",
        hint="use its tools",
    )
