"""A plugin of somebody else: a distribution of its own with a backend, a scorer and a metric, used by runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLUGIN = '''
"""Count things, for AgentFlow."""
from agentflow_core import BackendSpec, MetricSpec, ScorerSpec, hookimpl


@hookimpl
def agentflow_backends():
    yield BackendSpec("abacus", target="acme_abacus.parts:Abacus", offline="acme_abacus.parts:Policy", summary="count")


@hookimpl
def agentflow_scorers():
    yield ScorerSpec("evenness", target="acme_abacus.parts:Evenness", summary="prefer an even number of steps")


@hookimpl
def agentflow_metrics():
    yield MetricSpec("same_parity", target="acme_abacus.parts:SameParity", summary="both odd or both even")
'''

PARTS = '''
"""The parts of the abacus."""
from agentflow_core import Backend, ToolResult, tool
from agentflow_core.interfaces import Move
from agentflow_core.records import Action, Score


class Abacus(Backend):
    """An abacus, one a session."""

    sharing = "session"

    async def initialize(self, session):
        return [0]

    async def cleanup(self, state):
        state.clear()

    @tool
    async def add(self, state, amount: int = 1) -> ToolResult:
        """Add to the count.

        Args:
            amount: how much.
        """
        state[0] += amount
        return ToolResult.success({"count": state[0]}, text=f"the count is now {state[0]} " + "bead " * state[0])


class Policy:
    """Adds one, then two, and says what the count is."""

    def propose(self, inputs):
        wanted = [Action(tool="abacus:add", params={"amount": n}) for n in range(1, 9)]
        return [action for action in wanted if action not in inputs.taken][: inputs.k]

    def draft(self, inputs):
        return []

    def solve(self, inputs):
        if len(inputs.steps) < 2:
            return Move(actions=(Action(tool="abacus:add", params={"amount": len(inputs.steps) + 1}),))
        return Move(answer=str(inputs.steps[-1].result.data["count"]), confidence=1.0)


class Evenness:
    """1 for paths with an even number of steps."""

    def score(self, path, context):
        return float(len(path) % 2)


class SameParity:
    """1 where prediction and reference are both odd or both even."""

    async def score(self, sample, context):
        return Score(value=float(int(sample.prediction) % 2 == int(sample.references[0]) % 2))
'''


@pytest.fixture
def abacus(fake_dist) -> None:
    fake_dist("acme-abacus", PLUGIN, version="1.2", modules={"parts.py": PARTS})


def test_a_rollout_uses_its_backend_and_its_metric(abacus, cli: Callable, tmp_path: Path):
    data = tmp_path / "tasks.jsonl"
    data.write_text('{"question": "What is the count?", "answer": "5"}\n')
    config = tmp_path / "rollout.json"
    config.write_text(
        json.dumps({"data": {"path": str(data)}, "rollout": {"tools": ["abacus:*"]}, "metrics": ["same_parity"]})
    )

    ran = cli("rollout", config, "--run", tmp_path / "run", "--plain")

    assert ran.code == 0, ran.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["same_parity"]["mean"] == 1.0  # 1 + 2 is odd, and so is 5
    assert summary["versions"]["acme-abacus"] == "1.2"


def test_a_synthesis_explores_its_sessions_without_shared_state_and_scores_by_its_scorer(abacus, cli, tmp_path):
    config = tmp_path / "synthesis.json"
    config.write_text(
        json.dumps(
            {
                "seeds": {"items": ["count"]},
                "tools": ["abacus:*"],
                "sampling": {"max_depth": 2, "branching_factor": 2, "depth_threshold": 2, "stale_novelty": 0},
                "selection": {"scorers": {"evenness": 2, "depth": 1}},
            }
        )
    )

    ran = cli("synthesize", config, "--run", tmp_path / "run", "--plain")

    assert ran.code == 0, ran.err
    nodes = {node["id"]: node for node in map(json.loads, (tmp_path / "run" / "tree.jsonl").read_text().splitlines())}
    steps = [node for node in nodes.values() if node["tool"]]
    assert len(steps) == 6
    for node in steps:  # each count is that of its own path: no branch sees what another one added
        path = [node]
        while path[-1]["parent"]:
            path.append(nodes[path[-1]["parent"]])
        assert node["result"]["data"]["count"] == sum(step["params"]["amount"] for step in path if step["tool"])
    paths = [json.loads(line) for line in (tmp_path / "run" / "paths.jsonl").read_text().splitlines()]
    assert all(set(path["scores"]) == {"evenness", "depth"} for path in paths)
