"""One session from its start to its end, in one task of its own."""

from __future__ import annotations

import logging
import math
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

__all__ = ["LiveSession", "Refusal", "failure_of", "wind_up"]

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
        self._life = CancelScope(shield=True)

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
        if self.started.is_set():
            self.state = "draining"
            self.reason = reason
        else:
            self._life.cancel()
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

        Raises nothing; what went wrong is ``error``. The scope in which a session starts is left only after its
        cleanup, since a backend may keep scopes of its own open in between. It is shielded: `close` ends it.
        """
        try:
            with self._life:
                await admit()
                self._life.deadline = anyio.current_time() + limits.start_timeout_s
                self.value = await start()
                self._life.deadline = math.inf
                if not self._closing.is_set():
                    self.state = "ready"
                    self.started.set()
                    await self._closing.wait()
                await self._drain(limits.cleanup_timeout_s)
                await wind_up(lambda: cleanup(self.value), self._life, limits.cleanup_timeout_s, f"{self.id}: cleanup")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary
            self.error = failure_of(error, f"{self.session.backend}: a session could not start")
        finally:
            if not self.started.is_set():
                self._blame(limits.start_timeout_s)
            self.state = "failed" if self.error is not None else "closed"
            self.value = None
            self.started.set()

    def _blame(self, start_timeout_s: float) -> None:
        if self._closing.is_set():
            self.error = SandboxError(f"the start of {self.id} was given up", code="cancelled")
        elif self._life.cancel_called:
            message = f"{self.session.backend}: a session did not start within {start_timeout_s:g} s"
            self.error = SandboxError(message, code="timeout")

    async def _drain(self, timeout_s: float) -> None:
        """Wait for the calls that were cancelled; a thread that does not return cannot be waited for."""
        with anyio.move_on_after(timeout_s, shield=True):
            while self.users:
                self._idle = anyio.Event()
                await self._idle.wait()


async def wind_up(work: Callable[[], Awaitable[Any]], life: CancelScope, timeout_s: float, what: str) -> None:
    """Run a cleanup or shutdown to its end or its time limit, in the scope ``life`` of what it ends.

    What it raises is logged, so that the others go on. Past its time ``life`` is cancelled, and with it what is left;
    where that has happened before, the work runs shielded from it.
    """
    try:
        if life.cancel_called:
            with anyio.move_on_after(timeout_s, shield=True) as limit:
                await work()
            if limit.cancelled_caught:
                _log.warning("%s did not end within %g s", what, timeout_s)
        else:
            life.deadline = anyio.current_time() + timeout_s
            await work()
            life.deadline = math.inf
    except (Exception, SystemExit):  # noqa: BLE001 - plugin boundary
        _log.warning("%s failed", what, exc_info=True)
    except BaseException:
        if life.cancel_called:
            _log.warning("%s did not end within %g s", what, timeout_s)
        raise


def failure_of(error: BaseException, what: str) -> AgentFlowError:
    """The error to raise for what a backend raised: an error of ours as it is, another one told by kind and message."""
    if isinstance(error, AgentFlowError):
        return error
    failure = SandboxError(f"{what}: {type(error).__name__}: {error}", code="internal")
    failure.__cause__ = error
    return failure
