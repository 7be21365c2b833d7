"""Whole runs that are forked ask a model only for what the change makes new, and end as if they had been made anew."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core import rollout, synthesize
from agentflow_core.errors import RunConflictError
from agentflow_core.runs import RunOptions
from agentflow_core.testing.openai_server import OpenAIServer
from agentflow_core.testing.recorded import recorded_responder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYNTHESIS: dict[str, Any] = {
    "seeds": {"path": str(resources.files("agentflow_rag").joinpath("data", "facts-seeds.jsonl")), "limit": 4},
    "tools": ["rag:*"],
}
ROLLOUT: dict[str, Any] = {"rollout": {"tools": ["rag:*"], "max_turns": 6}, "metrics": ["exact_match"]}
DERIVED = {
    synthesize: ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "summary.json"),
    rollout: ("results.jsonl", "trajectories.jsonl", "summary.json"),
}


class Forks:
    """Makes runs over HTTP: one, a fork of it with a change, and one with the change from the start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = 0

    def prompts(self, make: Any, base: dict[str, Any], **changes: Any) -> tuple[list[str], list[str]]:
        """What the fork asked for, and what the run from the start asked for: the last messages."""
        answers = self.folder / "answers"
        for config in (base, base | changes):
            make(config=config, output_dir=self._dir(), options=RunOptions(record=answers))
        with OpenAIServer(recorded_responder(answers)) as server:
            model = {"provider": "openai", "name": "mock", "base_url": server.url, "api_key": "none"}
            first, forked, anew = self._dir(), self._dir(), self._dir()
            make(config=base | {"model": model}, output_dir=first)
            config = base | changes | {"model": model}
            asked = [len(server.requests)]
            make(config=config, output_dir=forked, options=RunOptions(fork=first))
            asked.append(len(server.requests))
            make(config=config, output_dir=anew)
        for name in DERIVED[make]:
            assert (forked / name).read_bytes() == (anew / name).read_bytes(), name
        said = [request["messages"][-1]["content"] for request in server.requests]
        return said[asked[0] : asked[1]], said[asked[1] :]

    def _dir(self) -> Path:
        self.made += 1
        return self.folder / f"run-{self.made}"


@pytest.fixture
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forks]:
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "state"))
    return Forks(tmp_path)


def test_another_weight_of_a_scorer_samples_nothing_again(forks):
    weights = {"scorers": {"depth": 5, "information": 1, "tool_diversity": 1}, "selector": "topk"}
    forked, anew = forks.prompts(synthesize, SYNTHESIS, selection=weights)
    assert len(forked) < len(anew) / 2  # at most the drafts of paths that were not chosen before


def test_other_gates_draft_nothing_again(forks):
    forked, anew = forks.prompts(synthesize, SYNTHESIS, qa={"gates": ["schema", "grounded"]})
    assert forked == []
    assert anew


def test_other_advice_for_drafts_samples_nothing_again(forks):
    forked, anew = forks.prompts(synthesize, SYNTHESIS, qa={"tips": "Ask about rivers."})
    assert forked
    assert all("Ask about rivers." in str(said) for said in forked)
    assert len(forked) < len(anew)


def test_another_shape_of_the_tree_asks_only_what_was_not_asked_before(forks):
    forked, anew = forks.prompts(synthesize, SYNTHESIS, sampling={"max_depth": 3})
    assert len(forked) < len(anew)


@pytest.fixture
def questions(tmp_path: Path) -> dict[str, Any]:
    data = tmp_path / "tasks.csv"
    rivers = ("Danube", "Rhine", "Volga")
    data.write_text(
        "question,answer\n" + "".join(f"Into which sea does the {river} flow?,Black Sea\n" for river in rivers)
    )
    return ROLLOUT | {"data": {"path": str(data)}}


def test_other_metrics_roll_nothing_out_again(forks, questions):
    forked, anew = forks.prompts(rollout, questions, metrics=["f1_score", "contains_answer"])
    assert forked == []
    assert anew


def test_another_prompt_rolls_everything_out_again(forks, questions):
    change = ROLLOUT["rollout"] | {"system_prompt": "Answer in one word, as <answer>word</answer>."}
    forked, anew = forks.prompts(rollout, questions, rollout=change)
    assert sorted(forked, key=str) == sorted(anew, key=str)


def test_a_changed_stage_is_refused_without_a_fork(forks, tmp_path):
    synthesize(config=SYNTHESIS, output_dir=tmp_path / "run")
    with pytest.raises(RunConflictError, match=r"max_depth: 4 -> 3"):
        synthesize(config=SYNTHESIS | {"sampling": {"max_depth": 3}}, output_dir=tmp_path / "run")
