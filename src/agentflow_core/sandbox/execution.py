"""Run one call: admit it to its session and a slot, bound it in time, and turn whatever happens into a result."""

from __future__ import annotations

import logging
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio import CancelScope

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.records.codes import CODES
from agentflow_core.sandbox.envelope import defect, enveloped
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import gone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.hosting import BackendHost
    from agentflow_core.sandbox.sessions import LiveSession
    from agentflow_core.sandbox.tools import ToolFunction

__all__ = ["Lease", "admitted", "run_tool"]

_log = logging.getLogger("agentflow_core.sandbox")


class Lease:
    """What a running call holds: its session's lock, and a slot. It is given back once, by the call or its thread."""

    __slots__ = ("calls", "clock", "host", "live", "queued_s", "shared", "since", "with_thread")

    def __init__(self, host: BackendHost, live: LiveSession | None, shared: bool, clock: Callable[[], float]) -> None:
        self.host = host
        self.live = live
        self.shared = shared
        self.clock = clock
        self.calls = host.calls if live is None else live.calls
        self.queued_s = 0.0
        self.since = 0.0
        self.with_thread = False

    def release(self) -> None:
        """Let the next call have its turn."""
        host, live = self.host, self.live
        host.mean_s += (perf_counter() - self.since - host.mean_s) * 0.1
        host.slots.release()
        if live is not None:
            live.lock.release(self.shared)
            live.leave(self.clock())


async def admitted(
    host: BackendHost, live: LiveSession | None, shared: bool, worker_id: str, clock: Callable[[], float]
) -> Lease:
    """Wait for the session's lock, then for a slot of the backend.

    Raises:
        Refusal: there is no room to wait, the wait was too long, or the session was closed meanwhile.
    """
    lease = Lease(host, live, shared, clock)
    if live is None:
        if not host.slots.try_acquire():
            await _wait(lease, worker_id, locked=False)
    else:
        live.enter()
        try:
            locked = live.lock.try_acquire(shared)
            if not (locked and host.slots.try_acquire()):
                await _wait(lease, worker_id, locked)
        except BaseException:
            live.leave(clock())
            raise
    lease.since = perf_counter()
    if live is not None and not live.is_open:
        lease.release()
        raise Refusal(gone(live.id, live.reason))
    return lease


async def _wait(lease: Lease, worker_id: str, locked: bool) -> None:
    host, live = lease.host, lease.live
    begun = perf_counter()
    try:
        if host.waiting >= host.limits.queue_length:
            raise host.overloaded(f"{host.waiting} calls of {host.name!r} wait already")
        host.waiting += 1
        try:
            with anyio.move_on_after(host.limits.queue_wait_s) as limit:
                if live is not None and not locked:
                    await live.lock.acquire(lease.shared)
                    locked = True
                await host.slots.acquire(worker_id)
            if limit.cancelled_caught:
                raise host.overloaded(f"no turn at {host.name!r} within {host.limits.queue_wait_s:g} s")
        finally:
            host.waiting -= 1
    except BaseException:
        if live is not None and locked:
            live.lock.release(lease.shared)
        raise
    lease.queued_s = perf_counter() - begun


async def run_tool(
    lease: Lease, function: ToolFunction, arguments: Mapping[str, Any], seconds: float, tasks: TaskGroup
) -> ToolResult:
    """Call the tool; when its time is over or its session is closed, the work is cancelled, not only the wait."""
    host, live = lease.host, lease.live
    scope = CancelScope(deadline=anyio.current_time() + seconds)
    lease.calls.add(scope)
    try:
        with scope:
            if function.takes_state:
                state = host.value if live is None else live.value
                work = partial(function.function, host.backend, state, **arguments)
            else:
                work = partial(function.function, **arguments)
            value = await work() if function.is_async else await _in_thread(lease, work, tasks)
            return enveloped(value)
    except SandboxError as error:
        code = error.code if error.code in CODES and error.code != "ok" else "internal"
        return ToolResult.failure(code, error.message, hint=error.hint)
    except TimeoutError as error:
        return _timed_out(f"the tool gave up: {error}" if str(error) else "the tool gave up waiting")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary
        if not scope.cancel_called:
            _log.warning("tool %s raised", function.name, exc_info=True)
            return defect(error)
        _log.debug("tool %s raised while it was cancelled", function.name, exc_info=True)
    finally:
        lease.calls.discard(scope)
        if not lease.with_thread:
            lease.release()
    if live is not None and not live.is_open:
        return _given_up(f"session {live.id!r} was closed") if live.reason == "closed" else gone(live.id, live.reason)
    if host.state == "closed":
        return _given_up("the sandbox was closed")
    return _timed_out(f"the call did not end within {seconds:g} s and was stopped")


class _Box:
    """What a thread came to."""

    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.value: Any = None
        self.error: BaseException | None = None


async def _in_thread(lease: Lease, work: Callable[[], Any], tasks: TaskGroup) -> Any:
    """Run a plain function in a worker thread.

    A thread cannot be stopped: when the call times out, the session's lock and the slot stay taken until the
    function returns, so that it never runs beside the next call.
    """
    box = _Box()
    tasks.start_soon(_thread, lease, work, box, name="tool thread")
    lease.with_thread = True
    await box.done.wait()
    if box.error is not None:
        raise box.error
    return box.value


async def _thread(lease: Lease, work: Callable[[], Any], box: _Box) -> None:
    box.error = SandboxError("the sandbox was closed", code="cancelled")
    try:
        box.value = await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=lease.host.threads)
        box.error = None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary: it is raised where the call waits
        box.error = error
    finally:
        lease.release()
        box.done.set()


def _timed_out(message: str) -> ToolResult:
    return ToolResult.failure("timeout", message, hint="ask for less at a time, or give a longer timeout_s")


def _given_up(message: str) -> ToolResult:
    return ToolResult.failure("cancelled", message)
