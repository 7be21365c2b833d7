"""One session from its start to its end, in one task of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CancelScope

from agentflow_core.errors import AgentFlowError, SandboxError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.sandbox.admission import SessionLock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_core.records import ToolResult
    from agentflow_core.sandbox.backend import Session
    from agentflow_core.sandbox.config import LimitsConfig

__all__ = ["LiveSession", "Refusal", "bounded", "failure_of"]

_log = logging.getLogger("agentflow_core.sandbox")


class Refusal(SandboxError):
    """A call or session that is refused before it begins, with the answer to give."""

    def __init__(self, result: ToolResult) -> None:
        super().__init__(result.message, code=result.code, hint=result.hint)
        self.result = result


class LiveSession:
    """A session that the engine holds: its state, its lock, and the calls that use it."""

    def __init__(self, session: Session, *, opened_at: float) -> None:
        self.session = session
        self.id = session.id
        self.worker_id = session.worker_id
        self.state = "starting"
        self.value: Any = None
        self.lock = SessionLock()
        self.opened_at = opened_at
        self.used_at = opened_at
        self.users = 0  # calls that run in it or wait for it
        self.calls: set[CancelScope] = set()
        self.error: Exception | None = None
        self.reason = "closed"  # or "expired", "lost": what is said to those who still name it
        self.started = anyio.Event()
        self.ended = anyio.Event()  # set by its host, when nothing of it is left
        self._closing = anyio.Event()
        self._idle = anyio.Event()
        self._starting = CancelScope()

    @property
    def is_open(self) -> bool:
        """Does it take calls?"""
        return self.state in ("ready", "busy")

    @property
    def info(self) -> SessionInfo:
        """The session as clients see it."""
        session = self.session
        return SessionInfo(
            id=session.id,
            backend=session.backend,
            worker_id=session.worker_id,
            state=self.state,
            data=dict(session.data),
        )

    def enter(self) -> None:
        """Count a call that is about to use it."""
        self.users += 1
        if self.state == "ready":
            self.state = "busy"

    def leave(self, now: float) -> None:
        """Count it out again."""
        self.users -= 1
        if not self.users:
            self.used_at = now
            if self.state == "busy":
                self.state = "ready"
            self._idle.set()

    def close(self, reason: str = "closed") -> None:
        """Begin to close it: calls in it are cancelled, a start is given up, its task cleans up."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self.started.is_set() and self.error is None:
            self.state = "draining"
            self.reason = reason
        self._starting.cancel()
        for call in tuple(self.calls):
            call.cancel()

    async def own(
        self,
        admit: Callable[[], Awaitable[None]],
        start: Callable[[], Awaitable[Any]],
        cleanup: Callable[[Any], Awaitable[None]],
        limits: LimitsConfig,
    ) -> None:
        """Run the session: wait for its turn, start it, wait until it is closed, clean it up.

        Raises nothing but cancellation; what went wrong is ``error``.
        """
        try:
            if not await self._start(admit, start, limits.start_timeout_s):
                return
            try:
                if not self._closing.is_set():
                    self.state = "ready"
                    self.started.set()
                    await self._closing.wait()
            finally:
                self.close()
                with CancelScope(shield=True):
                    await self._finish(cleanup, limits.cleanup_timeout_s)
        finally:
            if self.error is None and not self.started.is_set():
                self.error = SandboxError(f"the start of {self.id} was given up", code="cancelled")
            self.state = "failed" if self.error is not None else "closed"
            self.started.set()

    async def _start(
        self, admit: Callable[[], Awaitable[None]], start: Callable[[], Awaitable[Any]], timeout_s: float
    ) -> bool:
        done = False
        try:
            with self._starting:
                await admit()
                with anyio.move_on_after(timeout_s):
                    self.value = await start()
                    done = True
                if not done:
                    message = f"{self.session.backend}: a session did not start within {timeout_s:g} s"
                    self.error = SandboxError(message, code="timeout")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary
            self.error = failure_of(error, f"{self.session.backend}: a session could not start")
        return done

    async def _finish(self, cleanup: Callable[[Any], Awaitable[None]], timeout_s: float) -> None:
        with anyio.move_on_after(timeout_s):
            while self.users:
                self._idle = anyio.Event()
                await self._idle.wait()
        await bounded(lambda: cleanup(self.value), timeout_s, f"{self.id}: cleanup")
        self.value = None


async def bounded(work: Callable[[], Awaitable[Any]], timeout_s: float, what: str) -> None:
    """Run a cleanup to its end or its time limit; what goes wrong is logged, so that the others go on."""
    try:
        with anyio.move_on_after(timeout_s, shield=True) as limit:
            await work()
    except (Exception, SystemExit):  # noqa: BLE001 - plugin boundary
        _log.warning("%s failed", what, exc_info=True)
    if limit.cancelled_caught:
        _log.warning("%s did not end within %g s", what, timeout_s)


def failure_of(error: BaseException, what: str) -> AgentFlowError:
    """The error to raise for what a backend raised: an error of ours as it is, another one told by kind and message."""
    if isinstance(error, AgentFlowError):
        return error
    failure = SandboxError(f"{what}: {type(error).__name__}: {error}", code="internal")
    failure.__cause__ = error
    return failure
