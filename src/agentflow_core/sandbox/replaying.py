"""Run a recorded path again in a fresh session, and find the first step that answers differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import SandboxError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.records import Observation, Replay, ToolResult
from agentflow_core.sandbox.observation import observation_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.sandbox.tools import Compare
    from agentflow_core.sandbox.worker import Door

__all__ = ["Replayed", "compare_observations", "replay"]


@frozen(kw_only=True)
class Replayed:
    """How a replay compared, and the session in which it ran: it is open, and the caller's to use and to close."""

    replay: Replay
    session: SessionInfo
    results: tuple[ToolResult, ...]  #: of the calls that were run


async def replay(
    door: Door, worker_id: str, target: str, calls: Sequence[tuple[str, Mapping[str, Any], Observation]]
) -> Replayed:
    """Open a session of the backend ``target``, or one like the session ``target``, and run its calls in order.

    All calls are run, also after one that differs, so that the session is as far as the path was.
    ``step`` counts all ``calls`` from 0.

    Raises:
        SandboxError: the session cannot start; a call could not be run at all, as the sandbox is overloaded.
    """
    backend, settings = await door.session_like(worker_id, target)
    info = (await door.create_session(worker_id, {backend: settings}))[backend]
    verdict = Replay(equal=True)
    results: list[ToolResult] = []
    try:
        for step, (tool, params, recorded) in enumerate(calls):
            if tool.partition(":")[0] != backend:
                continue
            result = await door.execute(worker_id, tool, params, session=info.id)
            if result.code == "overloaded":
                raise SandboxError(f"step {step} could not be replayed: {result.message}", code="overloaded")
            results.append(result)
            if verdict.equal:
                verdict = compare_observations(
                    recorded, observation_of(result, None), step, door.catalog.find(tool)[1].function.compare
                )
    except BaseException:
        await door.close_session(worker_id, info.id)
        raise
    return Replayed(replay=verdict, session=info, results=tuple(results))


def compare_observations(recorded: Observation, seen: Observation, step: int, compare: Compare | None) -> Replay:
    """Are they equal by the tool's rule (default: the same text), and if not, how similar are their texts, 0 to 1?"""
    if compare(recorded, seen) if compare is not None else recorded.text == seen.text:
        return Replay(equal=True)
    from rapidfuzz.fuzz import ratio  # only when they differ

    return Replay(equal=False, step=step, similarity=ratio(recorded.text, seen.text) / 100)
