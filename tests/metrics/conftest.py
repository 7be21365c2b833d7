"""Samples for metrics."""

from __future__ import annotations

import pytest

from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.records import Task


@pytest.fixture
def score():
    """``await score(metric, prediction, *references)``."""

    async def run(metric, prediction, *references, outcome="answered", judge=None, question="q?"):
        task = Task(id="t", question=question)
        sample = ScoredSample(task=task, prediction=prediction, references=references, outcome=outcome)
        return await metric.score(sample, MetricContext(judge=judge))

    return run
