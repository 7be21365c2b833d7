"""Laws on the life of a backend and of its sessions: what is taken is given back."""

from __future__ import annotations

import gc
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentflow_core.errors import AgentFlowError
from agentflow_core.sandbox import (
    Backend,
    BackendContext,
    Sandbox,
    Session,
)
from agentflow_core.sandbox.premises import Premises
from agentflow_core.testing.laws.trials import (
    called,
    needs,
    needs_sessions,
    nothing_left,
    opened,
    session,
    succeeded,
)
from agentflow_core.testing.resources import held
from agentflow_core.testing.subjects import Broken, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def warmup_and_cleanup_may_come_twice(subject: Subject) -> None:
    """Warmup is idempotent, and cleanup may come twice."""
    async with opened(subject) as sandbox:
        await sandbox.warmup()
        await sandbox.warmup()
    async with alone(subject) as backend:
        await backend.warmup()
        state = await backend.initialize(Session(id="law-1", backend=subject.name, settings=subject.settings))
        await backend.cleanup(state)
        await backend.cleanup(state)


@asynccontextmanager
async def alone(subject: Subject) -> AsyncIterator[Backend]:
    """The backend without an engine: warm, then shut down."""
    with tempfile.TemporaryDirectory(prefix="agentflow-laws-") as folder:
        async with Premises(Path(folder), subject.launcher) as premises:
            backend = subject.backend()
            backend.context = BackendContext(
                name=subject.name, folder=Path(folder), observe=lambda event: None, premises=premises
            )
            await backend.warmup()
            try:
                yield backend
            finally:
                await backend.shutdown()


async def failed_initialize_leaves_nothing(subject: Subject) -> None:
    """An initialize that fails leaves nothing and is reported as what it is."""
    needs_sessions(subject)
    settings = needs(subject.broken_settings, "broken_settings")
    async with opened(subject) as sandbox:
        await sandbox.close_session(await session(sandbox, subject))
        async with nothing_left():
            for _ in range(3):
                try:
                    await sandbox.create_session({subject.name: settings})
                except AgentFlowError as error:
                    if not str(error).strip():
                        raise Broken(f"{type(error).__name__} without a message") from error
                else:
                    raise Broken("initialize succeeded with broken_settings")
        if sessions := await sandbox.list_sessions():
            raise Broken(f"sessions are still listed: {[info.id for info in sessions]}")


async def shutdown_with_live_sessions(subject: Subject) -> None:
    """The sandbox closes with sessions open."""
    async with nothing_left(), opened(subject) as sandbox:
        for number in range(min(subject.parallel, 4)):
            worker = sandbox.worker(f"law-{number}")
            await session(worker, subject)
            await succeeded(worker, subject, subject.calls)


async def cancelled_creation_leaves_nothing(subject: Subject) -> None:
    """A session whose creation is cancelled leaves nothing, wherever that comes."""
    needs_sessions(subject)
    async with opened(subject) as sandbox:
        await sandbox.warmup()
        started = perf_counter()
        await sandbox.close_session(await session(sandbox, subject))
        whole_s = perf_counter() - started
        moments: list[float | int] = [*range(12), *(whole_s * tenth / 10 for tenth in range(1, 10))]
        async with nothing_left():
            for moment in moments:
                await _cancelled_at(sandbox, subject, moment)
                if sessions := await sandbox.list_sessions():
                    raise Broken(f"cancelled at {moment}, {sessions[0].id} is left in state {sessions[0].state}")
        await succeeded(sandbox, subject, subject.calls)


async def _cancelled_at(sandbox: Sandbox, subject: Subject, moment: float) -> None:
    """Create a session and cancel that after so many steps of the loop, or seconds; close what got through."""

    async def create() -> None:
        await sandbox.close_session(await session(sandbox, subject))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        if isinstance(moment, int):
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
        else:
            await anyio.sleep(moment)
        tasks.cancel_scope.cancel()
    await sandbox.aclose()


async def sessions_come_and_go(subject: Subject) -> None:
    """Sessions come and go without the process growing."""
    needs_sessions(subject)
    async with opened(subject) as sandbox:

        async def cycle() -> None:
            opened_id = await session(sandbox, subject)
            for call in subject.calls[:1]:
                await called(sandbox, subject, call, session=opened_id)
            await sandbox.close_session(opened_id)

        for _ in range(max(2, subject.cycles // 10)):
            await cycle()
        gc.collect()
        rss = held().rss_bytes
        async with nothing_left():
            for _ in range(subject.cycles):
                await cycle()
        gc.collect()
        grown_mb = (held().rss_bytes - rss) / 2**20
        if grown_mb > subject.growth_mb:
            raise Broken(f"the process grew by {grown_mb:.0f} MB in {subject.cycles} sessions")
