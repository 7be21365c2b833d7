"""Run the calls of one batch: one session's in order, the others at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from agentflow_core.records import ToolResult

if TYPE_CHECKING:
    from agentflow_core.sandbox.wire import BatchRequest, ExecuteRequest

__all__ = ["run_batch"]

Execute = Callable[["ExecuteRequest"], Awaitable[ToolResult]]


async def run_batch(batch: BatchRequest, has_session: Callable[[str], bool], execute: Execute) -> list[ToolResult]:
    """One result a call, in call order. ``execute`` raises nothing: a failure is a result."""
    results: list[ToolResult | None] = [None] * len(batch.calls)
    stop = anyio.CancelScope()

    async def run(lane: Sequence[int]) -> None:
        for index in lane:
            result = results[index] = await execute(batch.calls[index])
            if batch.stop_on_error and not result.ok:
                stop.cancel()
                return

    lanes = _lanes(batch, has_session)
    with stop:
        async with anyio.create_task_group() as tasks:
            for lane in lanes:
                tasks.start_soon(run, lane)
    given_up = ToolResult.failure("cancelled", "not finished, because another call of the batch failed")
    return [given_up if result is None else result for result in results]


def _lanes(batch: BatchRequest, has_session: Callable[[str], bool]) -> list[list[int]]:
    if not batch.parallel:
        return [list(range(len(batch.calls)))]
    lanes: dict[object, list[int]] = {}
    for index, call in enumerate(batch.calls):
        lane = call.session_id or call.tool.partition(":")[0] if has_session(call.tool) else index
        lanes.setdefault(lane, []).append(index)
    return list(lanes.values())
