"""Whole runs with sessions: what the funnel says of branches, and what may be done with paths that do not replay."""

from __future__ import annotations

import importlib
import json
from typing import Any

import anyio
import pytest

from agentflow_core.config import load_config
from agentflow_core.errors import DataError, UsageError
from agentflow_core.records.events import ignore_event
from agentflow_core.runs import RunOptions, StopSignal, end_card
from agentflow_core.synthesis.config import SynthesisConfig
from agentflow_core.synthesis.pipeline import run_synthesis

PLUGIN = """
    from agentflow_core import BackendSpec, ModelSpec, hookimpl

    @hookimpl
    def agentflow_backends():
        yield BackendSpec("diary", target="agentflow_diary.parts:Diary", summary="lines, some a session")

    @hookimpl
    def agentflow_models():
        yield ModelSpec("writer", target="agentflow_diary.parts:model", summary="writes lines")
"""

PARTS = '''
    """A diary, and a model that writes two different lines after each."""

    from agentflow_core.sandbox import Backend, tool
    from agentflow_core.testing.models import ScriptedModel, says

    TICKS = []


    class Diary(Backend):
        """Lines, some a session."""

        async def initialize(self, session):
            return list(session.settings.get("lines", ()))

        @tool
        async def write(self, state: list, line: str) -> str:
            """Write a line."""
            state.append(line)
            return "\\n".join(f"{number} is {line}" for number, line in enumerate(state))

        @tool
        async def tick(self, state: list, line: str) -> str:
            """Say what nobody can foresee."""
            TICKS.append(line)
            return f"{line} at {len(TICKS)} {len(TICKS) * 7} {len(TICKS) * 13}"


    def answer(request):
        if request.purpose != "propose":
            return says(json={"drafts": []})
        here = request.inputs.path[-1].id.rpartition("/")[2]
        tools = ["write", "tick"] if request.inputs.seed.content == "clock" else ["write", "write"]
        actions = [
            {"tool": f"diary:{name}", "params": {"line": f"{here}x{number}"}, "intent": "write"}
            for number, name in enumerate(tools)
        ]
        return says(json={"actions": actions[: request.inputs.k]})


    def model():
        return ScriptedModel(answer)
'''


@pytest.fixture
def diary(fake_dist: Any, plugin_host: Any, tmp_path: Any) -> Any:
    """``await diary(sampling={…})`` runs a synthesis with two seeds, one of which does not replay."""
    fake_dist("agentflow-diary", PLUGIN, modules={"parts.py": PARTS})
    importlib.import_module("agentflow_diary.parts").TICKS.clear()
    host = plugin_host(importlib.import_module("agentflow_diary.plugin"))

    async def run(sampling: Any = None, **config: Any) -> Any:
        document = {
            "model": "writer",
            "seeds": {"items": [{"content": "text"}, {"content": "clock"}]},
            "sandbox": {"state_dir": str(tmp_path / "state")},
            "sampling": {"max_depth": 3, "branching_factor": 2, "depth_threshold": 3, **(sampling or {})},
            "selection": {"max_selected_traj": 100, "path_similarity_threshold": 1.0, "selector": "topk"},
            **config,
        }
        loaded = load_config(SynthesisConfig, document, registry=host.registry)
        with anyio.fail_after(60):
            return await run_synthesis(
                loaded,
                host=host,
                options=RunOptions(run_dir=tmp_path / "run"),
                observe=ignore_event,
                stop=StopSignal(),
            )

    return run


def lines(finished: Any, name: str) -> list[Any]:
    return [json.loads(line) for line in (finished.run_dir / name).read_text("utf-8").splitlines()]


async def test_the_funnel_counts_how_branches_were_made_and_how_many_replays_were_equal(diary):
    finished = await diary({"isolation": "replay"})
    funnel = finished.summary["funnel"]
    nodes = {node["id"]: node for node in lines(finished, "tree.jsonl")}
    replays = [node["replay"] for node in nodes.values() if node["replay"]]
    assert funnel["branches"] == {"opened": 4, "continued": 0, "forked": 0, "replayed": 24, "parked": 0}
    assert funnel["replays"]["nodes"] == len(replays) == 24
    assert funnel["replays"]["nodes_equal"] == sum(replay["equal"] for replay in replays) < 24
    of_paths = [
        [nodes[node]["replay"]["equal"] for node in path["nodes"] if nodes[node]["replay"]]
        for path in lines(finished, "paths.jsonl")
    ]
    assert funnel["replays"]["paths"] == len(of_paths) == 16
    assert funnel["replays"]["paths_equal"] == sum(map(all, of_paths)) == 10
    assert funnel["replays"]["paths_equal_share"] == 10 / 16
    assert "paths_equal_share 0.625" in end_card(finished.summary, finished.run_dir)


async def test_paths_of_which_a_replay_differed_can_be_left_out(diary):
    selection = {"max_selected_traj": 100, "path_similarity_threshold": 1.0, "selector": "topk"}
    finished = await diary({"isolation": "replay"}, selection={**selection, "require_replayable": True})
    nodes = {node["id"]: node for node in lines(finished, "tree.jsonl")}
    for path in lines(finished, "paths.jsonl"):
        differs = any(nodes[node]["replay"] and not nodes[node]["replay"]["equal"] for node in path["nodes"])
        assert path["selected"] is not differs
        assert ("a replay gave another observation at step" in path["reason"]) is differs


async def test_branches_in_one_session_are_told_loudly(diary):
    finished = await diary({"isolation": "shared"})
    (warning,) = finished.summary["warnings"]
    assert "no path can be replayed" in warning
    assert warning in end_card(finished.summary, finished.run_dir)
    assert warning in (finished.run_dir / "summary.md").read_text("utf-8")


async def test_other_isolations_warn_of_nothing(diary):
    assert "warnings" not in (await diary()).summary


async def test_forks_that_cannot_be_had_are_found_before_anything_runs(diary):
    with pytest.raises(UsageError, match="'diary' cannot fork"):
        await diary({"isolation": "fork"})


async def test_a_misspelt_backend_in_a_seed_is_found_before_anything_runs(diary):
    seeds = {"items": ["text", {"content": "x", "session": {"dairy": {"lines": []}}}]}
    with pytest.raises(DataError, match=r"seeds\.items\.1: .*'dairy'.*did you mean 'diary'"):
        await diary(seeds=seeds)


async def test_the_settings_of_a_seed_reach_every_branch(diary):
    seeds = {"items": [{"content": "text", "session": {"diary": {"lines": ["given"]}}}]}
    finished = await diary(seeds=seeds)
    texts = [node["result"]["text"] for node in lines(finished, "tree.jsonl") if node["result"]]
    assert len(texts) == 14
    assert all(text.startswith("0 is given\n1 is 0x") for text in texts)


async def test_runs_without_state_say_nothing_of_branches(tiny):
    finished = await tiny.run()
    assert not {"branches", "replays"} & finished.summary["funnel"].keys()
