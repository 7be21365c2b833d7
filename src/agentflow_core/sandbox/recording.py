"""Record what tools answered, and answer from a recording without starting any backend."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from attrs import evolve

from agentflow_core.answers import AnswerStore
from agentflow_core.errors import ReplayMissError, SandboxError, UnknownNameError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.records import ToolResult
from agentflow_core.records.codec import dumps, loads
from agentflow_core.sandbox.calls import Call, CallLog, fingerprint
from agentflow_core.sandbox.history import Histories, Request
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import cannot_fork, gone, no_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from agentflow_core.blobs import BlobStore
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.worker import Door

__all__ = ["RecordingSandbox", "ReplayingSandbox"]

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
        self._calls = CallLog(monotonic)

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
        return await _once(self._calls, worker_id, tool, params, session, call_id, run)

    async def _execute(
        self,
        worker_id: str,
        tool: str,
        params: Mapping[str, Any] | None,
        session: str | None,
        timeout_s: float | None,
        call: Call,
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
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> Mapping[str, SessionInfo]:
        """Open sessions, all or none."""
        infos = await self._door.create_session(worker_id, backends)
        for name, info in infos.items():
            if self.catalog.backend(name).sharing != "shared":
                self._histories.open(info.id, worker_id, name, backends[name] or {})
        return infos

    async def fork(self, worker_id: str, session_id: str) -> SessionInfo:
        """Copy a session, and its history."""
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
        self._calls = CallLog(monotonic)

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
        return await _once(self._calls, worker_id, tool, params, session, call_id, run)

    async def _execute(
        self, worker_id: str, tool: str, params: Mapping[str, Any] | None, session: str | None, call: Call
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
        stored = await self._store.get(request.key)
        if stored is None:
            raise await self._miss(request)
        result = loads(ToolResult, stored)
        if result.truncation is not None and result.truncation.artifact not in self._blobs:
            await anyio.to_thread.run_sync(self._blobs.put, result.text.encode("utf-8"))
        return evolve(result, session_id=session_id)

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
            if self._closed.get(session_id) == worker_id:
                raise Refusal(gone(session_id, "closed"))
            return self._named(worker_id, session_id)[0].id
        for info, _ in self._sessions.values():
            if info.worker_id == worker_id and info.backend == backend:
                return info.id
        return self._open(worker_id, backend, {}).id

    def _named(self, worker_id: str, session_id: str) -> tuple[SessionInfo, Mapping[str, Any]]:
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
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> Mapping[str, SessionInfo]:
        """Sessions by name only."""
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

    async def fork(self, worker_id: str, session_id: str) -> SessionInfo:
        """A session with the same history."""
        if session_id in self.catalog.backends and self.catalog.backend(session_id).sharing == "shared":
            raise cannot_fork(session_id)
        info, settings = self._named(worker_id, session_id)
        if not self.catalog.backend(info.backend).can_fork:
            raise cannot_fork(info.backend)
        return self._open(worker_id, info.backend, settings, session_id)

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


async def _once(
    calls: CallLog,
    worker_id: str,
    tool: str,
    params: Mapping[str, Any] | None,
    session: str | None,
    call_id: str | None,
    run: Any,
) -> ToolResult:
    if call_id is None:
        result: ToolResult = await run(Call())
        return result
    result = await calls.once((worker_id, call_id), fingerprint(tool, params, session), run)
    return evolve(result, call_id=call_id)


def _short(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= 400 else text[:400] + "…"
