"""Share the sessions of backends among the trees of a run, so that a tree that holds one never waits for another tree."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["Room", "SessionPool", "Share"]


class _Waiter:
    __slots__ = ("event", "granted", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.event = anyio.Event()
        self.granted = False

    def grant(self) -> None:
        self.granted = True
        self.event.set()


class Room:
    """A number of sessions; several are taken at once or none, in order of arrival."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._queue: deque[_Waiter] = deque()
        self._hungry: deque[Share] = deque()

    @property
    def is_wanted(self) -> bool:
        """Does anybody wait?"""
        return bool(self._queue)

    def try_take(self, number: int) -> bool:
        """Take them if they are free and nobody waits."""
        if self._queue or self.free < number:
            return False
        self.free -= number
        return True

    async def take(self, number: int) -> None:
        """Wait for them; a cancelled wait takes none."""
        if self.try_take(number):
            return
        waiter = _Waiter(number)
        self._queue.append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                self.give(number)
            else:
                self._queue.remove(waiter)
                self._serve()
            raise

    def give(self, number: int) -> None:
        """Give some back."""
        self.free += number
        self._serve()

    def feed(self, share: Share) -> None:
        """Lend to the share, one session at a time and in turn with others, while it has a use for more."""
        if share not in self._hungry:
            self._hungry.append(share)
        self._serve()

    def _serve(self) -> None:
        while self._queue and self.free >= self._queue[0].number:
            waiter = self._queue.popleft()
            self.free -= waiter.number
            waiter.grant()
        while self._hungry and self.free and not self._queue:
            share = self._hungry.popleft()
            if share.borrow():
                self.free -= 1
                self._hungry.append(share)


class Share:
    """What one tree has of a room: ``size`` sessions that are its own, and more while others have no use for them."""

    def __init__(self, room: Room, size: int) -> None:
        self.size = size
        self._room = room
        self._free = size
        self._borrowed = 0
        self._queue: deque[_Waiter] = deque()

    async def take(self) -> None:
        """Wait for a session of the tree; one that is free anywhere will do."""
        if self._free and not self._queue:
            self._free -= 1
            return
        waiter = _Waiter(1)
        self._queue.append(waiter)
        self._room.feed(self)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                self.give()
            else:
                self._queue.remove(waiter)
            raise

    def borrow(self) -> bool:
        """Take one of the room's for the next who waits; False if nobody does."""
        if not self._queue:
            return False
        self._borrowed += 1
        self._queue.popleft().grant()
        return True

    def give(self) -> None:
        """Give one back: what was borrowed first, where others want it or nobody here does."""
        if self._borrowed and (self._room.is_wanted or not self._queue):
            self._borrowed -= 1
            self._room.give(1)
        elif self._queue:
            self._queue.popleft().grant()
        else:
            self._free += 1

    def end(self) -> None:
        """Give everything back; nothing is taken from this share any more."""
        self._room.give(self.size + self._borrowed)
        self._borrowed = 0


class SessionPool:
    """The sessions of all backends of a run.

    Args:
        share: how many of each backend are a tree's own; fewer where there are not so many.
        totals: is asked once for how many sessions there may be, by backend.
    """

    def __init__(self, share: int, totals: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        self._share = share
        self._totals = totals
        self._rooms: dict[str, Room] | None = None
        self._asking = anyio.Lock()

    async def reserve(self, backends: Sequence[str]) -> Mapping[str, Share]:
        """A share of each backend, all of them before any session is opened.

        Everybody takes them in the same order, so that no two trees wait for each other.
        """
        rooms = await self._open()
        shares: dict[str, Share] = {}
        try:
            for backend in sorted(backends):
                room = rooms[backend]
                size = min(self._share, room.total)
                await room.take(size)
                shares[backend] = Share(room, size)
        except BaseException:
            for share in shares.values():
                share.end()
            raise
        return shares

    async def _open(self) -> Mapping[str, Room]:
        async with self._asking:
            if self._rooms is None:
                self._rooms = {backend: Room(total) for backend, total in (await self._totals()).items()}
        return self._rooms
