"""A rollout from a benchmark to derived files, with a scripted model over a small plugin."""

from __future__ import annotations

import json

import pytest

from agentflow_core.errors import ContentFilterError, ModelRequestError, RunError, UnknownNameError
from agentflow_core.records.events import ModelCalled


async def test_every_task_is_answered_scored_and_written_in_the_order_of_the_benchmark(quiz):
    finished = await quiz.run()
    assert finished.status == "complete"
    assert [(line["task_id"], line["answer"], line["outcome"]) for line in quiz.lines("results.jsonl")] == [
        ("fr", "Paris", "answered"),
        ("no", "Oslo", "answered"),
        ("se", "Stockholm", "answered"),
    ]
    assert finished.summary["metrics"]["exact_match"]["mean"] == pytest.approx(2 / 3)
    assert finished.summary["counts"] == {"planned": 3, "finished": 3, "outcomes": {"answered": 3}}


async def test_the_files_have_the_shape_that_is_promised(quiz):
    await quiz.run()
    result = quiz.lines("results.jsonl")[1]
    assert list(result) == (
        [
            "task_id",
            "sample",
            "question",
            "answer",
            "references",
            "outcome",
            "scores",
            "trajectory_id",
            "usage",
            "metadata",
        ]
    )
    assert list(result["scores"]["f1_score"]) == ["value", "graded", "reason"]
    assert (result["references"], result["metadata"]) == (["Oslo", "Christiania"], {"area": "north"})
    trajectory = quiz.lines("trajectories.jsonl")[1]
    assert list(trajectory) == [
        "id",
        "task_id",
        "sample",
        "model",
        "tools",
        "messages",
        "steps",
        "end_state",
        "outcome",
        "answer",
    ]
    assert [message["role"] for message in trajectory["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert trajectory["messages"][2]["tool_calls"][0]["function"]["name"] == "towns_capital"
    assert trajectory["messages"][3] == {"role": "tool", "content": "Oslo", "tool_call_id": "call_0"}
    assert json.loads((quiz.dir / "summary.json").read_text())["kind"] == "rollout"


async def test_samples_are_further_attempts(quiz):
    finished = await quiz.run(rollout={"samples": 2})
    assert [(line["task_id"], line["sample"]) for line in quiz.lines("results.jsonl")] == [
        ("fr", 0), ("fr", 1), ("no", 0), ("no", 1), ("se", 0), ("se", 1),
    ]  # fmt: skip
    assert finished.summary["metrics"]["exact_match"]["attempted"] == 6


async def test_metrics_that_ask_a_model_are_scored_once_and_their_use_is_counted(quiz):
    metrics = ["exact_match", "judged", "calls"]
    finished = await quiz.run(metrics=metrics)
    assert {name: figures["mean"] for name, figures in finished.summary["metrics"].items()} == {
        "exact_match": pytest.approx(2 / 3),
        "judged": pytest.approx(2 / 3),
        "calls": 1.0,
    }
    assert quiz.purposes().count("judge") == 3
    assert finished.summary["usage"]["by_role"]["judge"]["calls"] == 3
    again = await quiz.run(metrics=metrics)
    assert quiz.purposes() == []
    assert again.summary == finished.summary


async def test_a_finished_run_is_resumed_without_a_call(quiz):
    await quiz.run()
    files = {name: (quiz.dir / name).read_bytes() for name in ("results.jsonl", "trajectories.jsonl", "summary.json")}
    quiz.events.clear()
    await quiz.run()
    assert [event for event in quiz.events if isinstance(event, ModelCalled)] == []
    assert {name: (quiz.dir / name).read_bytes() for name in files} == files


async def test_another_place_for_the_state_of_backends_is_the_same_run(quiz, tmp_path):
    await quiz.run()
    quiz.purposes()
    finished = await quiz.run(sandbox={"state_dir": str(tmp_path / "elsewhere")})
    assert finished.status == "complete"
    assert quiz.purposes() == []


async def test_a_limit_may_be_raised_later(quiz):
    first = await quiz.run(data={"path": str(quiz.dir.parent / "tasks.jsonl"), "limit": 2})
    assert first.summary["counts"]["planned"] == 2
    quiz.purposes()
    await quiz.run()
    assert quiz.purposes() == ["solve", "solve"]
    assert len(quiz.lines("results.jsonl")) == 3


async def test_a_corrected_reference_is_judged_anew(quiz):
    await quiz.run(metrics=["judged"])
    path = quiz.dir.parent / "tasks.jsonl"
    path.write_text(path.read_text().replace("Uppsala", "Stockholm"))
    quiz.events.clear()
    await quiz.run(metrics=["judged"])
    calls = [event.purpose for event in quiz.events if isinstance(event, ModelCalled)]
    assert calls.count("judge") == 1
    assert quiz.lines("results.jsonl")[2]["references"] == ["Stockholm"]


async def test_a_task_that_fails_counts_as_nothing_and_the_others_go_on(quiz):
    quiz.parts.BROKEN["Norway"] = ContentFilterError("refused")
    finished = await quiz.run(metrics=["exact_match", "judged"])
    assert finished.status == "complete"
    assert [line["outcome"] for line in quiz.lines("results.jsonl")] == ["answered", "error:content_filter", "answered"]
    figures = finished.summary["metrics"]["exact_match"]
    assert (figures["mean"], figures["errored"]) == (pytest.approx(1 / 3), 1)
    assert quiz.purposes().count("judge") == 2  # a crash needs no judge


async def test_the_conversation_of_a_failed_task_is_kept(quiz):
    quiz.parts.BROKEN["Norway"] = ContentFilterError("refused")
    await quiz.run()
    assert [line["outcome"] for line in quiz.lines("trajectories.jsonl")][1] == "error:content_filter"


async def test_a_failed_task_is_tried_again_on_resume(quiz):
    quiz.parts.BROKEN["Norway"] = ContentFilterError("refused")
    await quiz.run()
    quiz.parts.BROKEN.clear()
    finished = await quiz.run()
    assert finished.summary["counts"]["outcomes"] == {"answered": 3}


@pytest.mark.parametrize("error", [ContentFilterError("refused"), ModelRequestError("refused")], ids=type)
async def test_when_every_task_fails_the_run_has_failed_and_says_why(quiz, error):
    for country in quiz.parts.TOWNS:
        quiz.parts.BROKEN[country] = error
    finished = await quiz.run()
    assert finished.status == "failed"
    assert isinstance(finished.error, RunError)
    assert finished.error.message == "all 3 units of stage 'rollout' failed; the first: refused"
    assert len(quiz.lines("results.jsonl")) == 3


async def test_groups_of_tasks_are_told_apart(quiz):
    finished = await quiz.run(metrics=["exact_match"], breakdown=["area"])
    groups = finished.summary["breakdown"]["area"]["exact_match"]
    assert {name: group["mean"] for name, group in groups.items()} == {"north": 0.5, "west": 1.0}


async def test_an_unknown_tool_is_found_before_anything_runs(quiz):
    with pytest.raises(UnknownNameError, match="unknown tool 'towns:capitol'"):
        await quiz.run(rollout={"tools": ["towns:capitol"]})
    assert quiz.purposes() == []


async def test_a_run_without_metrics_is_not_scored(quiz):
    finished = await quiz.run(metrics=[])
    assert finished.summary["metrics"] == {}
    assert [line["scores"] for line in quiz.lines("results.jsonl")] == [{}] * 3
