"""Streams over bare descriptors, the uids that are lent, and the sizes of folders."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import anyio
import pytest
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.folders import can_enter, size_of
from agentflow_core.sandbox.launchers.streams import ByteReader, ByteWriter, pipe
from agentflow_core.sandbox.launchers.uids import UidRange

pytestmark = pytest.mark.serial


async def test_more_than_a_pipe_holds_passes_whole():
    read, write = pipe()
    reader, writer = ByteReader(read), ByteWriter(write)
    data = os.urandom(1 << 20)

    async def send() -> None:
        await writer.send(data)
        await writer.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        assert await reader.read_all(1 << 21) == data
    with pytest.raises(EndOfStream):
        await reader.receive()
    await reader.aclose()


async def test_closing_wakes_who_waits_and_leaves_the_number_to_others():
    read, write = pipe()
    reader = ByteReader(read)

    async def wait() -> None:
        with pytest.raises(ClosedResourceError):
            await reader.receive()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        reader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)
    again = ByteReader(os.dup(write))
    again.close()
    os.close(write)


async def test_writing_to_nobody_is_a_broken_resource():
    read, write = pipe()
    os.close(read)
    writer = ByteWriter(write)
    with pytest.raises(BrokenResourceError):
        await writer.send(b"x")
    writer.close()


def test_a_uid_is_lent_once_and_again_when_it_came_back(tmp_path):
    uids = UidRange(first=70_000, count=2, locks=tmp_path / "locks")
    first, second = uids.lend(), uids.lend()
    assert {first.uid, second.uid} == {70_000, 70_001}
    with pytest.raises(SandboxError, match="all 2 uids") as caught:
        uids.lend()
    assert caught.value.code == "overloaded"
    second.give_back()
    third = uids.lend(start=7)
    assert third.uid == second.uid
    third.give_back()
    first.give_back()


def test_the_size_of_a_folder_counts_its_disk_and_follows_no_link(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_bytes(b"x" * 100_000)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 30)
    (tmp_path / "out").symlink_to("/usr")
    assert 100_000 <= size_of(tmp_path) < 200_000


def test_a_uid_enters_only_where_every_folder_on_the_way_lets_it(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    try:
        assert can_enter(tmp_path / "open", 70_000)
        (tmp_path / "open").chmod(0o711)
        assert not can_enter(tmp_path / "open", 70_000)
        tmp_path.chmod(0o700)
        assert not can_enter(tmp_path / "open", 70_000)
        assert can_enter(tmp_path / "open", os.getuid()) or os.getuid() == 0
        assert not can_enter(tmp_path / "none", 70_000)
    finally:
        for folder in tmp_path.parents:
            if folder.stat().st_uid == os.getuid() and folder.name.startswith("pytest"):
                folder.chmod(0o700)
