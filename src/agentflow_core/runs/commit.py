"""Let units that end together share one write and one fsync, off the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import define

from agentflow_core.runs.journal import Batch

if TYPE_CHECKING:
    from agentflow_core.runs.journal import Journal

__all__ = ["GroupCommit"]


@define(eq=False)
class _Waiting:
    batch: Batch
    error: BaseException | None = None
    is_done: bool = False


class GroupCommit:
    """Appends to one journal: who comes while a write is under way waits for it, and the next write takes all of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)  # a thread of its own: tools may hold all the shared ones
        self._waiting: list[_Waiting] = []

    async def append(self, batch: Batch) -> None:
        """Return when the unit is durable; not cancelled on the way, since it has ended.

        Raises:
            StorageError: it is not durable.
        """
        own = _Waiting(batch)
        self._waiting.append(own)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not own.is_done:
                    await self._write()
        if own.error is not None:
            raise own.error

    async def _write(self) -> None:
        group, self._waiting = self._waiting, []
        error: BaseException | None = None
        try:
            batches = [waiting.batch for waiting in group]
            await anyio.to_thread.run_sync(self._journal.append, batches, limiter=self._thread)
        except Exception as raised:  # noqa: BLE001 (handed to everyone who waits, each of whom raises it)
            error = raised
        for waiting in group:
            waiting.error, waiting.is_done = error, True
