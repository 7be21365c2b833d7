"""Laws on calls that are too slow or too many: they are stopped, or refused at once."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentflow_core.errors import SandboxError
from agentflow_core.testing.laws import trials
from agentflow_core.testing.laws.trials import (
    called,
    needs,
    needs_sessions,
    nothing_left,
    opened,
    session,
    succeeded,
)
from agentflow_core.testing.subjects import Broken, Subject

if TYPE_CHECKING:
    from agentflow_core.records import ToolResult

_OVERLOAD_S = 0.05
_OVERLOAD_TRIES = 5  # of which one is not disturbed by whatever else the machine does


async def timeouts_stop_the_work(subject: Subject) -> None:
    """A call that times out is stopped, leaves nothing behind, and the next one works."""
    slow = needs(subject.slow, "slow")
    async with opened(subject) as sandbox:
        await session(sandbox, subject)
        await succeeded(sandbox, subject, subject.calls)
        async with nothing_left():
            started = perf_counter()
            result = await called(sandbox, subject, slow, timeout_s=0.2)
            took = perf_counter() - started
            if result.code != "timeout":
                raise Broken(f"the slow call is answered {result.code} after {took:.1f} s")
            if took > trials.PROMPT_S:
                raise Broken(f"the answer came after {took:.1f} s")
        await succeeded(sandbox, subject, subject.calls)


async def cancelled_calls_stop_the_work(subject: Subject) -> None:
    """A call that is cancelled is stopped, leaves nothing behind, and the next one works."""
    slow = needs(subject.slow, "slow")
    async with opened(subject) as sandbox:
        await session(sandbox, subject)
        await succeeded(sandbox, subject, subject.calls)
        async with nothing_left():
            started = perf_counter()
            with anyio.move_on_after(0.2) as scope:
                await called(sandbox, subject, slow)
            took = perf_counter() - started
            if not scope.cancelled_caught:
                raise Broken("the slow call ended by itself, or swallowed its cancellation")
            if took > trials.PROMPT_S:
                raise Broken(f"it took {took:.1f} s to be cancelled")
        await succeeded(sandbox, subject, subject.calls)


async def overload_answers_fast(subject: Subject) -> None:
    """Too many calls are answered overloaded, fast, and with when to come again."""
    slow = needs(subject.slow, "slow")
    async with opened(subject, max_concurrency=1, queue_length=0) as sandbox:
        first, second = sandbox.worker("law-1"), sandbox.worker("law-2")
        for worker in (first, second):
            await session(worker, subject)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(called, first, subject, slow)
            while not (await sandbox.status())["backends"][subject.name]["running"]:
                await anyio.lowlevel.checkpoint()
            answers, took = [], []
            for _ in range(_OVERLOAD_TRIES):
                started = perf_counter()
                answers.append(await called(second, subject, slow))
                took.append(perf_counter() - started)
            tasks.cancel_scope.cancel()
        for answer in answers:
            if answer.code != "overloaded" or not answer.retry_after_s:
                raise Broken(f"it is answered {answer.code}, retry_after_s {answer.retry_after_s}")
        if min(took) > _OVERLOAD_S:
            raise Broken(f"the fastest of {len(took)} answers took {min(took) * 1000:.0f} ms")


async def closing_stops_the_work(subject: Subject) -> None:
    """A session that is closed while a call runs stops the call."""
    needs_sessions(subject)
    slow = needs(subject.slow, "slow")
    answers: list[ToolResult] = []
    async with opened(subject) as sandbox:
        await sandbox.close_session(await session(sandbox, subject))
        async with nothing_left():
            opened_id = await session(sandbox, subject)

            async def call() -> None:
                answers.append(await called(sandbox, subject, slow, session=opened_id))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                while not (await sandbox.status())["backends"][subject.name]["running"]:
                    await anyio.lowlevel.checkpoint()
                await anyio.sleep(0.1)  # the work is under way, not only admitted
                started = perf_counter()
                await sandbox.close_session(opened_id)
                took = perf_counter() - started
        if answers[0].ok or took > trials.PROMPT_S:
            raise Broken(f"the call is answered {answers[0].code}; closing took {took:.1f} s")
        try:
            await sandbox.renew(opened_id)
        except SandboxError:
            return
        raise Broken("a closed session can be renewed")
