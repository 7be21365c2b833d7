"""Answer from a recording, without starting any backend."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve

from agentflow_core.answers import AnswerStore
from agentflow_core.errors import ReplayMissError, SandboxError, UnknownNameError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.records import ToolResult
from agentflow_core.records.codec import loads
from agentflow_core.sandbox.calls import Call, execute_once, result_log
from agentflow_core.sandbox.files import check_path, check_span
from agentflow_core.sandbox.history import Histories, Request
from agentflow_core.sandbox.openings import Openings
from agentflow_core.sandbox.recorded_files import details_of_write, found_in
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import cannot_fork, gone, no_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from agentflow_core.blobs import BlobStore
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.catalog import Catalog

__all__ = ["ReplayingSandbox"]


class ReplayingSandbox:
    """Answers every call from the file at ``path``. Schemas come from classes; no backend is started.

    A call that was not recorded at this point of its session raises `ReplayMissError`.
    """

    def __init__(self, catalog: Catalog, path: Path, *, blobs: BlobStore) -> None:
        self.catalog = catalog
        self._path = path
        self._store = AnswerStore(path)
        self._blobs = blobs
        self._histories = Histories()
        self._sessions: dict[str, tuple[SessionInfo, Mapping[str, Any]]] = {}
        self._opened = 0
        self._closed: dict[str, str] = {}  # session → its worker
        self._calls = result_log(monotonic)
        self._openings = Openings(monotonic)

    async def __aenter__(self) -> Self:
        if not self._path.is_file():
            raise SandboxError(f"no recording at {self._path}", code="not_found", hint="make one with record=")
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
        """The recorded answer."""
        run = partial(self._execute, worker_id, tool, params, session)
        return await execute_once(self._calls, worker_id, tool, params, session, call_id, run)

    async def _execute(
        self, worker_id: str, tool: str, params: Mapping[str, Any] | None, session: str | None, call: Call[ToolResult]
    ) -> ToolResult:
        try:
            group, offered = self.catalog.find(tool)
        except UnknownNameError as error:
            return evolve(ToolResult.failure("unknown_tool", error.message, hint=error.hint), tool=tool)
        arguments = offered.function.validate(params)
        if isinstance(arguments, ToolResult):
            return evolve(arguments, tool=tool)
        try:
            session_id = "" if group.sharing == "shared" else self._session_for(worker_id, group.name, session)
        except Refusal as refusal:
            return evolve(refusal.result, tool=tool)
        request = self._histories.request(session_id, offered.function, arguments)
        self._histories.advance(session_id, request)
        call.ran = True
        result = await self._answer(request)
        if result.truncation is not None and result.truncation.artifact not in self._blobs:
            await anyio.to_thread.run_sync(self._blobs.put, result.text.encode("utf-8"))
        return evolve(result, session_id=session_id)

    async def _answer(self, request: Request) -> ToolResult:
        stored = await self._store.get(request.key)
        if stored is None:
            raise await self._miss(request)
        return loads(ToolResult, stored)

    async def _miss(self, request: Request) -> ReplayMissError:
        nearest = await self._store.nearest(request.body)
        asked = _short(request.body)
        if nearest is None or nearest.request is None:
            return ReplayMissError(f"{self._path} holds no answer to {asked}", hint="the recording is empty")
        if nearest.request == request.body:
            hint = "the same call is recorded, but after other calls in its session"
        else:
            hint = f"the nearest recorded call: {_short(nearest.request)}"
        return ReplayMissError(f"{self._path} holds no answer to {asked}", hint=hint)

    def _session_for(self, worker_id: str, backend: str, session_id: str | None) -> str:
        if session_id is not None:
            return self._named(worker_id, session_id)[0].id
        for info, _ in self._sessions.values():
            if info.worker_id == worker_id and info.backend == backend:
                return info.id
        return self._open(worker_id, backend, {}).id

    def _named(self, worker_id: str, session_id: str) -> tuple[SessionInfo, Mapping[str, Any]]:
        if self._closed.get(session_id) == worker_id:
            raise Refusal(gone(session_id, "closed"))
        found = self._sessions.get(session_id)
        if found is None or found[0].worker_id != worker_id:
            raise Refusal(no_session(session_id, worker_id))
        return found

    def _open(
        self, worker_id: str, backend: str, settings: Mapping[str, Any], parent: str | None = None
    ) -> SessionInfo:
        self._opened += 1
        info = SessionInfo(id=f"{backend}-{self._opened}", backend=backend, worker_id=worker_id, state="ready")
        if parent is None:
            self._histories.open(info.id, worker_id, backend, settings)
        else:
            self._histories.fork(info.id, parent, backend)
        self._sessions[info.id] = info, settings
        return info

    async def create_session(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], *, call_id: str | None = None
    ) -> Mapping[str, SessionInfo]:
        """Sessions by name only."""
        return await self._openings.create(worker_id, backends, call_id, self._create)

    async def _create(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> Mapping[str, SessionInfo]:
        groups = {name: self.catalog.backend(name) for name in backends}
        return {
            name: self._open(worker_id, name, backends[name] or {})
            if group.sharing != "shared"
            else SessionInfo(id=name, backend=name, worker_id=worker_id, state="ready")
            for name, group in groups.items()
        }

    async def list_sessions(self, worker_id: str) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        return tuple(info for info, _ in self._sessions.values() if info.worker_id == worker_id)

    async def session_like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings of a session, or of a backend."""
        if target in self.catalog.backends:
            return target, {}
        info, settings = self._named(worker_id, target)
        return info.backend, settings

    async def fork(self, worker_id: str, session_id: str, *, call_id: str | None = None) -> SessionInfo:
        """A session with the same history."""
        return await self._openings.fork(worker_id, session_id, call_id, self._fork)

    async def _fork(self, worker_id: str, session_id: str) -> SessionInfo:
        if session_id in self.catalog.backends and self.catalog.backend(session_id).sharing == "shared":
            raise cannot_fork(session_id)
        info, settings = self._named(worker_id, session_id)
        if not self.catalog.backend(info.backend).can_fork:
            raise cannot_fork(info.backend)
        return self._open(worker_id, info.backend, settings, session_id)

    async def read_file(
        self, worker_id: str, session_id: str, path: str, start: int = 0, end: int | None = None
    ) -> FileSlice:
        """The recorded part of a file."""
        check_path(path)
        check_span(start, end)
        details = {"path": path, "start": start, "end": end}
        return found_in(await self._answer(self._file_request(worker_id, session_id, "read", details)[1]))

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """What became of the same writing when it was recorded."""
        check_path(path)
        own, request = self._file_request(worker_id, session_id, "write", details_of_write(path, data))
        self._histories.advance(own, request)
        found_in(await self._answer(request))

    def _file_request(
        self, worker_id: str, session_id: str, action: str, details: Mapping[str, Any]
    ) -> tuple[str, Request]:
        """The session that has a history, or none, and what is asked in it."""
        if session_id in self.catalog.backends and self.catalog.backend(session_id).sharing == "shared":
            backend, session_id = session_id, ""
        else:
            backend = self._named(worker_id, session_id)[0].backend
        return session_id, self._histories.file_request(session_id, action, backend, **details)

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Nothing expires here."""
        return self._named(worker_id, session_id)[0]

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Forget a session."""
        if self._sessions.pop(session_id, None) is not None:
            self._closed[session_id] = worker_id
        self._histories.close(session_id)

    async def close_worker(self, worker_id: str) -> None:
        """Forget the worker's sessions."""
        for info in await self.list_sessions(worker_id):
            await self.close_session(worker_id, info.id)

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Nothing starts; unknown names are refused."""
        for name in backends:
            self.catalog.backend(name)

    async def status(self) -> Mapping[str, Any]:
        """What is replayed."""
        backends = {name: {"state": "replayed"} for name in self.catalog.backends}
        return {"backends": backends, "api_tools": {}, "sessions": len(self._sessions), "replay": str(self._path)}


def _short(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= 400 else text[:400] + "…"
