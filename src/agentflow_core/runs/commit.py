"""Write finished units while the work goes on: those that end together share one write and one fsync, off the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from agentflow_core.runs.journal import Batch, Journal

__all__ = ["GroupCommit"]


class GroupCommit:
    """Appends to one journal: what comes while a write is under way waits for it, and the next write takes all of it.

    Use it with ``async with``: when that ends, cancelled or not, everything is written.

    Args:
        journal: where units are appended.
        at_most: how many may wait; who brings more waits too.
    """

    def __init__(self, journal: Journal, *, at_most: int) -> None:
        self._journal = journal
        self._at_most = at_most
        self._thread = anyio.CapacityLimiter(1)  # a thread of its own: tools may hold all the shared ones
        self._waiting: list[tuple[Batch, Callable[[Exception | None], None]]] = []
        self._is_writing = False
        self._written = anyio.Event()  #: the write that is under way
        self._group: TaskGroup | None = None

    async def put(self, batch: Batch, then: Callable[[Exception | None], None]) -> None:
        """Hand a unit over; ``then`` is called when it is durable, or with the error why it is not."""
        assert self._group is not None, "use it with 'async with'"
        self._waiting.append((batch, then))
        if not self._is_writing:
            self._is_writing = True
            self._group.start_soon(self._write)
        while len(self._waiting) > self._at_most:
            await self._written.wait()

    async def _write(self) -> None:
        with anyio.CancelScope(shield=True):  # these units have ended
            while self._waiting:
                units, self._waiting = self._waiting, []
                error: Exception | None = None
                try:
                    batches = [batch for batch, _ in units]
                    await anyio.to_thread.run_sync(self._journal.append, batches, limiter=self._thread)
                except Exception as raised:  # noqa: BLE001 (handed to everyone whose unit it is)
                    error = raised
                written, self._written = self._written, anyio.Event()
                written.set()
                for _, then in units:
                    then(error)
            self._is_writing = False

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._group is not None  # it was entered
        return await self._group.__aexit__(kind, error, trace)
