"""Run identical calls that are under way at the same time once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["Merged"]

T = TypeVar("T")


@define(eq=False)
class _UnderWay(Generic[T]):
    ended: anyio.Event = field(factory=anyio.Event)
    results: list[T] = field(factory=list)


class Merged(Generic[T]):
    """Calls by key. The first caller of a key does the work; those who come meanwhile get its result.

    If the first one is cancelled or fails, the next one that waits does the work itself, so that nobody gets another's
    cancellation or failure.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _UnderWay[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``, or of the same work that is under way."""
        while (other := self._under_way.get(key)) is not None:
            await other.ended.wait()
            if other.results:
                return other.results[0]
        mine: _UnderWay[T] = _UnderWay()
        self._under_way[key] = mine
        try:
            result = await work()
            mine.results.append(result)
            return result
        finally:
            del self._under_way[key]
            mine.ended.set()
