"""Record what tools answered, for `ReplayingSandbox` to answer again."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio

from agentflow_core.answers import AnswerStore
from agentflow_core.errors import UnknownNameError
from agentflow_core.records import ToolResult
from agentflow_core.records.codec import dumps, loads
from agentflow_core.sandbox.calls import Call, execute_once, result_log
from agentflow_core.sandbox.files import check_path, check_span
from agentflow_core.sandbox.history import Histories, Request
from agentflow_core.sandbox.openings import Openings
from agentflow_core.sandbox.recorded_files import details_of_write, file_answer, found_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.worker import Door

__all__ = ["RecordingSandbox"]

#: Answers of the engine about itself: another time the same call may be answered by the tool.
_NOT_RECORDED = ("overloaded", "not_ready", "cancelled", "session_expired", "session_lost")


class RecordingSandbox:
    """Passes every call on to ``door`` and keeps what came back in the file at ``path``.

    A tool without state that only reads is asked once for the same arguments: what it said first is what a replay
    says, so a recording run goes on with that too. Calls of one worker in one backend are taken one after the other.
    """

    def __init__(self, door: Door, path: Path) -> None:
        self._door = door
        self._store = AnswerStore(path)
        self._histories = Histories()
        self._locks: dict[tuple[str, str], anyio.Lock] = {}
        self._calls = result_log(monotonic)
        self._openings = Openings(monotonic)

    @property
    def catalog(self) -> Catalog:
        """What is offered."""
        return self._door.catalog

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.aclose()

    async def execute(
        self,
        worker_id: str,
        tool: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        timeout_s: float | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """Run the tool and record what it answered."""
        run = partial(self._execute, worker_id, tool, params, session, timeout_s)
        return await execute_once(self._calls, worker_id, tool, params, session, call_id, run)

    async def _execute(
        self,
        worker_id: str,
        tool: str,
        params: Mapping[str, Any] | None,
        session: str | None,
        timeout_s: float | None,
        call: Call[ToolResult],
    ) -> ToolResult:
        run = partial(self._door.execute, worker_id, tool, params, session=session, timeout_s=timeout_s)
        try:
            group, offered = self.catalog.find(tool)
        except UnknownNameError:
            return await run()  # it says what there is
        arguments = offered.function.validate(params)
        if isinstance(arguments, ToolResult):
            return await run()
        if group.sharing == "shared":
            request = self._histories.request("", offered.function, arguments)
            if offered.function.read_only and (stored := await self._store.get(request.key)) is not None:
                return loads(ToolResult, stored)
            call.ran = True
            return await self._record(request, await run())
        async with self._locks.setdefault((worker_id, group.name), anyio.Lock()):
            call.ran = True
            result = await run()
            if result.code in _NOT_RECORDED or not result.session_id:
                return result
            if result.session_id not in self._histories:
                self._histories.open(result.session_id, worker_id, group.name, {})
            request = self._histories.request(result.session_id, offered.function, arguments)
            self._histories.advance(result.session_id, request)
            return await self._record(request, result)

    async def _record(self, request: Request, result: ToolResult) -> ToolResult:
        if result.code not in _NOT_RECORDED:
            await self._store.put(request.key, request.body, dumps(result))
        return result

    async def create_session(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], *, call_id: str | None = None
    ) -> Mapping[str, SessionInfo]:
        """Open sessions, all or none."""
        return await self._openings.create(worker_id, backends, call_id, self._create)

    async def _create(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> Mapping[str, SessionInfo]:
        infos = await self._door.create_session(worker_id, backends)
        for name, info in infos.items():
            if self.catalog.backend(name).sharing != "shared":
                self._histories.open(info.id, worker_id, name, backends[name] or {})
        return infos

    async def fork(self, worker_id: str, session_id: str, *, call_id: str | None = None) -> SessionInfo:
        """Copy a session, and its history."""
        return await self._openings.fork(worker_id, session_id, call_id, self._fork)

    async def _fork(self, worker_id: str, session_id: str) -> SessionInfo:
        info = await self._door.fork(worker_id, session_id)
        if session_id not in self._histories:  # no call was made in it yet
            self._histories.open(session_id, worker_id, info.backend, {})
        self._histories.fork(info.id, session_id, info.backend)
        return info

    async def list_sessions(self, worker_id: str) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        return await self._door.list_sessions(worker_id)

    async def session_like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings of a session, or of a backend."""
        return await self._door.session_like(worker_id, target)

    async def read_file(
        self, worker_id: str, session_id: str, path: str, start: int = 0, end: int | None = None
    ) -> FileSlice:
        """Read a part of a file and record it."""
        check_path(path)
        check_span(start, end)
        work = partial(self._door.read_file, worker_id, session_id, path, start, end)
        details = {"path": path, "start": start, "end": end}
        return found_in(await self._on_file(worker_id, session_id, "read", details, work))

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """Write a file, which is a step of the session's history."""
        check_path(path)
        work = partial(self._door.write_file, worker_id, session_id, path, data)
        found_in(await self._on_file(worker_id, session_id, "write", details_of_write(path, data), work))

    async def _on_file(
        self,
        worker_id: str,
        session_id: str,
        action: str,
        details: Mapping[str, Any],
        work: Callable[[], Awaitable[FileSlice | None]],
    ) -> ToolResult:
        backend, _ = await self._door.session_like(worker_id, session_id)  # raises what became of one that is gone
        if session_id in self.catalog.backends:
            if self.catalog.backend(session_id).sharing != "shared":
                return await file_answer(work)  # it is no session, which is the answer
            session_id = ""
        async with self._locks.setdefault((worker_id, backend), anyio.Lock()):
            answer = await file_answer(work)
            if answer.code in _NOT_RECORDED:
                return answer
            if session_id and session_id not in self._histories:
                self._histories.open(session_id, worker_id, backend, {})
            request = self._histories.file_request(session_id, action, backend, **details)
            if action == "write":
                self._histories.advance(session_id, request)
            return await self._record(request, answer)

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start a session's idle time anew."""
        return await self._door.renew(worker_id, session_id)

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Close one session."""
        await self._door.close_session(worker_id, session_id)
        self._histories.close(session_id)

    async def close_worker(self, worker_id: str) -> None:
        """Close all sessions of the worker."""
        sessions = await self._door.list_sessions(worker_id)
        await self._door.close_worker(worker_id)
        for info in sessions:
            self._histories.close(info.id)
            self._locks.pop((worker_id, info.backend), None)

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start backends."""
        await self._door.warmup(backends)

    async def status(self) -> Mapping[str, Any]:
        """States, load and limits."""
        return await self._door.status()
