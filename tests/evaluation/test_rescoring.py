"""Stored trajectories scored again, by metrics that need more than the trajectory."""

from __future__ import annotations

import importlib

from agentflow_core.contributions import MetricSpec
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
