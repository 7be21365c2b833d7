"""The JSON Lines of OpenAI fine-tuning, written from real runs."""

from __future__ import annotations

import json

import pytest

from agentflow_core import rollout, synthesize


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "state"))
    return synthesize(config={"seeds": {"items": ["Danube", "Marie Curie"]}}, output_dir=tmp_path / "pairs")


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_synthesis_gives_a_conversation_for_each_accepted_pair(pairs, cli, tmp_path):
    ran = cli("export", pairs.run_dir, "--to", "openai", "-o", tmp_path / "out" / "train.jsonl")

    assert ran.code == 0
    examples = read(tmp_path / "out" / "train.jsonl")
    assert len(examples) == len(pairs.accepted) > 0
    for qa, example in zip(pairs.accepted, examples, strict=True):
        first, question, *middle, last = example["messages"]
        assert (first["role"], question["content"], last["content"]) == ("system", qa.question, qa.answer)
        assert [message["role"] for message in middle] == ["assistant", "tool"] * (len(middle) // 2)
        for call, result in zip(middle[::2], middle[1::2], strict=True):
            assert call["tool_calls"][0]["id"] == result["tool_call_id"]
            json.loads(call["tool_calls"][0]["function"]["arguments"])
        used = {message["tool_calls"][0]["function"]["name"] for message in middle[::2]}
        assert used <= {tool["function"]["name"] for tool in example["tools"]}


def test_a_rollout_gives_a_conversation_for_each_answered_task(pairs, cli, tmp_path):
    run = rollout(
        config={"data": {"path": str(pairs.run_dir / "qa.jsonl")}, "rollout": {"max_turns": 2}},
        output_dir=tmp_path / "answers",
    )

    assert cli("export", run.run_dir, "--to", "openai", "-o", tmp_path / "train.jsonl").code == 0
    answered = [result for result in run.results if result.outcome == "answered"]
    assert [example["messages"][1]["content"] for example in read(tmp_path / "train.jsonl")] == [
        result.question for result in answered
    ]


def test_data_of_the_offline_model_comes_with_a_warning(pairs, cli, tmp_path):
    ran = cli("export", pairs.run_dir, "--to", "openai", "-o", tmp_path / "train.jsonl")

    assert "offline model" in ran.err


def test_an_unknown_format_is_refused_with_a_suggestion(pairs, cli, tmp_path):
    ran = cli("export", pairs.run_dir, "--to", "openia", "-o", tmp_path / "train.jsonl")

    assert (ran.code, "did you mean 'openai'" in ran.err) == (2, True)
    assert not (tmp_path / "train.jsonl").exists()
