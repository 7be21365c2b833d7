"""Small environments for the stages of a synthesis, and a plugin with which whole runs are made."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import define, field

from agentflow_core.blobs import BlobStore
from agentflow_core.config import load_config
from agentflow_core.records import Completion, ModelRequest, Node, Seed, ToolResult
from agentflow_core.records.events import Event
from agentflow_core.sandbox import Backend, Catalog, Sandbox, Session, tool
from agentflow_core.synthesis.config import SamplingConfig
from agentflow_core.synthesis.sampling import Grown, Sampler
from agentflow_core.testing.models import ScriptedModel, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

SEED = Seed(id="s", content="start")


async def pause(rng: Random | None) -> None:
    """Let others go first, a random number of times."""
    for _ in range(rng.randrange(6) if rng else 1):
        await anyio.lowlevel.checkpoint()


@define
class World:
    """What the environments of one test share."""

    rng: Random | None = None  #: the order in which calls complete
    ran: list[str] = field(factory=list)  #: calls of ``facts:look``, in order of their beginning
    stamped: int = 0


def catalog(world: World) -> Catalog:
    """``facts``: shared texts. ``counter``: a number, one a session."""

    class Facts(Backend):
        """Texts by name."""

        sharing = "shared"

        @tool(read_only=True)
        async def look(self, state: None, name: str, style: str = "plain") -> ToolResult:
            """Look a name up; what begins with 'bad' is not there, what begins with 'same' says always the same."""
            world.ran.append(name)
            await pause(world.rng)
            if name.startswith("bad"):
                return ToolResult.failure("not_found", f"there is no {name}")
            about = "one" if name.startswith("same") else name
            return ToolResult.success(text=f"{about} is a thing of {about} that was made in {about} by {about}")

        @tool(read_only=True, canonicalize=lambda params: sorted(params["words"]))
        async def words(self, state: None, words: list[str]) -> str:
            """Say words, in whatever order."""
            return " ".join(words)

    class Counter(Backend):
        """A number, one a session."""

        async def initialize(self, session: Session) -> list[int]:
            return [0]

        @tool
        async def add(self, state: list[int], amount: int) -> str:
            """Add to the number."""
            await pause(world.rng)
            state[0] += amount
            return f"the number is {state[0]}"

        @tool(compare=lambda before, now: before.text.split()[0] == now.text.split()[0])
        async def stamp(self, state: list[int]) -> str:
            """Say something of which only the first word counts."""
            world.stamped += 1
            return f"stamped {world.stamped}"

    return Catalog.of(facts=Facts, counter=Counter)


def act(tool_name: str, **params: Any) -> Mapping[str, Any]:
    return {"tool": tool_name, "params": params, "intent": f"use {tool_name}"}


def proposing(by_node: Mapping[str, Sequence[Mapping[str, Any]]] | Callable[[Any], Any]) -> Callable[..., Completion]:
    """A model that proposes the actions written for a node (its id without the seed), and none elsewhere."""

    def answer(request: ModelRequest) -> Completion:
        inputs = request.inputs
        if callable(by_node):
            return says(json={"actions": by_node(inputs)})
        return says(json={"actions": by_node.get(inputs.path[-1].id.partition("/")[2], [])})

    return answer


@define
class Greenhouse:
    """Grows trees."""

    folder: Path
    world: World = field(factory=World)
    events: list[Event] = field(factory=list)
    model: ScriptedModel = field(factory=lambda: ScriptedModel([]))

    @asynccontextmanager
    async def sandbox(self) -> AsyncIterator[Sandbox]:
        async with Sandbox(
            catalog=catalog(self.world),
            config={"state_dir": str(self.folder)},
            artifacts=BlobStore(self.folder),
        ) as opened:
            yield opened

    async def grow(self, script: Any, *, seed: Seed = SEED, tools: str = "", **config: Any) -> Grown:
        self.model = ScriptedModel(script)
        async with self.sandbox() as sandbox:
            sampler = Sampler(
                model=self.model,
                sandbox=sandbox,
                tools=[found for found in await sandbox.list_tools() if found.name.startswith(tools)],
                config=SamplingConfig(**{"max_depth": 2, "stale_novelty": 0.1, **config}),
                blobs=BlobStore(self.folder),
                observe=self.events.append,
            )
            with anyio.fail_after(20):
                return await sampler.grow(seed)


@pytest.fixture
def greenhouse(tmp_path: Path) -> Greenhouse:
    return Greenhouse(tmp_path / "state")


@pytest.fixture(scope="session")
def new_greenhouse(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Greenhouse]:
    """Greenhouses for property tests: ``new_greenhouse(rng)``."""
    folder = tmp_path_factory.mktemp("state")

    def make(rng: Random | None = None) -> Greenhouse:
        return Greenhouse(folder, world=World(rng=rng))

    return make


def ids(nodes: Sequence[Node]) -> list[str]:
    return [node.id.partition("/")[2] for node in nodes]


@pytest.fixture(scope="session")
def say() -> Any:
    """The words of these tests."""

    class Words:
        pass

    words = Words()
    for word in (act, proposing, ids, pause):
        setattr(words, word.__name__, word)
    return words


# ---- whole runs

PLUGIN = """
    from agentflow_core import BackendSpec, ModelSpec, hookimpl

    @hookimpl
    def agentflow_backends():
        yield BackendSpec("facts", target="agentflow_tiny.parts:Facts", summary="texts by name")

    @hookimpl
    def agentflow_models():
        yield ModelSpec("script", target="agentflow_tiny.parts:model", summary="a script")
