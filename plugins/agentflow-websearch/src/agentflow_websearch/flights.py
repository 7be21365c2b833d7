"""Do what several ask for at the same time once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["Flights"]

T = TypeVar("T")


@define(eq=False)
class _Flight(Generic[T]):
    ended: anyio.Event = field(factory=anyio.Event)
    results: list[T] = field(factory=list)


class Flights(Generic[T]):
    """Work by key. The first who asks does it, in its own task; those who come meanwhile get its result.

    If the first one is cancelled or fails, the next one that waits does the work itself, so that nobody gets another's
    cancellation.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``, or of the same work that is under way."""
        while (other := self._under_way.get(key)) is not None:
            await other.ended.wait()
            if other.results:
                return other.results[0]
        mine: _Flight[T] = _Flight()
        self._under_way[key] = mine
        try:
            result = await work()
            mine.results.append(result)
            return result
        finally:
            del self._under_way[key]
            mine.ended.set()
