"""Run one backend: started once for all who need it, its sessions in tasks below its own, shut down after them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CancelScope
from attrs import asdict

from agentflow_core.errors import AgentFlowError, SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox.admission import Slots
from agentflow_core.sandbox.backend import Backend, BackendContext, Session
from agentflow_core.sandbox.sessions import LiveSession, Refusal, failure_of, wind_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.catalog import Group
    from agentflow_core.sandbox.config import LimitsConfig

__all__ = ["BackendHost"]

_log = logging.getLogger("agentflow_core.sandbox")


class _Start:
    """One attempt to start, which everybody who came meanwhile waits for."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.ended = anyio.Event()
        self.error: AgentFlowError | None = None


class BackendHost:
    """A backend, or a group of API tools, as the engine runs it."""

    def __init__(self, group: Group, limits: LimitsConfig, context: BackendContext) -> None:
        self.group = group
        self.name = group.name
        self.limits = limits
        self.has_sessions = group.sharing != "shared"
        self.is_ready = group.build is None
        self.backend: Backend | None = None
        self.value: Any = None  # the state of a shared backend
        self.slots = Slots(limits.max_concurrency)
        self.session_slots = Slots(limits.max_sessions)
        self.threads = anyio.CapacityLimiter(limits.max_concurrency)
        self.waiting = 0  # calls that wait for their session or a slot
        self.calls: set[CancelScope] = set()  # calls outside of sessions
        self.mean_s = 1.0  # how long a call holds its slot, a running mean
        self.last_error = ""
        self._context = context
        self._start: _Start | None = None
        self._sessions: TaskGroup | None = None
        self._live: set[LiveSession] = set()
        self._closing = anyio.Event()
        self._life = CancelScope(shield=True)
        self._initialized = False  # has a shared backend a state to clean up?

    @property
    def state(self) -> str:
        """``idle`` (not yet used), ``starting``, ``ready``, ``failed`` or ``closed``."""
        if self._closing.is_set():
            return "closed"
        if self.is_ready:
            return "ready"
        if self._start is not None and not self._start.done.is_set():
            return "starting"
        return "failed" if self.last_error else "idle"

    async def start(self, tasks: TaskGroup) -> None:
        """Start the backend unless it runs. Whoever comes while it starts waits; a failure is told to each of them.

        The start itself goes on when one who waits is cancelled; after a failure the next one who comes tries again.
        """
        if self.is_ready:
            return
        if self._closing.is_set():
            raise SandboxError(f"backend {self.name!r} is closed", code="not_ready")
        if self._start is None or self._start.done.is_set():
            self._start = _Start()
            self._life = CancelScope(shield=True)
            tasks.start_soon(self._own, self._start, name=f"backend {self.name}")
        start = self._start
        await start.done.wait()
        if start.error is not None:
            raise start.error

    def open(self, live: LiveSession, parent: LiveSession | None, forget: Callable[[], None]) -> None:
        """Start the task of a session, a fork of ``parent`` if there is one; ``forget`` is called when it is over."""
        backend = self.backend
        if self._sessions is None or backend is None or not self.is_ready or self._closing.is_set():
            raise SandboxError(f"backend {self.name!r} is closed", code="not_ready")

        async def start() -> Any:
            if parent is None:
                return await backend.initialize(live.session)
            await parent.lock.acquire()
            try:
                if not parent.is_open:
                    raise SandboxError(f"session {parent.id!r} was closed before it was forked", code="not_found")
                return await backend.fork(parent.value, live.session)
            finally:
                parent.lock.release()

        self._live.add(live)
        self._sessions.start_soon(self._own_session, live, start, backend, forget, name=f"session {live.id}")

    def close(self) -> None:
        """Begin to close: calls are cancelled, sessions clean up, then the backend shuts down."""
        self._closing.set()
        if not self.is_ready:
            self._life.cancel()  # it is starting: give that up
        for call in tuple(self.calls):
            call.cancel()
        for live in tuple(self._live):
            live.close()

    async def wait_closed(self) -> None:
        """Wait until nothing of it runs any more."""
        if self._start is not None:
            await self._start.ended.wait()

    def overloaded(self, message: str) -> Refusal:
        """The refusal of a call or session for which there is no room; it says when to come again."""
        seconds = round(min(max(self.mean_s * (self.waiting + 1) / self.slots.total, 0.1), 60.0), 3)
        return Refusal(
            ToolResult.failure("overloaded", message, hint=f"try again in {seconds:g} s", retry_after_s=seconds)
        )

    def status(self) -> dict[str, Any]:
        """State, load and limits; JSON."""
        return {
            "state": self.state,
            "sharing": self.group.sharing,
            "provider": self.group.provider,
            "error": self.last_error,
            "running": self.slots.in_use,
            "waiting": self.waiting,
            "sessions": len(self._live),
            "limits": asdict(self.limits),
        }

    async def _own(self, start: _Start) -> None:
        """Start the backend, wait until it is closed, shut it down: in one scope, like `LiveSession.own`."""
        backend: Backend | None = None
        is_warm = False
        try:
            with self._life:
                try:
                    backend = self._built()
                    await backend.warmup()
                    is_warm = True
                    if not self.has_sessions:
                        self.value = await backend.initialize(Session(id=self.name, backend=self.name))
                except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary
                    start.error = failure_of(error, f"backend {self.name!r} could not start")
                    self.last_error = str(start.error)
                else:
                    await self._serve(backend, start)
                finally:
                    if backend is not None and is_warm:
                        await self._end(backend)
        finally:
            if start.error is None and not start.done.is_set():
                start.error = SandboxError(f"the start of backend {self.name!r} was given up", code="cancelled")
            start.done.set()
            start.ended.set()

    def _built(self) -> Backend:
        if self.group.build is None:
            raise SandboxError(f"{self.name!r} is a group of API tools, which do not start")
        backend = self.group.build()
        backend.context = self._context
        return backend

    async def _serve(self, backend: Backend, start: _Start) -> None:
        try:
            async with anyio.create_task_group() as self._sessions:
                if not self._closing.is_set():
                    self.backend = backend
                    self.is_ready = True
                    self.last_error = ""
                    start.done.set()
                    await self._closing.wait()
        finally:
            self.is_ready = False
            self._initialized = True

    async def _end(self, backend: Backend) -> None:
        seconds = self.limits.cleanup_timeout_s
        try:
            if self._initialized and not self.has_sessions:
                await wind_up(lambda: backend.cleanup(self.value), self._life, seconds, f"{self.name}: cleanup")
        finally:
            self.backend = self.value = None
            await wind_up(backend.shutdown, self._life, seconds, f"{self.name}: shutdown")

    async def _own_session(
        self, live: LiveSession, start: Callable[[], Awaitable[Any]], backend: Backend, forget: Callable[[], None]
    ) -> None:
        has_slot = False

        async def admit() -> None:
            nonlocal has_slot
            await self._take_session_slot(live.worker_id)
            has_slot = True

        try:
            await live.own(admit, start, backend.cleanup, self.limits)
        finally:
            self._live.discard(live)
            if has_slot:
                self.session_slots.release()
            forget()
            live.ended.set()

    async def _take_session_slot(self, worker_id: str) -> None:
        slots, limits = self.session_slots, self.limits
        if slots.try_acquire():
            return
        said = f"{slots.in_use} sessions of {self.name!r} are open, which is the limit"
        if slots.waiting >= limits.queue_length:
            raise self.overloaded(said)
        with anyio.move_on_after(limits.queue_wait_s) as limit:
            await slots.acquire(worker_id)
        if limit.cancelled_caught:
            raise self.overloaded(f"{said}, and none was closed within {limits.queue_wait_s:g} s")
