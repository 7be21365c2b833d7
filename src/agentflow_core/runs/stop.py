"""Stop a run by signal: once to finish what is in flight, twice to stop now."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from agentflow_core.records.events import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup, TaskStatus

    from agentflow_core.records.events import Event

__all__ = ["StopSignal"]


class StopSignal:
    """Whether the run shall stop, and how hard.

    In an ``async with`` it listens: the first SIGINT or SIGTERM is a `request`, the second cancels what runs inside
    `cancellable`, and from the third on the signals do again what they did before. Without one, or in a thread
    other than the main one, or where the event loop takes no signal handlers (Windows), it is stopped by `request` only.
    """

    def __init__(self, observe: Callable[[Event], None] | None = None) -> None:
        self._observe = observe
        self._requests = 0
        self._scopes: list[anyio.CancelScope] = []
        self._group: TaskGroup | None = None

    @property
    def is_set(self) -> bool:
        """Whether no further unit is to be taken."""
        return self._requests > 0

    @property
    def is_now(self) -> bool:
        """Whether units in flight are not to be waited for either."""
        return self._requests > 1

    def request(self) -> None:
        """Stop: the first time when the units in flight have ended, the second time now."""
        self._requests += 1
        if self._observe is not None and self._requests <= 2:
            self._observe(Notice(message=_WORDS[self._requests], level="info"))
        if self.is_now:
            for scope in self._scopes:
                scope.cancel()

    @contextmanager
    def cancellable(self) -> Iterator[anyio.CancelScope]:
        """A cancel scope that the second request cancels; a later one is cancelled from its beginning."""
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            if self.is_now:
                scope.cancel()
            try:
                yield scope
            finally:
                self._scopes.remove(scope)

    async def __aenter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            await self._group.start(self._listen)
        return self

    async def _listen(self, *, task_status: TaskStatus[None]) -> None:
        try:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                task_status.started()
                async for _ in signals:
                    self.request()
                    if self.is_now:
                        break
        except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt; the journal stands that too
            task_status.started()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._group is not None:
            group, self._group = self._group, None
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)  # without the error, which a task group would wrap


_WORDS = {
    1: "stopping when what is in flight has ended; once more to stop now",
    2: "stopping now; the same command goes on from here",
}
