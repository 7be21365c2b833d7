"""Group commit: units that end together share a write, and each learns whether it is durable."""

from __future__ import annotations

import threading

import anyio
import pytest

from agentflow_core.errors import StorageError
from agentflow_core.runs.commit import GroupCommit
from agentflow_core.runs.journal import Batch


class SlowDisk:
    """A journal whose first write lasts until it is let go."""

    def __init__(self, error=None):
        self.groups = []
        self.threads = set()
        self.begun = threading.Event()
        self.go = threading.Event()
        self._error = error

    def append(self, batches):
        self.groups.append([batch.id for batch in batches])
        self.threads.add(threading.get_ident())
        self.begun.set()
        assert self.go.wait(10)
        if self._error:
            raise self._error


def batch(number):
    return Batch(key=f"k{number}", id=str(number), stage="sample", outcome="ok")


async def test_units_that_end_during_a_write_share_the_next_one_off_the_loop():
    disk = SlowDisk()
    durable = []
    async with GroupCommit(disk, at_most=8) as commit:
        await commit.put(batch(0), lambda error: durable.append((0, error)))
        await anyio.to_thread.run_sync(disk.begun.wait)
        for number in range(1, 9):
            await commit.put(batch(number), lambda error, number=number: durable.append((number, error)))
        assert durable == []
        disk.go.set()
    assert disk.groups == [["0"], [str(number) for number in range(1, 9)]]
    assert durable == [(number, None) for number in range(9)]
    assert threading.get_ident() not in disk.threads


async def test_who_brings_more_than_may_wait_waits_too():
    disk = SlowDisk()
    brought = []

    async def bring(commit, number):
        await commit.put(batch(number), lambda _: None)
        brought.append(number)

    async with GroupCommit(disk, at_most=2) as commit, anyio.create_task_group() as group:
        await bring(commit, 0)
        await anyio.to_thread.run_sync(disk.begun.wait)
        for number in range(1, 5):
            group.start_soon(bring, commit, number)
        await anyio.wait_all_tasks_blocked()
        assert brought == [0, 1, 2]
        disk.go.set()
    assert sorted(brought) == [0, 1, 2, 3, 4]
    assert sorted(id_ for ids in disk.groups for id_ in ids) == ["0", "1", "2", "3", "4"]


async def test_everyone_in_a_group_learns_that_the_disk_refused():
    full = StorageError("full")
    disk = SlowDisk(full)
    refused = []
    async with GroupCommit(disk, at_most=8) as commit:
        for _ in range(4):
            await commit.put(batch(0), refused.append)
        await anyio.to_thread.run_sync(disk.begun.wait)
        disk.go.set()
    assert refused == [full] * 4


async def test_a_unit_that_has_ended_is_kept_though_everything_is_cancelled():
    disk = SlowDisk()
    with anyio.CancelScope() as scope:
        async with GroupCommit(disk, at_most=8) as commit:
            for number in range(3):
                await commit.put(batch(number), lambda _: None)
            await anyio.to_thread.run_sync(disk.begun.wait)
            scope.cancel()
            disk.go.set()
    assert scope.cancelled_caught
    assert sorted(id_ for ids in disk.groups for id_ in ids) == ["0", "1", "2"]


async def test_what_is_no_error_of_agentflow_is_raised_as_it_is():
    disk = SlowDisk(ZeroDivisionError())

    def then(error):
        raise error

    disk.go.set()
    with pytest.raises(BaseExceptionGroup) as raised:
        async with GroupCommit(disk, at_most=8) as commit:
            await commit.put(batch(0), then)
    assert raised.group_contains(ZeroDivisionError)
