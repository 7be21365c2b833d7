"""Sessions that are asked for again under one id are opened once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Catalog, Sandbox, Session
from agentflow_core.testing.backends import CounterBackend, GlossaryBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.sandbox.conftest import FakeClock


class Starting(CounterBackend):
    """A counter whose sessions start and fork when a test lets them."""

    def __init__(self) -> None:
        self.begun = 0
        self.proceed = anyio.Event()
        self.error: Exception | None = None

    async def initialize(self, session: Session) -> Any:
        """Wait at the gate, then start or fail."""
        self.begun += 1
        await self.proceed.wait()
        if self.error is not None:
            raise self.error
        return await super().initialize(session)


async def begun(backend: Starting, count: int) -> None:
    with anyio.fail_after(5):
        while backend.begun < count:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()


async def test_a_repeated_creation_answers_with_the_same_sessions(engine):
    async with engine(counter=CounterBackend, glossary=GlossaryBackend) as sandbox:
        wanted = {"counter": {"start": 5}, "glossary": None}
        first = await sandbox.create_session("w", wanted, call_id="a")
        assert await sandbox.create_session("w", dict(reversed(wanted.items())), call_id="a") == first
        assert len(await sandbox.list_sessions()) == 1
        assert (await sandbox.create_session("w", wanted, call_id="b"))["counter"].id != first["counter"].id
        assert (await sandbox.create_session("other", wanted, call_id="a"))["counter"].id != first["counter"].id


async def test_a_repeated_fork_answers_with_the_same_copy(engine):
    async with engine(counter=CounterBackend) as sandbox:
        parent = (await sandbox.create_session("w", {"counter": None}))["counter"].id
        copy = await sandbox.fork("w", parent, call_id="a")
        await sandbox.close_session("w", parent)
        assert await sandbox.fork("w", parent, call_id="a") == copy
        assert [info.id for info in await sandbox.list_sessions()] == [copy.id]


async def test_one_id_is_for_one_request(engine):
    async with engine(counter=CounterBackend) as sandbox:
        parent = (await sandbox.create_session("w", {"counter": None}, call_id="a"))["counter"].id
        for ask in (
            sandbox.create_session("w", {"counter": {"start": 1}}, call_id="a"),
            sandbox.fork("w", parent, call_id="a"),
        ):
            with pytest.raises(SandboxError, match="call_id 'a' was used for another call") as caught:
                await ask
            assert caught.value.code == "conflict"
        assert (await sandbox.execute("w", "counter:add", call_id="a")).ok  # the ids of calls are another set
        assert len(await sandbox.list_sessions()) == 1


async def test_what_was_opened_and_closed_since_is_still_the_answer(engine, clock: FakeClock):
    async with engine(counter=CounterBackend) as sandbox:
        first = await sandbox.create_session("w", {"counter": None}, call_id="a")
        await sandbox.close_session("w", first["counter"].id)
        assert await sandbox.create_session("w", {"counter": None}, call_id="a") == first
        assert await sandbox.list_sessions() == ()
        clock.now += 601
        assert await sandbox.create_session("w", {"counter": None}, call_id="a") != first


async def test_a_creation_under_way_is_waited_for(engine):
    backend = Starting()
    found: list[Any] = []
    async with engine(counter=lambda: backend) as sandbox:

        async def create() -> None:
            found.append(await sandbox.create_session("w", {"counter": None}, call_id="a"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create)
            tasks.start_soon(create)
            await begun(backend, 1)
            backend.proceed.set()
        assert backend.begun == 1
        assert found[0] == found[1]


async def test_a_creation_that_failed_is_tried_again(engine):
    backend = Starting()
    backend.proceed.set()
    backend.error = SandboxError("no display", code="display_error")
    async with engine(counter=lambda: backend) as sandbox:
        with pytest.raises(SandboxError, match="no display"):
            await sandbox.create_session("w", {"counter": None}, call_id="a")
        backend.error = None
        assert (await sandbox.create_session("w", {"counter": None}, call_id="a"))["counter"].state == "ready"


async def test_who_waits_for_a_creation_that_is_given_up_makes_it(engine):
    backend = Starting()
    found: list[Any] = []
    async with engine(counter=lambda: backend) as sandbox:

        async def create() -> None:
            found.append(await sandbox.create_session("w", {"counter": None}, call_id="a"))

        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as first:
                first.start_soon(create)
                await begun(backend, 1)
                others.start_soon(create)
                await anyio.wait_all_tasks_blocked()
                first.cancel_scope.cancel()
            await begun(backend, 2)
            backend.proceed.set()
        assert [info.id for info in await sandbox.list_sessions()] == [found[0]["counter"].id]


@asynccontextmanager
async def recorded(file: Path, **options: Any) -> AsyncIterator[Sandbox]:
    async with Sandbox(catalog=Catalog.of(counter=CounterBackend), **{"record": file, **options}) as sandbox:
        yield sandbox


async def test_a_recording_and_its_replay_open_once_too(tmp_path: Path):
    file = tmp_path / "tools.sqlite"
    texts = []
    for options in ({}, {"record": None, "replay": file}):
        async with recorded(file, **options) as sandbox:
            first = await sandbox.create_session({"counter": {"start": 5}}, call_id="a")
            assert await sandbox.create_session({"counter": {"start": 5}}, call_id="a") == first
            copy = await sandbox.fork(first["counter"].id, call_id="b")
            assert await sandbox.fork(first["counter"].id, call_id="b") == copy
            assert len(await sandbox.list_sessions()) == 2
            with pytest.raises(SandboxError, match="was used for another call"):
                await sandbox.create_session("counter", call_id="a")
            await sandbox.execute("counter:add", session=copy.id)
            texts.append((await sandbox.execute("counter:look", session=copy.id)).text)
            assert (await sandbox.execute("counter:add", call_id="c")).ok
            assert (await sandbox.execute("counter:add", {"amount": 2}, call_id="c")).code == "conflict"
    assert texts == ["total 6", "total 6"]
