"""The law on calls that attack the machine, or take all that they get."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from agentflow_core.records.codes import CODES
from agentflow_core.testing.laws import trials
from agentflow_core.testing.laws.trials import called, needs, needs_sessions, nothing_left, opened, session, succeeded
from agentflow_core.testing.subjects import Broken, Call, Missing, Subject

if TYPE_CHECKING:
    from agentflow_core.records import ToolResult
    from agentflow_core.sandbox.worker import WorkerView

#: How long a hostile call may run, in seconds.
_ATTACK_S = 2.0
#: For all calls of another session meanwhile, on a machine whose cores are taken.
_BESIDE_S = 60.0
#: Calls after it within which the session must be of use again, or say that it is lost.
_TRIES = 3


async def hostile_calls_are_contained(subject: Subject) -> None:
    """A hostile call is answered in bounded time, harms no other session, and leaves nothing behind."""
    needs_sessions(subject)
    if subject.launcher.kind == "none":
        raise Missing("never tried under the launcher 'none', which holds nothing")
    needs(subject.hostile, "hostile")
    async with opened(subject) as sandbox:
        neighbour, attacker = sandbox.worker("law-neighbour"), sandbox.worker("law-attacker")
        for worker in (neighbour, attacker):
            await session(worker, subject)
            await succeeded(worker, subject, subject.calls)
        await attacker.aclose()
        for what, call in subject.hostile.items():
            try:
                async with nothing_left():
                    await _contained(subject, neighbour, attacker, call)
            except Broken as broken:
                raise Broken(f"{what}: {broken}") from None


async def _contained(subject: Subject, neighbour: WorkerView, attacker: WorkerView, call: Call) -> None:
    attacked = await session(attacker, subject)
    answers: list[ToolResult] = []
    harm: list[Broken] = []
    bound_s = _ATTACK_S + trials.PROMPT_S
    began = perf_counter()
    async with anyio.create_task_group() as tasks:

        async def work_beside() -> None:
            try:
                while not answers:
                    with anyio.fail_after(_BESIDE_S):
                        await succeeded(neighbour, subject, subject.calls)
            except Broken as broken:
                harm.append(broken)
            except TimeoutError:
                harm.append(Broken(f"the calls did not end within {_BESIDE_S:g} s"))

        tasks.start_soon(work_beside)
        with anyio.move_on_after(bound_s):
            answers.append(await called(attacker, subject, call, session=attacked, timeout_s=_ATTACK_S))
        took = perf_counter() - began
        if not answers:
            tasks.cancel_scope.cancel()
    if not answers or took > bound_s:
        raise Broken(f"it was not answered within {took:.1f} s")
    if answers[0].code == "internal" or answers[0].code not in CODES:
        raise Broken(f"it is answered {answers[0].code}: {answers[0].message[:300]}")
    if harm:
        raise Broken(f"another session was harmed meanwhile: {harm[0]}")
    await _of_use_or_lost(subject, attacker, attacked)
    await attacker.aclose()
    for worker, whose in ((neighbour, "another session"), (attacker, "the next session")):
        try:
            await succeeded(worker, subject, subject.calls)
        except Broken as broken:
            raise Broken(f"{whose} was harmed: {broken}") from None
    await attacker.aclose()


async def _of_use_or_lost(subject: Subject, worker: WorkerView, session_id: str) -> None:
    """A limit that was hit may be told once more; then the session works, or says that it is lost."""
    said = []
    for _ in range(_TRIES):
        result = await called(worker, subject, subject.calls[0], session=session_id)
        if result.ok or result.code in ("session_lost", "process_died"):
            return
        said.append(result.code)
    raise Broken(f"afterwards the session is neither of use nor lost, its calls are answered {', '.join(said)}")
