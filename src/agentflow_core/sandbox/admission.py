"""Who may go on, and who waits: slots that workers share fairly, and the lock of one session."""

from __future__ import annotations

from collections import OrderedDict, deque

import anyio

__all__ = ["SessionLock", "Slots"]


class _Waiter:
    __slots__ = ("event", "granted", "shared")

    def __init__(self, shared: bool = False) -> None:
        self.event = anyio.Event()
        self.granted = False
        self.shared = shared

    def grant(self) -> None:
        self.granted = True
        self.event.set()


class Slots:
    """A number of slots. Those who wait are served worker by worker in turn, each worker's own in order of arrival."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.in_use = 0
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._queues.values()))

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody waits."""
        if self.in_use >= self.total or self._queues:
            return False
        self.in_use += 1
        return True

    async def acquire(self, worker: str) -> None:
        """Wait for a slot; a cancelled wait takes none."""
        if self.try_acquire():
            return
        waiter = _Waiter()
        self._queues.setdefault(worker, deque()).append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                self.release()
            else:
                self._forget(worker, waiter)
            raise

    def release(self) -> None:
        """Give the slot to the next in turn."""
        if not self._queues:
            self.in_use -= 1
            return
        worker, queue = self._queues.popitem(last=False)
        waiter = queue.popleft()
        if queue:
            self._queues[worker] = queue  # at the end: the other workers come first
        waiter.grant()

    def _forget(self, worker: str, waiter: _Waiter) -> None:
        queue = self._queues[worker]
        queue.remove(waiter)
        if not queue:
            del self._queues[worker]


class SessionLock:
    """The lock of one session: one call that changes it, or several that only read, in order of arrival.

    It has no owner, so that a call whose caller has gone can release it when its thread ends.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._writing = False
        self._queue: deque[_Waiter] = deque()

    def try_acquire(self, shared: bool = False) -> bool:
        """Take the lock if it is free and nobody waits."""
        if self._queue or self._writing or (self._readers and not shared):
            return False
        self._take(shared)
        return True

    async def acquire(self, shared: bool = False) -> None:
        """Wait for the lock; a cancelled wait leaves it."""
        if self.try_acquire(shared):
            return
        waiter = _Waiter(shared)
        self._queue.append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                self.release(shared)
            else:
                self._queue.remove(waiter)
                self._serve()
            raise

    def release(self, shared: bool = False) -> None:
        """Give the lock to those who are next."""
        if shared:
            self._readers -= 1
        else:
            self._writing = False
        self._serve()

    def _take(self, shared: bool) -> None:
        if shared:
            self._readers += 1
        else:
            self._writing = True

    def _serve(self) -> None:
        while self._queue and not self._writing and (self._queue[0].shared or not self._readers):
            waiter = self._queue.popleft()
            self._take(waiter.shared)
            waiter.grant()
