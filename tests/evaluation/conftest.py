"""A plugin with a model and metrics of its own, with which whole rollouts are made."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_core.config import load_config
from agentflow_core.evaluation.config import RolloutConfig
from agentflow_core.evaluation.pipeline import run_rollout
from agentflow_core.runs import Finished, RunOptions, RunReader, StopSignal

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_core.records.events import Event

PLUGIN = """
    from agentflow_core import BackendSpec, MetricSpec, ModelSpec, hookimpl

    @hookimpl
    def agentflow_backends():
        yield BackendSpec("towns", target="agentflow_quiz.parts:Towns", summary="towns by country")

    @hookimpl
    def agentflow_models():
        yield ModelSpec("script", target="agentflow_quiz.parts:model", summary="a script")

    @hookimpl
    def agentflow_metrics():
        yield MetricSpec("judged", target="agentflow_quiz.parts:Judged", needs="judge", summary="asks the judge")
        yield MetricSpec("calls", target="agentflow_quiz.parts:Calls", summary="counts tool calls")
"""

PARTS = '''
    """A quiz: the solver looks a capital up and says it; the judge nods at towns with an e."""

    from agentflow_core.records import ModelRequest, Score, ToolCall, ToolResult, user
    from agentflow_core.sandbox import Backend, tool
    from agentflow_core.testing.models import ScriptedModel, says

    TOWNS = {"France": "Paris", "Norway": "Oslo", "Sweden": "Stockholm"}
    REQUESTS = []
    BROKEN = {}  # what to raise, by question


    class Towns(Backend):
        """Capitals."""

        sharing = "shared"

        @tool(read_only=True)
        async def capital(self, state: None, country: str) -> str:
            """The capital of a country."""
            return TOWNS.get(country, "unknown")


    class Judged:
        async def score(self, sample, context):
            answer = await context.judge.complete(
                ModelRequest(messages=(user(sample.prediction or "nothing"),), purpose="judge", role="judge")
            )
            return Score(value=float(answer.text == "yes"))


    class Calls:
        async def score(self, sample, context):
            return Score(value=len([message for message in sample.trajectory.messages if message.role == "tool"]))


    def answer(request):
        REQUESTS.append(request)
        if request.purpose == "judge":
            return says("yes" if "o" in request.messages[-1].text else "no")
        inputs = request.inputs
        if inputs.question in BROKEN:
            return BROKEN[inputs.question]
        if not inputs.steps:
            call = ToolCall(id="call_0", name="towns_capital", arguments='{"country": "%s"}' % inputs.question)
            return says(tool_calls=(call,))
        return says(f"<answer>{inputs.steps[-1].result.text}</answer>")


    def model():
        return ScriptedModel(answer)
'''

TASKS = [
    {"id": "fr", "question": "France", "answer": "Paris", "area": "west"},
    {"id": "no", "question": "Norway", "answer": ["Oslo", "Christiania"], "area": "north"},
    {"id": "se", "question": "Sweden", "answer": "Uppsala", "area": "north"},
]


@pytest.fixture
def quiz(fake_dist: Any, plugin_host: Any, tmp_path: Path) -> Any:
    """Whole rollouts: ``await quiz.run(metrics=[…])``; ``quiz.parts`` is the plugin's module."""
    fake_dist("agentflow-quiz", PLUGIN, modules={"parts.py": PARTS})
    parts = importlib.import_module("agentflow_quiz.parts")
    plugin = importlib.import_module("agentflow_quiz.plugin")
    data = tmp_path / "tasks.jsonl"
    data.write_text("".join(json.dumps(task) + "\n" for task in TASKS))

    class Quiz:
        def __init__(self) -> None:
            self.parts = parts
            self.host = plugin_host(plugin)
            self.dir = tmp_path / "run"
            self.events: list[Event] = []
            self.stop = StopSignal()

        async def run(self, *, options: RunOptions | None = None, **config: Any) -> Finished:
            document = {
                "model": "script",
                "data": {"path": str(data)},
                "sandbox": {"state_dir": str(tmp_path / "state")},
                **config,
            }
            loaded = load_config(RolloutConfig, document, registry=self.host.registry)
            with anyio.fail_after(60):
                return await run_rollout(
                    loaded,
                    host=self.host,
                    options=options or RunOptions(run_dir=self.dir),
                    observe=self.events.append,
                    stop=self.stop,
                )

        def reader(self) -> RunReader:
            return RunReader(self.dir)

        def lines(self, name: str) -> list[Any]:
            return [json.loads(line) for line in (self.dir / name).read_text("utf-8").splitlines()]

        def purposes(self) -> list[str]:
            found = [request.purpose for request in parts.REQUESTS]
            parts.REQUESTS.clear()
            return found

    return Quiz()
