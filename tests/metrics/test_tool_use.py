"""tool_use."""

from __future__ import annotations

import pytest

from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.metrics.tool_use import ToolUse
from agentflow_core.records import StepRecord, Task, ToolCall, Trajectory, assistant, user


async def figures(*turns, outcome="answered", noted=True):
    """Those of a trajectory of turns of ``tool=code``, and a last turn that answers."""
    messages, steps = [user("?")], []
    for turn in turns:
        pairs = [call.split("=") for call in turn.split()]
        calls = tuple(ToolCall(id=str(index), name=tool, arguments="{}") for index, (tool, _) in enumerate(pairs))
        messages.append(assistant("", tool_calls=calls))
        steps.append(StepRecord(tools=tuple({"tool": tool, "code": code} for tool, code in pairs) if noted else ()))
    trajectory = Trajectory(
        id="t#0", task_id="t", messages=(*messages, assistant("done")), steps=tuple(steps), outcome=outcome
    )
    sample = ScoredSample(task=Task(id="t", question="?"), prediction="x", references=(), trajectory=trajectory)
    found = await ToolUse().score(sample, MetricContext())
    assert not found.graded
    return found.figures


async def test_calls_tools_errors_and_turns_are_counted():
    found = await figures("a=ok b=ok", "a=timeout", "a=ok")
    assert found == {"turns": 4, "calls": 4, "distinct_tools": 2, "errors": 1, "recovery": 1}


async def test_without_errors_there_is_nothing_to_recover_from():
    assert await figures("a=ok") == {"turns": 2, "calls": 1, "distinct_tools": 1, "errors": 0}
    assert await figures() == {"turns": 1, "calls": 0, "distinct_tools": 0, "errors": 0}


@pytest.mark.parametrize(
    ("turns", "recovery"),
    [
        (["a=not_found"], 0),
        (["a=ok", "a=timeout"], 0),
        (["a=timeout b=ok", "a=timeout"], 0.5),
        (["a=x", "b=x", "c=ok"], 1),
    ],
)
async def test_recovery_is_the_share_of_errors_before_a_success(turns, recovery):
    assert (await figures(*turns))["recovery"] == recovery


async def test_a_crash_is_described_too():
    assert (await figures("a=ok", outcome="error:timeout"))["calls"] == 1


async def test_codes_that_an_import_does_not_know_are_left_out():
    assert await figures("a=? a=?", noted=False) == {"turns": 2, "calls": 2, "distinct_tools": 1}


async def test_without_a_trajectory_there_are_no_figures():
    sample = ScoredSample(task=Task(id="t", question="?"), prediction="x", references=("x",))
    found = await ToolUse().score(sample, MetricContext())
    assert (found.graded, found.figures, found.reason) == (False, {}, "there is no trajectory")
