"""Slots go round the workers; the lock of a session is fair to writers."""

from __future__ import annotations

import anyio
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.sandbox.admission import SessionLock, Slots


async def test_waiting_workers_are_served_in_turn():
    slots, order = Slots(1), []
    assert slots.try_acquire()

    async def wait(worker: str, number: int) -> None:
        await slots.acquire(worker)
        order.append((worker, number))
        slots.release()

    async with anyio.create_task_group() as tasks:
        for worker, number in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("c", 2)]:
            tasks.start_soon(wait, worker, number)
        await anyio.wait_all_tasks_blocked()
        assert slots.waiting == 6
        slots.release()
    assert order == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("a", 3)]
    assert slots.in_use == 0


async def test_a_slot_that_is_free_goes_to_those_who_wait():
    slots = Slots(1)
    assert slots.try_acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slots.acquire, "a")
        await anyio.wait_all_tasks_blocked()
        assert not slots.try_acquire()
        slots.release()
        assert not slots.try_acquire()


async def test_a_wait_that_is_cancelled_when_its_turn_has_come_loses_no_slot():
    slots = Slots(1)
    assert slots.try_acquire()

    async def take(worker: str) -> None:
        await slots.acquire(worker)
        slots.release()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, "a")
        tasks.start_soon(take, "b")
        await anyio.wait_all_tasks_blocked()
        slots.release()  # it is the turn of "a", which is cancelled before it runs
        tasks.cancel_scope.cancel()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_readers_do_not_overtake_a_writer_that_waits():
    lock, order = SessionLock(), []
    assert lock.try_acquire(shared=True)

    async def take(name: str, shared: bool) -> None:
        await lock.acquire(shared)
        order.append(name)
        lock.release(shared)

    async with anyio.create_task_group() as tasks:
        for name, shared in [("write", False), ("read", True)]:
            tasks.start_soon(take, name, shared)
        await anyio.wait_all_tasks_blocked()
        assert order == []
        lock.release(shared=True)
    assert order == ["write", "read"]


async def test_readers_behind_a_writer_that_gave_up_go_on():
    lock = SessionLock()
    assert lock.try_acquire(shared=True)
    scope = anyio.CancelScope()

    async def write() -> None:
        with scope:
            await lock.acquire()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lock.acquire, True)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
    assert not lock.try_acquire()
    lock.release(shared=True)
    lock.release(shared=True)
    assert lock.try_acquire()


@given(
    total=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=12),
)
def test_no_order_of_waits_and_cancellations_loses_a_slot(total: int, steps: list[tuple[str, int, bool]]) -> None:
    async def main() -> None:
        slots = Slots(total)
        most = 0

        async def hold(worker: str, turns: int, cancelled: bool) -> None:
            nonlocal most
            with anyio.CancelScope() as scope:
                if cancelled:
                    scope.cancel()
                await slots.acquire(worker)
                try:
                    most = max(most, slots.in_use)
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                finally:
                    slots.release()

        async with anyio.create_task_group() as tasks:
            for step in steps:
                tasks.start_soon(hold, *step)
        assert (slots.in_use, slots.waiting) == (0, 0)
        assert most <= total

    anyio.run(main)
