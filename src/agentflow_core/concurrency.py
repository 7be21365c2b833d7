"""Run calls at once: results in call order, a failure as itself, the same work only once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from anyio.from_thread import start_blocking_portal
from attrs import define, field

from agentflow_core.errors import AgentFlowError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

__all__ = ["Merged", "first_error", "run_all", "run_blocking"]

T = TypeVar("T")


async def run_all(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results of all calls, in call order.

    Raises:
        Exception: the first failure (one of `AgentFlowError` before any other); the other calls are cancelled.
    """
    pending = list(calls)
    if len(pending) == 1:
        return [await pending[0]()]
    results: dict[int, T] = {}

    async def run(index: int) -> None:
        results[index] = await pending[index]()

    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            for index in range(len(pending)):
                group.start_soon(run, index)
    except BaseExceptionGroup as errors:
        failure = first_error(errors)
    if failure is not None:
        raise failure  # outside of the handler, so that it keeps its own cause
    return [results[index] for index in range(len(pending))]


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to raise in place of a group: one that is no plain exception, else one of ours, else the first."""
    leaves = list(_leaves(errors))
    for error in leaves:
        if not isinstance(error, Exception):
            return error
    return next((error for error in leaves if isinstance(error, AgentFlowError)), leaves[0])


def _leaves(errors: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def run_blocking(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run an async function to its end from blocking code; in a thread of its own where a loop runs already (notebooks)."""
    if not _loop_is_running():
        return anyio.run(function, *args)
    with start_blocking_portal() as portal:  # an interrupt here cancels the function there
        return portal.call(function, *args)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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