"""

PARTS = '''
    """Who founded what, and where they were born: enough for a question of two hops a seed."""

    from agentflow_core.records import ToolResult
    from agentflow_core.sandbox import Backend, tool
    from agentflow_core.testing.models import ScriptedModel, says

    WORKS = {"Alder": ("Boris Crane", "Dornmouth"), "Birch": ("Clara Dunn", "Eastvale"), "Cedar": ("Dora Finch", "Farholm")}
    REQUESTS = []
    CALLS = []
    BROKEN = {}   # what to raise, by purpose and seed id
    SAME_QUESTION = []
    SAYS = {}     # what to answer, by purpose; "rewrite" is that of a draft without inputs


    class Facts(Backend):
        """Texts by name."""

        sharing = "shared"

        @tool(read_only=True)
        async def look(self, state: None, name: str) -> ToolResult:
            """Look a name up."""
            CALLS.append(name)
            for works, (founder, town) in WORKS.items():
                if name == works:
                    return ToolResult.success(text=f"{works} Works is a foundry that was founded by {founder} beside a slow river.")
                if name == founder:
                    return ToolResult.success(text=f"{founder} was an engineer who was born in the harbour town of {town}.")
            return ToolResult.failure("not_found", f"nothing is known of {name}")


    def propose(inputs):
        works = inputs.seed.content
        founder = WORKS[works][0] if works in WORKS else "nobody"
        names = [works, f"no {works}"] if len(inputs.path) == 1 else [founder]
        return [{"tool": "facts:look", "params": {"name": name}, "intent": f"read on {name}"} for name in names][: inputs.k]


    def draft(inputs):
        works = inputs.seed.content
        founder, town = WORKS[works]
        first, second = [node for node in inputs.path if node.tool and node.result.ok]
        about = "any works" if SAME_QUESTION else f"{works} Works"
        return {
            "question": f"In which town was the engineer born who founded {about}?",
            "answer": town,
            "answer_type": "place",
            "difficulty": "easy",
            "sql": "select 1",
            "reasoning_steps": [
                {"step": "the founder", "evidence": [{"node": first.id, "quote": f"was founded by {founder}"}]},
                {"step": "the birth", "evidence": [{"node": second.id, "quote": f"born in the harbour town of {town}"}]},
            ],
        }


    def answer(request):
        REQUESTS.append(request)
        purpose = request.purpose if request.inputs is not None else "rewrite"
        if purpose in SAYS:
            return SAYS[purpose](request)
        error = BROKEN.get((request.purpose, request.inputs.seed.id))
        if error is not None:
            return error
        if request.purpose == "propose":
            return says(json={"actions": propose(request.inputs)})
        return says(json={"drafts": [draft(request.inputs)]})


    def model():
        return ScriptedModel(answer)
'''


@pytest.fixture
def tiny(fake_dist: Any, plugin_host: Any, tmp_path: Path) -> Any:
    """Whole runs over a small plugin: ``await tiny.run(selection={…})``; ``tiny.parts`` is its module."""
    from agentflow_core.runs import Finished, RunOptions, RunReader, StopSignal
    from agentflow_core.synthesis.config import SynthesisConfig
    from agentflow_core.synthesis.pipeline import run_synthesis

    fake_dist("agentflow-tiny", PLUGIN, modules={"parts.py": PARTS})
    import importlib

    parts = importlib.import_module("agentflow_tiny.parts")
    plugin = importlib.import_module("agentflow_tiny.plugin")

    class Tiny:
        def __init__(self) -> None:
            self.parts = parts
            self.host = plugin_host(plugin)
            self.dir = tmp_path / "run"
            self.events: list[Event] = []
            self.stop = StopSignal()

        async def run(
            self, *, options: RunOptions | None = None, run_dir: Path | None = None, **config: Any
        ) -> Finished:
            document = {
                "model": "script",
                "seeds": {"items": ["Alder", "Birch", "Cedar"]},
                "sandbox": {"state_dir": str(tmp_path / "state")},
                "sampling": {"max_depth": 2, "branching_factor": 2, "depth_threshold": 1},
                **config,
            }
            loaded = load_config(SynthesisConfig, document, registry=self.host.registry)
            with anyio.fail_after(60):
                return await run_synthesis(
                    loaded,
                    host=self.host,
                    options=options or RunOptions(run_dir=run_dir or self.dir),
                    observe=self.events.append,
                    stop=self.stop,
                )

        def reader(self, run_dir: Path | None = None) -> RunReader:
            return RunReader(run_dir or self.dir)

        def lines(self, name: str) -> list[Any]:
            return [json.loads(line) for line in (self.dir / name).read_text("utf-8").splitlines()]

        def purposes(self) -> list[str]:
            found = [request.purpose for request in parts.REQUESTS]
            parts.REQUESTS.clear()
            return found

    return Tiny()
