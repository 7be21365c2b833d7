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
    commit = GroupCommit(disk)
    async with anyio.create_task_group() as group:
        group.start_soon(commit.append, batch(0))
        await anyio.to_thread.run_sync(disk.begun.wait)
        for number in range(1, 9):
            group.start_soon(commit.append, batch(number))
        await anyio.wait_all_tasks_blocked()
        disk.go.set()
    assert disk.groups == [["0"], [str(number) for number in range(1, 9)]]
    assert threading.get_ident() not in disk.threads


async def test_everyone_in_a_group_learns_that_the_disk_refused():
    disk = SlowDisk(StorageError("full"))
    commit = GroupCommit(disk)
    refused = []

    async def append(number):
        with pytest.raises(StorageError):
            await commit.append(batch(number))
        refused.append(number)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(append, number)
        await anyio.to_thread.run_sync(disk.begun.wait)
        disk.go.set()
    assert sorted(refused) == [0, 1, 2, 3]


async def test_a_unit_that_has_ended_is_kept_though_its_caller_is_cancelled():
    disk = SlowDisk()
    commit = GroupCommit(disk)
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(commit.append, batch(number))
        await anyio.to_thread.run_sync(disk.begun.wait)
        group.cancel_scope.cancel()
        disk.go.set()
    assert sorted(id_ for ids in disk.groups for id_ in ids) == ["0", "1", "2"]
