"""Laws on what sessions share: nothing; and on paths that are run again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentflow_core.sandbox import (
    Catalog,
    Sandbox,
    observation_of,
)
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
from agentflow_core.testing.subjects import Broken, Call, Missing, Subject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentflow_core.sandbox.worker import WorkerView


async def sessions_share_nothing(subject: Subject) -> None:
    """Sessions do not see what another one holds."""
    needs_sessions(subject)
    plant, _ = needs(subject.plant, "plant"), needs(subject.look, "look")
    canaries = {
        f"law-{number}": f"canary-{number:04d}-{number * 7919 % 9973:04d}" for number in range(subject.parallel)
    }

    async with opened(subject) as sandbox:

        async def plant_one(worker: WorkerView, canary: str) -> None:
            await session(worker, subject)
            await succeeded(worker, subject, plant(canary))

        async def look_one(worker: WorkerView, canary: str) -> None:
            text = await seen(worker, subject)
            if canary not in text:
                raise Broken(f"look does not show what was planted in its own session: {text[:200]!r}")
            for other in canaries.values():
                if other != canary and other in text:
                    raise Broken(f"{worker.worker_id} sees {other}, which another session planted")

        for step in (plant_one, look_one):
            await _each([partial(step, sandbox.worker(name), canary) for name, canary in canaries.items()])


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
        plant, _ = needs(subject.plant, "plant"), needs(subject.look, "look")
        parent = await session(sandbox, subject)
        await _in(sandbox, subject, parent, plant("canary-before"))
        child = (await sandbox.fork(parent)).id
        await _in(sandbox, subject, child, plant("canary-child"))
        await _in(sandbox, subject, parent, plant("canary-parent"))
        in_child = await _in(sandbox, subject, child, subject.look)
        in_parent = await _in(sandbox, subject, parent, subject.look)
        if "canary-before" not in in_child:
            raise Broken("the fork does not have what its parent had")
        if "canary-parent" in in_child or "canary-child" in in_parent:
            raise Broken("parent and fork see what the other did after the fork")
        await sandbox.close_session(parent)
        if "canary-child" not in await _in(sandbox, subject, child, subject.look):
            raise Broken("the fork lost its state when its parent was closed")


async def _in(sandbox: Sandbox, subject: Subject, session_id: str, calls: Sequence[Call]) -> str:
    texts = []
    for call in calls:
        result = await called(sandbox, subject, call, session=session_id)
        if not result.ok:
            raise Broken(f"the call {call[0]} {dict(call[1])} failed: {result.text[:300]}")
        texts.append(result.text)
    return "\n".join(texts)


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
