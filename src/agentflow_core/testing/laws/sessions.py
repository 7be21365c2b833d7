"""Laws on what sessions share: nothing; and on paths that are run again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentflow_core.sandbox import Catalog, observation_of
from agentflow_core.testing.laws.trials import (
    called,
    needs,
    needs_sessions,
    opened,
    seen,
    session,
    sharing_of,
    succeeded,
)
from agentflow_core.testing.subjects import Broken, Missing, Subject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentflow_core.sandbox.worker import WorkerView


async def sessions_share_nothing(subject: Subject) -> None:
    """Sessions do not see what another one holds."""
    needs_sessions(subject)
    needs(subject.canaries, "canaries")
    planted = {
        f"law-{number}": {kind: f"canary-{kind}-{number:04d}" for kind in subject.canaries}
        for number in range(subject.parallel)
    }

    async with opened(subject) as sandbox:

        async def plant(worker: WorkerView) -> None:
            await session(worker, subject)
            for kind, canary in subject.canaries.items():
                await succeeded(worker, subject, canary.plant(planted[worker.worker_id][kind]))

        async def look(worker: WorkerView) -> None:
            for kind, canary in subject.canaries.items():
                text = await seen(worker, subject, canary)
                if planted[worker.worker_id][kind] not in text:
                    raise Broken(f"{kind}: look does not show what was planted in its own session: {text[:200]!r}")
                for name, others in planted.items():
                    if name != worker.worker_id and (leaked := [one for one in others.values() if one in text]):
                        raise Broken(f"{kind}: {worker.worker_id} sees {leaked[0]}, which another session planted")

        for step in (plant, look):
            await _each([partial(step, sandbox.worker(name)) for name in planted])


async def _each(works: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run all at once; the first that fails, in order, is raised by itself and not in a group."""
    errors: dict[int, Exception] = {}

    async def run(index: int) -> None:
        try:
            await works[index]()
        except Exception as error:  # noqa: BLE001 - plugin boundary
            errors[index] = error

    async with anyio.create_task_group() as tasks:
        for index in range(len(works)):
            tasks.start_soon(run, index)
    if errors:
        raise errors[min(errors)]


async def fork_shares_nothing(subject: Subject) -> None:
    """A fork has a copy of the state and shares nothing."""
    needs_sessions(subject)
    async with opened(subject) as sandbox:
        if not Catalog.of(**{subject.name: subject.backend}).backend(subject.name).can_fork:
            raise Missing("the backend does not fork")
        copied = {kind: canary for kind, canary in subject.canaries.items() if canary.is_forked}
        needs(copied, "canaries that a fork has too")
        parent = await session(sandbox, subject)
        for kind, canary in subject.canaries.items():
            await succeeded(sandbox, subject, canary.plant(f"canary-{kind}-before"), session=parent)
        child = (await sandbox.fork(parent)).id
        for kind, canary in subject.canaries.items():
            if (f"canary-{kind}-before" in await seen(sandbox, subject, canary, session=child)) != canary.is_forked:
                said = "does not have what its parent had" if canary.is_forked else "has what its parent alone should"
                raise Broken(f"{kind}: the fork {said}")
        for kind, canary in copied.items():
            await succeeded(sandbox, subject, canary.plant(f"canary-{kind}-child"), session=child)
            await succeeded(sandbox, subject, canary.plant(f"canary-{kind}-parent"), session=parent)
            in_child = await seen(sandbox, subject, canary, session=child)
            in_parent = await seen(sandbox, subject, canary, session=parent)
            if f"canary-{kind}-parent" in in_child or f"canary-{kind}-child" in in_parent:
                raise Broken(f"{kind}: parent and fork see what the other did after the fork")
        await sandbox.close_session(parent)
        for kind, canary in copied.items():
            if f"canary-{kind}-child" not in await seen(sandbox, subject, canary, session=child):
                raise Broken(f"{kind}: the fork lost its state when its parent was closed")


async def replay_is_equal(subject: Subject) -> None:
    """A recorded path gives the same observations in a fresh session."""
    calls = needs(tuple(subject.calls), "calls")
    async with opened(subject) as sandbox:
        opened_id = await session(sandbox, subject)
        recorded = []
        for tool, params in calls:
            options = {} if sharing_of(subject) == "shared" else {"session": opened_id}
            result = await called(sandbox, subject, (tool, params), **options)
            recorded.append((f"{subject.name}:{tool}", params, observation_of(result, None)))
        again = await sandbox.replay(opened_id, recorded)
        if not again.replay.equal:
            step = again.replay.step or 0
            raise Broken(
                f"call {step} ({calls[step][0]}) said {recorded[step][2].text[:150]!r}, "
                f"then {again.results[step].text[:150]!r}"
            )
