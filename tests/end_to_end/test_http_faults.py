"""Whole runs over HTTP against a server that limits, fails, hangs up and talks nonsense: no task is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core import rollout, synthesize
from agentflow_core.runs import RunOptions
from agentflow_core.testing.openai_server import Faults, OpenAIServer
from agentflow_core.testing.recorded import recorded_responder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
FAULTS = Faults(rate_limit=0.1, server_error=0.1, disconnect=0.05, malformed=0.05, retry_after_s=0.01, seed=7)


def over_http(server: OpenAIServer, **retries: Any) -> dict[str, Any]:
    return {
        "model": {"provider": "openai", "name": "mock", "base_url": server.url, "api_key": "none"},
        "retries": {"base_s": 0.01, "cap_s": 0.05, "max_attempts": 12, **retries},
    }


@pytest.fixture
def synthesis(hotpotqa: Path, monkeypatch: pytest.MonkeyPatch, state: Path) -> dict[str, Any]:
    monkeypatch.setenv("AGENTFLOW_STATE", str(state))
    return {
        "sandbox": {"backends": {"rag": {"corpora": {"hotpotqa": {"path": str(hotpotqa / "hotpotqa-corpus.jsonl")}}}}},
        "seeds": {"path": str(hotpotqa / "hotpotqa-seeds.jsonl")},
        "tools": ["rag:*"],
        "sampling": {"max_depth": 4, "branching_factor": 2, "depth_threshold": 2},
    }


@pytest.fixture
def evaluation(hotpotqa: Path, synthesis: dict[str, Any]) -> dict[str, Any]:
    return {
        "sandbox": synthesis["sandbox"],
        "data": {"path": str(hotpotqa / "hotpotqa-dev.jsonl")},
        "rollout": {"tools": ["rag:*"], "max_turns": 8},
    }


def test_a_synthesis_gives_the_same_pairs_as_without_faults(synthesis, tmp_path):
    recorded = synthesize(config=synthesis, output_dir=tmp_path / "a", options=RunOptions(record=tmp_path / "answers"))

    with OpenAIServer(recorded_responder(tmp_path / "answers"), faults=FAULTS) as server:
        made = synthesize(config=synthesis | over_http(server), output_dir=tmp_path / "b")

    assert made.status == "complete"
    assert (made.funnel["seeds_failed"], made.funnel["drafting_failed"]) == (0, 0)
    assert [(qa.question, qa.answer) for qa in made.accepted] == [(qa.question, qa.answer) for qa in recorded.accepted]
    assert server.calls > sum(role["calls"] for role in made.summary["usage"]["by_role"].values())


def test_a_rollout_loses_no_task(evaluation, tmp_path):
    recorded = rollout(config=evaluation, output_dir=tmp_path / "a", options=RunOptions(record=tmp_path / "answers"))

    with OpenAIServer(recorded_responder(tmp_path / "answers"), faults=FAULTS) as server:
        scored = rollout(config=evaluation | over_http(server), output_dir=tmp_path / "b")

    assert scored["counts"]["outcomes"] == {"answered": 50}
    assert scored["metrics"] == recorded["metrics"]


def test_failures_that_stay_are_typed_and_counted_and_a_resume_makes_them_good(evaluation, tmp_path):
    recorded = rollout(config=evaluation, output_dir=tmp_path / "a", options=RunOptions(record=tmp_path / "answers"))
    respond = recorded_responder(tmp_path / "answers")

    with OpenAIServer(respond, faults=FAULTS) as server:
        config = evaluation | over_http(server, max_attempts=1)
        first = rollout(config=config, output_dir=tmp_path / "b")
        server.faults = None
        again = rollout(config=config, output_dir=tmp_path / "b")

    outcomes = first["counts"]["outcomes"]
    assert set(outcomes) <= {"answered", "error:transient", "error:bad_output", "error:rate_limit"}
    assert outcomes["error:transient"] > 0
    assert sum(outcomes.values()) == 50
    assert first["metrics"]["f1_score"]["attempted"] == 50
    assert first["metrics"]["f1_score"]["errored"] == 50 - outcomes["answered"]
    stored = [json.loads(line) for line in (tmp_path / "b" / "results.jsonl").read_text().splitlines()]
    assert len(stored) == 50
    assert again["counts"]["outcomes"] == {"answered": 50}
    assert again["metrics"] == recorded["metrics"]
