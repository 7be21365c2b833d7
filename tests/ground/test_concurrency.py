"""Running calls at once: order, failures as themselves, cancellation."""

from __future__ import annotations

import threading
import traceback
from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.concurrency import run_all, run_blocking
from agentflow_core.errors import AgentFlowError, DataError


async def after(turns: int, value: object) -> object:
    """The value, after the loop went round so many times."""
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    if isinstance(value, BaseException):
        raise value
    return value


@given(st.lists(st.integers(0, 8), max_size=12))
def test_results_come_in_call_order_whatever_ends_first(turns: list[int]):
    calls = [partial(after, count, index) for index, count in enumerate(turns)]
    assert anyio.run(run_all, calls) == list(range(len(turns)))


async def test_the_calls_run_at_the_same_time():
    met = [anyio.Event(), anyio.Event()]

    async def meet(mine: int) -> int:
        met[mine].set()
        await met[1 - mine].wait()
        return mine

    with anyio.fail_after(5):
        assert await run_all(partial(meet, index) for index in range(2)) == [0, 1]


async def test_a_failure_comes_out_as_itself_with_its_own_cause():
    cause = OSError("disk")
    failure = DataError("bad row")
    failure.__cause__ = cause
    with pytest.raises(DataError) as caught:
        await run_all([partial(after, 3, 1), partial(after, 1, failure)])
    assert caught.value is failure
    assert caught.value.__cause__ is cause
    assert "disk" in "".join(traceback.format_exception(caught.value))


async def test_an_error_of_ours_goes_before_another_one():
    with pytest.raises(AgentFlowError, match="ours"):
        await run_all([partial(after, 0, ValueError("theirs")), partial(after, 0, AgentFlowError("ours"))])


async def test_a_failure_inside_of_nested_groups_comes_out_as_itself():
    inner = partial(run_all, [partial(after, 0, DataError("deep")), partial(after, 9, 1)])
    with pytest.raises(DataError, match="deep"):
        await run_all([inner, partial(after, 9, 1)])


async def test_a_failure_cancels_the_others():
    ended = []

    async def wait_forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    with anyio.fail_after(5), pytest.raises(ValueError, match="now"):
        await run_all([wait_forever, partial(after, 2, ValueError("now"))])
    assert ended == ["cancelled"]


async def test_cancellation_from_outside_cancels_all_and_is_not_swallowed():
    started = [anyio.Event() for _ in range(3)]
    ended = []

    async def wait_forever(index: int) -> None:
        try:
            started[index].set()
            await anyio.sleep_forever()
        finally:
            ended.append(index)

    async def cancel(scope: anyio.CancelScope) -> None:
        for event in started:
            await event.wait()
        scope.cancel()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel, scope)
                await run_all(partial(wait_forever, index) for index in range(3))
    assert scope.cancelled_caught
    assert sorted(ended) == [0, 1, 2]


async def test_no_calls_have_no_results():
    assert await run_all([]) == []


async def thread_name(suffix: str) -> str:
    await anyio.lowlevel.checkpoint()
    return threading.current_thread().name + suffix


def test_blocking_code_runs_an_async_function_to_its_end():
    assert run_blocking(thread_name, "!") == threading.current_thread().name + "!"


async def test_a_notebook_runs_it_beside_its_loop():
    assert run_blocking(thread_name, "!") != threading.current_thread().name + "!"


async def fail() -> None:
    raise DataError("no")


async def test_a_failure_comes_out_of_both():
    with pytest.raises(DataError, match="no"):
        run_blocking(fail)
    with pytest.raises(DataError, match="no"):
        await anyio.to_thread.run_sync(run_blocking, fail)
