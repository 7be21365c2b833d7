"""Stored trajectories scored again, by metrics that need more than the trajectory."""

from __future__ import annotations

import importlib
import json

import pytest

from agentflow_core.contributions import MetricSpec
from agentflow_core.errors import RunCorruptError
from agentflow_core.evaluation.rescoring import rescore
from agentflow_core.records import Score


class Looked:
    """Asks the sandbox for the answer itself."""

    async def score(self, sample, context):
        worker = context.sandbox.worker(f"{sample.task.id}/looked")
        found = await worker.execute("towns:capital", {"country": sample.task.question})
        return Score(value=float(found.text == sample.prediction), reason=sample.task.metadata["area"])


async def test_a_metric_that_needs_a_sandbox_gets_that_of_the_run_and_the_metadata_of_the_task(quiz, plugin_host):
    await quiz.run(metrics=["exact_match"])
    quiz.parts.Looked = Looked
    plugin = importlib.import_module("agentflow_quiz.plugin")
    spec = MetricSpec("looked", target="agentflow_quiz.parts:Looked", needs="sandbox", summary="looks it up")
    summary = await rescore(quiz.dir, ["looked"], plugin_host(plugin, spec))
    assert summary["metrics"]["looked"]["mean"] == 1.0
    assert [line["scores"]["looked"]["reason"] for line in quiz.lines("scores.jsonl")] == ["west", "north", "north"]


class Hinted:
    """Says what of the task its result does not tell."""

    async def score(self, sample, context):
        return Score(value=1.0, reason=sample.task.kwargs["hint"])


async def test_a_metric_sees_the_whole_task_that_was_planned(quiz, plugin_host):
    task = {"id": "fr", "question": "France", "kwargs": {"hint": "Seine"}}
    (quiz.dir.parent / "tasks.jsonl").write_text(json.dumps(task))
    await quiz.run(metrics=["exact_match"], rollout={"samples": 2})
    quiz.parts.Hinted = Hinted
    plugin = importlib.import_module("agentflow_quiz.plugin")
    spec = MetricSpec("hinted", target="agentflow_quiz.parts:Hinted", summary="the hint")
    await rescore(quiz.dir, ["hinted"], plugin_host(plugin, spec))
    assert [line["scores"]["hinted"]["reason"] for line in quiz.lines("scores.jsonl")] == ["Seine"] * 2
    assert [task.id for task in quiz.reader().tasks()] == ["fr"]


async def test_a_result_of_a_task_that_was_not_planned_is_an_error(quiz):
    await quiz.run(metrics=["exact_match"])
    plan = quiz.dir / "plan.jsonl"
    plan.write_text("".join(line for line in plan.read_text().splitlines(keepends=True) if "Norway" not in line))
    with pytest.raises(RunCorruptError, match=r"plan\.jsonl has no task 'no'"):
        await rescore(quiz.dir, ["exact_match"], quiz.host)
