"""The store of answers: durable, shared, and honest about a disk that refuses."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import anyio
import pytest

from agentflow_core.answers import AnswerStore
from agentflow_core.errors import RunCorruptError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import anyio
    from agentflow_core.answers import AnswerStore

    async def main():
        store = AnswerStore(Path(sys.argv[1]))
        async def write(worker):
            for number in range(10_000):
                key = f"{worker}-{number}"
                await store.put(key, None, key.encode() * 50)
                sys.stdout.write(key + "\\n")
                sys.stdout.flush()
        async with anyio.create_task_group() as group:
            for worker in range(8):
                group.start_soon(write, worker)

    anyio.run(main)
    """
)
FULL = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    import anyio
    from agentflow_core.answers import AnswerStore
    from agentflow_core.errors import StorageError

    async def main():
        store = AnswerStore(Path(sys.argv[1]))
        await store.put("first", None, b"kept")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            for number in range(1000):
                await store.put(f"key-{number}", None, b"".join(b"%d," % (n * n * number) for n in range(2000)))
        except StorageError as error:
            print("refused:", error)
        print(await store.get("first"))

    anyio.run(main)
    """
)


@pytest.fixture
async def store(tmp_path: Path):
    async with AnswerStore(tmp_path / "deep" / "answers.sqlite") as store:
        yield store


async def test_an_answer_is_found_under_its_key_and_nothing_under_another(store):
    await store.put("a", b'{"q": 1}', b'{"a": 1}')
    assert await store.get("a") == b'{"a": 1}'
    assert await store.get("b") is None


async def test_the_first_answer_under_a_key_stays(store):
    await store.put("a", None, b"first")
    await store.put("a", None, b"second")
    assert await store.get("a") == b"first"


async def test_long_answers_come_back_byte_for_byte(store):
    answer = "日本語 ü → 😀 ".encode() * 5000
    await store.put("long", answer, answer)
    assert await store.get("long") == answer
    assert store.path.stat().st_size < len(answer)


async def test_puts_that_arrive_together_are_all_stored(store):
    async with anyio.create_task_group() as group:
        for number in range(1300):
            group.start_soon(store.put, f"key-{number}", None, b"%d" % number)
    assert await store.count() == 1300
    assert await store.get("key-1299") == b"1299"


async def test_a_cancelled_put_leaves_the_store_usable(store):
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.put("cancelled", None, b"1")
    await store.put("next", None, b"2")
    assert await store.get("next") == b"2"


async def test_an_answer_is_there_after_closing_and_opening_again(store):
    await store.put("a", None, b"1")
    await store.aclose()
    assert await store.get("a") == b"1"


async def test_another_store_on_the_file_reads_while_this_one_writes(store):
    await store.put("a", None, b"1")
    async with AnswerStore(store.path) as reader:
        assert await reader.get("a") == b"1"
        await store.put("b", None, b"2")


async def test_a_put_waits_for_another_process_that_writes(store):
    await store.put("a", None, b"1")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with anyio.create_task_group() as group:
        group.start_soon(store.put, "b", None, b"2")
        group.start_soon(store.put, "c", None, b"3")
        await anyio.wait_all_tasks_blocked()
        other.execute("COMMIT")
    other.close()
    assert await store.get("b") == b"2"
    assert await store.get("c") == b"3"


async def test_the_log_does_not_grow_without_end(store):
    for number in range(3000):
        await store.put(f"key-{number}", None, b"x" * 3000)
    assert store.path.with_name(f"{store.path.name}-wal").stat().st_size < 3000 * 3000 * 2
    assert await store.count() == 3000


async def test_nearest_is_the_request_with_the_most_in_common(store):
    await store.put("x", b'{"messages": ["who wrote Faust?"], "tools": []}', b"1")
    await store.put("y", b'{"messages": ["who built the tower of Pisa?"], "tools": []}', b"2")
    await store.put("unseen", None, b"3")
    found = await store.nearest(b'{"messages": ["who built the tower of London?"], "tools": []}')
    assert found is not None
    assert found.key == "y"


async def test_an_empty_store_has_no_nearest_request(store):
    assert await store.nearest(b"{}") is None


async def test_a_file_that_is_no_store_is_reported_as_corrupt(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"this is not a database, and is long enough to be looked at as one" * 20)
    async with AnswerStore(path) as store:
        with pytest.raises(RunCorruptError, match=r"answers\.sqlite is damaged"):
            await store.get("a")


async def test_a_damaged_answer_is_reported_as_corrupt(tmp_path):
    async with AnswerStore(tmp_path / "a.sqlite") as store:
        await store.put("a", None, b"x" * 4000)
        store._connection.execute("UPDATE answers SET answer = ?", (b"\x28\xb5\x2f\xfdgarbage",))
        with pytest.raises(RunCorruptError):
            await store.get("a")


async def test_a_path_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    async with AnswerStore(tmp_path / "file" / "answers.sqlite") as store:
        with pytest.raises(StorageError, match="cannot use"):
            await store.put("a", None, b"1")


async def test_every_put_of_a_commit_that_fails_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    refused = []
    async with AnswerStore(tmp_path / "file" / "answers.sqlite") as store, anyio.create_task_group() as group:

        async def put(number):
            with pytest.raises(StorageError):
                await store.put(f"key-{number}", None, b"1")
            refused.append(number)

        for number in range(5):
            group.start_soon(put, number)
    assert len(refused) == 5


def test_every_put_that_returned_survives_kill_9(tmp_path):
    path = tmp_path / "answers.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [process.stdout.readline().strip() for _ in range(200)]
        os.kill(process.pid, signal.SIGKILL)
        written += [line.strip() for line in process.stdout if line.endswith("\n")]

    async def check() -> list[str]:
        async with AnswerStore(path) as store:
            return [key for key in written if await store.get(key) != key.encode() * 50]

    assert anyio.run(check) == []


def test_a_full_disk_is_a_storage_error_and_what_was_stored_stays_readable(tmp_path):
    path = tmp_path / "answers.sqlite"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert "refused: cannot use" in done.stdout
    assert "b'kept'" in done.stdout
