"""Branches of one exploration write the same file, and none sees what another wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_core.config import load_config
from agentflow_core.plugins import PluginHost
from agentflow_core.records.events import ignore_event
from agentflow_core.runs import RunOptions, StopSignal
from agentflow_core.synthesis.config import SynthesisConfig
from agentflow_core.synthesis.pipeline import run_synthesis

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WRITER = '''
"""A model that has two commands write to one file and read it, after every step."""

from agentflow_core import ModelSpec, hookimpl
from agentflow_core.testing.models import ScriptedModel, says


def answer(request):
    if request.purpose != "propose":
        return says(json={"drafts": []})
    here = request.inputs.path[-1].id.rpartition("/")[2]
    commands = [f"echo {here}.{number} >>notes; keep=$keep,{number}; cat notes; echo $keep" for number in range(2)]
    actions = [{"tool": "bash:run", "params": {"command": command}, "intent": "write"} for command in commands]
    return says(json={"actions": actions[: request.inputs.k]})


def model():
    return ScriptedModel(answer)


@hookimpl
def agentflow_models():
    yield ModelSpec("writer", target="agentflow_loaded_writer:model", summary="writes notes")
'''


@pytest.fixture
def explored(bwrap: None, tmp_path: Path) -> Callable[[str], Awaitable[tuple[Any, list[Any]]]]:
    """Explore two seeds with the isolation; gives the funnel and the nodes but the roots."""
    (tmp_path / "writer.py").write_text(WRITER)
    host = PluginHost.load(files=(tmp_path / "writer.py",))

    async def run(isolation: str) -> tuple[Any, list[Any]]:
        document = {
            "model": "writer",
            "seeds": {"items": ["one", "two"]},
            "tools": ["bash:run"],
            "sandbox": {"state_dir": str(tmp_path / "state")},
            "sampling": {"max_depth": 4, "branching_factor": 2, "depth_threshold": 3, "isolation": isolation},
            "selection": {"max_selected_traj": 100, "path_similarity_threshold": 1.0},
        }
        options = RunOptions(run_dir=tmp_path / isolation)
        loaded = load_config(SynthesisConfig, document, registry=host.registry)
        with anyio.fail_after(120):
            finished = await run_synthesis(loaded, host=host, options=options, observe=ignore_event, stop=StopSignal())
        nodes = map(json.loads, (finished.run_dir / "tree.jsonl").read_text("utf-8").splitlines())
        return finished.summary, [node for node in nodes if node["tool"]]

    return run


def sees_its_own_path(node: Any) -> bool:
    """Does the step see what the steps before it wrote and kept, and nothing else?"""
    steps = node["id"].rpartition("/")[2].split(".")[1:]
    written = [".".join(["0", *steps[:length]]) for length in range(1, len(steps) + 1)]
    kept = "".join(f",{step}" for step in steps)
    return bool(node["result"]["data"]["stdout"] == "\n".join([*written, kept]) + "\n")


@pytest.mark.parametrize("isolation", ["auto", "fork", "replay"])
async def test_branches_that_write_the_same_file_are_apart(explored, isolation):
    summary, nodes = await explored(isolation)
    assert len(nodes) == 2 * (2 + 4 + 8 + 8)
    assert [node["id"] for node in nodes if not sees_its_own_path(node)] == []
    replays = summary["funnel"]["replays"]
    assert replays["nodes_equal"] == replays["nodes"]
    assert replays["nodes"] > 0 or isolation == "fork"


async def test_without_isolation_they_see_each_other_and_the_run_says_so(explored):
    summary, nodes = await explored("shared")
    assert [node["id"] for node in nodes if not sees_its_own_path(node)] != []
    assert "no path can be replayed" in summary["warnings"][0]
