"""Runs to export: a synthesis by the offline model, and rollouts made by hand."""

from __future__ import annotations

import json
from functools import partial

import pytest
from attrs import evolve

from agentflow_core import synthesize
from agentflow_core.records import (
    Message,
    Score,
    StepRecord,
    TaskResult,
    TextPart,
    ToolCall,
    ToolDefinition,
    Trajectory,
    Usage,
    assistant,
    system,
    user,
)
from agentflow_core.records.codec import dumps
from agentflow_core.runs import Run

SEARCH = ToolDefinition(
    name="rag:search",
    description="Search.",
    parameters={"type": "object", "properties": {"query": {"type": "string"}, "k": {"type": "integer"}}},
)
READ = ToolDefinition(
    name="rag:get", description="Read.", parameters={"type": "object", "properties": {"doc_id": {"type": "string"}}}
)


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory):
    """A synthesis of several seeds by the offline model."""
    folder = tmp_path_factory.mktemp("synthesized")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTFLOW_STATE", str(folder / "state"))
        seeds = ["Danube", "Marie Curie", "Frankenstein", "Tokaji", "Mont Blanc", "Niels Bohr"]
        config = {"seeds": {"items": seeds}, "tools": ["rag:*"], "random_seed": 7}
        return synthesize(config=config, output_dir=folder / "pairs")


def called(*calls, text="", start=0):
    """An assistant that calls tools, and the tools' answers: ``called(("rag_search", {"query": "x"}, "found"))``."""
    asked = tuple(
        ToolCall(id=f"call_{start + number}", name=name, arguments=json.dumps(params))
        for number, (name, params, _) in enumerate(calls)
    )
    answers = [
        Message(role="tool", tool_call_id=call.id, content=(TextPart(found) if isinstance(found, str) else found,))
        for call, (_, _, found) in zip(asked, calls, strict=True)
    ]
    return [assistant(text, tool_calls=asked), *answers]


def sampled(task, sample=0, *, answer="Vienna", score=1.0, outcome="answered", messages=None, **more):
    """A result with its trajectory."""
    question = f"Where did {task} die?"
    if messages is None:
        messages = [
            system("Answer."),
            user(question),
            *called(("rag_search", {"query": task, "k": 2}, "[1] a page"), ("rag_get", {"doc_id": "d-1"}, "a text")),
            *called(("rag_search", {"query": "where"}, "[1] another"), text="I look on.", start=5),
            assistant(f"<answer>{answer}</answer>", reasoning="It stands there."),
        ]
    id = f"{task}#{sample}"
    usage = Usage(calls=1, prompt_tokens=10, completion_tokens=2, cost_usd=0.001)
    result = TaskResult(
        task_id=task,
        sample=sample,
        question=question,
        answer=answer,
        references=("Vienna", "Wien"),
        outcome=outcome,
        scores={"f1_score": Score(value=score, reason="by hand")} if score is not None else {},
        trajectory_id=id,
        usage=usage,
    )
    trajectory = Trajectory(
        id=id,
        task_id=task,
        sample=sample,
        model="openai/tiny",
        tools=("rag:search", "rag:get"),
        messages=tuple(messages),
        steps=tuple(StepRecord(usage=usage) for message in messages if message.role == "assistant"),
        outcome=outcome,
        answer=answer,
    )
    return evolve(result, **more), trajectory


def write_rollout(folder, samples, *, blobs=()):
    """A run directory with these ``(result, trajectory)``; a trajectory may be None."""
    with Run.open(folder, kind="rollout", config={}, stages={}, versions={"agentflow-core": "0"}) as run:
        for data in blobs:
            run.blobs.put(data)
        run.write("results.jsonl", (dumps(result) for result, _ in samples))
        run.write("trajectories.jsonl", (dumps(trajectory) for _, trajectory in samples if trajectory is not None))
        run.write("tools.jsonl", map(dumps, (SEARCH, READ)))
        run.finish("complete", {"kind": "rollout", "status": "complete", "funnel": {}, "counts": {"finished": 1}})
    return folder


@pytest.fixture
def sample():
    """Make a result with its trajectory: ``sample("Mozart", 1, score=0.2)``."""
    return sampled


@pytest.fixture
def calling():
    """Make messages that call tools; see `called`."""
    return called


@pytest.fixture
def rollout_of(tmp_path):
    """Make a run of samples: ``rollout_of([sample("Mozart")])``."""
    return partial(write_rollout, tmp_path / "run")


@pytest.fixture
def rolled_out(rollout_of):
    """Twenty tasks of two samples each: one right, one wrong or ended by a limit."""
    samples = []
    for number in range(20):
        samples.append(sampled(f"task-{number:02}", 0))
        if number % 5:
            samples.append(sampled(f"task-{number:02}", 1, answer="Bonn", score=0.0))
        else:
            samples.append(sampled(f"task-{number:02}", 1, answer=None, score=0.0, outcome="limit:turns"))
    return rollout_of(samples)


@pytest.fixture
def read():
    """The objects of JSON Lines."""
    return lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def load_dataset(needed, tmp_path, monkeypatch):
    """``datasets.load_dataset`` of local files, with a cache of this test's own and no network."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = needed("datasets")
    datasets.disable_progress_bars()
    return partial(datasets.load_dataset, cache_dir=str(tmp_path / "hf"), split="train")
