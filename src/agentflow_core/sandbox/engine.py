"""The sandbox engine: runs calls in sessions by worker, with limits, timeouts and accounting."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CancelScope
from attrs import evolve

from agentflow_core.errors import SandboxError, UnknownNameError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.records import ToolResult, ToolUsage
from agentflow_core.records.events import Event, ToolCalled, ignore_event
from agentflow_core.records.results import SHOWN_LIMIT_BYTES
from agentflow_core.sandbox.backend import Session
from agentflow_core.sandbox.calls import Call, execute_once, result_log
from agentflow_core.sandbox.envelope import size_of, with_artifact
from agentflow_core.sandbox.execution import Lease, admitted, run_tool
from agentflow_core.sandbox.files import SessionFiles, check_path, check_span, no_files
from agentflow_core.sandbox.hosts import Hosts
from agentflow_core.sandbox.openings import Openings
from agentflow_core.sandbox.schema import Invalid, compile_annotation
from agentflow_core.sandbox.sessions import LiveSession, Refusal
from agentflow_core.sandbox.table import SessionTable, cannot_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from agentflow_core.blobs import BlobStore
    from agentflow_core.plugins import PluginHost
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.config import LimitsConfig
    from agentflow_core.sandbox.hosting import BackendHost
    from agentflow_core.sandbox.launchers.config import LauncherConfig
    from agentflow_core.sandbox.tools import ToolFunction

__all__ = ["SandboxEngine"]

#: Codes of failures after which a session's state cannot be relied on.
_FATAL = ("session_lost",)
_UNNAMED: Call[Any] = Call()  # a call without an id: nobody asks again whether it ran
_LONGEST_NAME = 200
_CHECK_SETTINGS = compile_annotation(Mapping[str, Any] | None).check
_SWEEP_S = (0.05, 5.0)


class _Bound:
    """A tool with the host that runs it."""

    __slots__ = ("function", "host")

    def __init__(self, function: ToolFunction, host: BackendHost) -> None:
        self.function = function
        self.host = host


class SandboxEngine:
    """Owns backends, sessions, limits and accounting. Open it with ``async with``; close it in the same task.

    Args:
        catalog: what is offered.
        limits: by name of backend or group of tools; the others have the defaults.
        launcher: how the processes of sessions are confined.
        state_dir: the folder under which each backend has one of its own.
        blobs: where large texts go.
        clock: seconds, for the ages of sessions and answers.
        observe: is told of every call.
        suffix: a last part of the ids of sessions, where engines are told apart by it.
        host: the plugins that backends may open models of.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        state_dir: Path,
        blobs: BlobStore,
        limits: Mapping[str, LimitsConfig] | None = None,
        launcher: LauncherConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[Event], None] = ignore_event,
        suffix: str = "",
        host: PluginHost | None = None,
    ) -> None:
        self.catalog = catalog
        self.blobs = blobs
        self._clock = clock
        self._observe = observe
        self._hosts = Hosts(
            catalog, state_dir=state_dir, limits=limits or {}, launcher=launcher, observe=observe, host=host
        )
        self._bound: dict[str, _Bound] = {}
        self._table = SessionTable(suffix)
        self._calls = result_log(clock)
        self._openings = Openings(clock)

    async def __aenter__(self) -> Self:
        await self._hosts.__aenter__()
        self._hosts.tasks.start_soon(self._sweep_forever, name="sandbox sweep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hosts.__aexit__(kind, error, trace)

    @property
    def closing_s(self) -> float:
        """Seconds that closing takes at most where every backend keeps to its limits: calls, cleanups, shutdown."""
        return self._hosts.closing_s

    # ---- calls

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
        """Run a tool in the named session, else the worker's session of the backend, else a new one.

        A call that fails, in the tool's terms or the engine's, is answered with ``ok=False``.

        Raises:
            SandboxError: the engine is not open, or the backend or session that the call needs cannot start.
            AgentFlowError: what the backend's start raised, where that is one of ours, such as a `DataError`.
        """
        if call_id is None:
            return await self._execute(worker_id, tool, params, session, timeout_s, self._table.departures, _UNNAMED)
        run = partial(self._execute, worker_id, tool, params, session, timeout_s, self._table.departures)
        return await execute_once(self._calls, worker_id, tool, params, session, call_id, run)

    async def _execute(
        self,
        worker_id: str,
        tool: str,
        params: Mapping[str, Any] | None,
        session_id: str | None,
        timeout_s: float | None,
        since: int,
        call: Call[ToolResult],
    ) -> ToolResult:
        started = perf_counter()
        lease: Lease | None = None
        try:
            bound = self._bound.get(tool) or self._bind(tool)
            function, host = bound.function, bound.host
            arguments = function.validate(params)
            if isinstance(arguments, ToolResult):
                raise Refusal(arguments)
            seconds = self._seconds(timeout_s, function, host)
            if not host.is_ready or not self._hosts.is_open:
                await host.start(self._hosts.tasks)
            live = await self._session_for(host, worker_id, session_id, since) if host.has_sessions else None
            lease = await admitted(host, live, function.read_only, worker_id, self._clock)
            call.ran = True
            result = await run_tool(lease, function, arguments, seconds, self._hosts.tasks)
        except Refusal as refusal:
            result = refusal.result
        return await self._answer(result, tool, worker_id, lease, started)

    async def _answer(
        self, result: ToolResult, tool: str, worker_id: str, lease: Lease | None, started: float
    ) -> ToolResult:
        size = size_of(result)
        if size > SHOWN_LIMIT_BYTES and result.truncation is None:
            result = await with_artifact(result, self.blobs)
        ended = perf_counter()
        live = lease.live if lease is not None else None
        if live is not None and result.code in _FATAL and live.is_open:
            live.close("lost")
        wall_s = ended - started
        usage = result.usage
        result = evolve(
            result,
            tool=tool,
            session_id=live.id if live is not None else "",
            usage=ToolUsage(
                wall_ms=wall_s * 1000,
                queue_ms=lease.queued_s * 1000 if lease is not None else 0.0,
                cpu_ms=usage.cpu_ms,
                max_rss=usage.max_rss,
                bytes_out=size,
            ),
        )
        if self._observe is not ignore_event:
            self._observe(ToolCalled(tool=tool, code=result.code, wall_s=wall_s, worker=worker_id))
        return result

    # ---- admission

    def _bind(self, tool: str) -> _Bound:
        if not isinstance(tool, str) or len(tool) > _LONGEST_NAME:
            raise Refusal(ToolResult.failure("unknown_tool", f"no tool has the name {str(tool)[:_LONGEST_NAME]!r}…"))
        try:
            group, offered = self.catalog.find(tool)
        except UnknownNameError as error:
            raise Refusal(ToolResult.failure("unknown_tool", error.message, hint=error.hint)) from None
        bound = self._bound[tool] = _Bound(offered.function, self._hosts.of(group))
        return bound

    def _seconds(self, timeout_s: float | None, function: ToolFunction, host: BackendHost) -> float:
        if timeout_s is None:
            return function.timeout_s or host.limits.timeout_s
        if not isinstance(timeout_s, int | float) or isinstance(timeout_s, bool) or not 0 < timeout_s < math.inf:
            raise Refusal(ToolResult.failure("invalid_argument", "timeout_s: expected a number of seconds above 0"))
        return timeout_s

    async def _session_for(self, host: BackendHost, worker_id: str, session_id: str | None, since: int) -> LiveSession:
        while True:
            if session_id is not None:
                live = self._table.named(session_id, worker_id)
                if live.session.backend != host.name:
                    raise Refusal(
                        ToolResult.failure(
                            "invalid_argument",
                            f"session {session_id!r} is one of {live.session.backend!r}, not of {host.name!r}",
                        )
                    )
            else:
                found = self._table.default(worker_id, host.name)
                if found is None:
                    return await self._open_session(host, worker_id, {}, since)
                live = found
            if live.state != "starting":
                return live
            await live.started.wait()
            if isinstance(live.error, SandboxError) and live.error.code == "cancelled" and session_id is None:
                continue  # who started it was cancelled; it is this call's turn to start one
            if live.error is not None:
                raise live.error

    # ---- sessions

    async def create_session(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], *, call_id: str | None = None
    ) -> Mapping[str, SessionInfo]:
        """Open a session of each backend; all of them or, where one fails, none. A shared backend has none to open.

        What was opened under a ``call_id`` is the answer to every repetition of it, open or not by then; what failed
        is tried again.

        Raises:
            UnknownNameError: a backend that is not offered.
            SandboxError: a session cannot start, there are too many (code ``overloaded``), or the ``call_id`` was used
                for another request (code ``conflict``).
        """
        create = partial(self._create, self._table.departures)
        return await self._openings.create(worker_id, backends, call_id, create)

    async def _create(
        self, since: int, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> Mapping[str, SessionInfo]:
        hosts = {name: self._hosts.named(name) for name in backends}
        for name, settings in backends.items():
            try:
                _CHECK_SETTINGS(settings)
            except Invalid as error:
                message = f"the settings of {name!r}: {error.path.lstrip('.') or 'they'}: {error.message}"
                raise SandboxError(message, code="invalid_argument", hint=error.hint) from None
            if settings and not hosts[name].has_sessions:
                raise SandboxError(
                    f"backend {name!r} is shared: a session of it has no settings",
                    code="invalid_argument",
                    hint="set it in the sandbox's configuration",
                )
        opened: list[LiveSession] = []
        infos: dict[str, SessionInfo] = {}
        try:
            for name, settings in backends.items():
                host = hosts[name]
                await host.start(self._hosts.tasks)
                if host.has_sessions:
                    opened.append(await self._open_session(host, worker_id, settings or {}, since))
                    infos[name] = opened[-1].info
                else:
                    infos[name] = SessionInfo(id=name, backend=name, worker_id=worker_id, state="ready")
        except BaseException:
            with CancelScope(shield=True):
                await _close_all(opened)
            raise
        return infos

    async def list_sessions(self, worker_id: str | None = None) -> tuple[SessionInfo, ...]:
        """The open sessions of a worker, or of all, in order of opening."""
        lives = self._table if worker_id is None else self._table.of_worker(worker_id)
        return tuple(live.info for live in lives)

    async def session_like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings for a session like ``target``: a session of the worker, or a backend."""
        if target in self.catalog.backends:
            return target, {}
        session = self._table.named(target, worker_id).session
        return session.backend, session.settings

    async def fork(self, worker_id: str, session_id: str, *, call_id: str | None = None) -> SessionInfo:
        """A new session of the worker with a copy of the state that shares nothing with it.

        A ``call_id`` does what it does for `create_session`, and no id is for one of each.

        Raises:
            SandboxError: the backend cannot fork (code ``unsupported``), there is no such session, the fork fails, or
                the ``call_id`` was used for another request (code ``conflict``).
        """
        fork = partial(self._fork, self._table.departures)
        return await self._openings.fork(worker_id, session_id, call_id, fork)

    async def _fork(self, since: int, worker_id: str, session_id: str) -> SessionInfo:
        if session_id in self.catalog.backends and not self._hosts.named(session_id).has_sessions:
            raise cannot_fork(session_id)
        parent = self._table.named(session_id, worker_id)
        host = self._hosts.named(parent.session.backend)
        if not host.group.can_fork:
            raise cannot_fork(host.name)
        parent.enter()
        try:
            live = await self._open_session(host, worker_id, parent.session.settings, since, parent)
        finally:
            parent.leave(self._clock())
        return live.info

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start the session's idle time anew. Raises `SandboxError` if there is no such session any more."""
        live = self._table.named(session_id, worker_id)
        live.used_at = self._clock()
        return live.info

    async def read_file(
        self, worker_id: str, session_id: str, path: str, start: int = 0, end: int | None = None
    ) -> FileSlice:
        """The bytes ``[start, end)`` of a file of the session, None for the rest of it; it takes its turn as a call.

        Raises:
            SandboxError: the backend has no files (code ``unsupported``), there is no such session or file, or the
                part is larger than `LARGEST_READ_BYTES`.
        """
        check_path(path)
        check_span(start, end)
        return await (await self._files(worker_id, session_id)).read(path, start, end)

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """Put a file into the session, whole or not at all; it takes its turn as a call.

        Raises:
            SandboxError: the backend has no files (code ``unsupported``), there is no such session, or no room.
        """
        check_path(path)
        await (await self._files(worker_id, session_id)).write(path, data)

    async def _files(self, worker_id: str, session_id: str) -> SessionFiles:
        name = session_id  # of a shared backend, whose sessions are all one
        if name not in self.catalog.backends or self._hosts.named(name).has_sessions:
            name = self._table.named(session_id, worker_id).session.backend
        host = self._hosts.named(name)
        if not host.group.has_files:
            raise no_files(name)
        await host.start(self._hosts.tasks)
        since = self._table.departures
        live = await self._session_for(host, worker_id, session_id, since) if host.has_sessions else None
        return SessionFiles(host=host, live=live, worker_id=worker_id, clock=self._clock, tasks=self._hosts.tasks)

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Cancel what runs in the session and clean it up; one that is gone, or of a shared backend, is left as it is.

        Raises:
            SandboxError: the worker never had such a session.
        """
        try:
            live = self._table.named(session_id, worker_id)
        except Refusal:
            if session_id not in self.catalog.backends and not self._table.was(session_id, worker_id):
                raise
            return
        await _close_all([live])

    async def close_worker(self, worker_id: str) -> None:
        """Close all sessions of the worker, at the same time; what it has asked for by now opens none any more."""
        self._table.leave(worker_id)
        await _close_all(self._table.of_worker(worker_id))
        self._table.forget_worker(worker_id)

    def expire_worker(self, worker_id: str) -> None:
        """Close all sessions of a worker that is lost; should it come back, its next call is told."""
        self._table.leave(worker_id)
        for live in self._table.of_worker(worker_id):
            self._table.announce(live)
            live.close("expired")

    def owner_of(self, session_id: str) -> str | None:
        """The worker that has the session, or had it; None for an id that is not known any more."""
        return self._table.owner(session_id)

    def sweep(self) -> None:
        """Close the sessions whose time is over. One in which a call runs or waits is left alone."""
        now = self._clock()
        for live in self._table:
            if live.state != "ready" or live.users:
                continue
            limits = self._hosts.named(live.session.backend).limits
            if now - live.used_at >= limits.idle_ttl_s or now - live.opened_at >= limits.absolute_ttl_s:
                self._table.announce(live)
                live.close("expired")

    async def _sweep_forever(self) -> None:
        while True:
            await anyio.sleep(min(max(self._hosts.shortest_ttl_s / 4, _SWEEP_S[0]), _SWEEP_S[1]))
            self.sweep()

    async def _open_session(
        self,
        host: BackendHost,
        worker_id: str,
        settings: Mapping[str, Any],
        since: int,
        parent: LiveSession | None = None,
    ) -> LiveSession:
        """Open a session, or fork one, unless the worker has left ``since``. Whoever is cancelled here leaves nothing.

        The session is in the table before the first await, so that the worker's next call finds it.
        """
        self._table.check_present(worker_id, since)
        session = Session(
            id=self._table.new_id(host.name), backend=host.name, worker_id=worker_id, settings=dict(settings)
        )
        live = LiveSession(session, opened_at=self._clock())
        self._table.add(live)
        try:
            host.open(live, parent, lambda: self._table.remove(live))
        except BaseException:
            self._table.remove(live)
            raise
        try:
            await live.started.wait()
        except BaseException:
            live.close()
            with CancelScope(shield=True):
                await live.ended.wait()
            raise
        if live.error is not None:
            await live.ended.wait()
            raise live.error
        return live

    # ---- backends

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start the named backends, or all, at the same time.

        Raises:
            UnknownNameError: a backend that is not offered.
            AgentFlowError: what the first backend that failed, in order of names, failed with.
        """
        await self._hosts.warmup(backends)

    async def status(self) -> Mapping[str, Any]:
        """Backends with their states, limits and load, and the number of sessions; JSON."""
        return {**self._hosts.status(), "sessions": len(list(self._table))}


async def _close_all(sessions: Iterable[LiveSession]) -> None:
    sessions = list(sessions)
    for live in sessions:
        live.close()
    for live in sessions:
        await live.ended.wait()
