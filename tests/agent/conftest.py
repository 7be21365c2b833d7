"""A sandbox of small tools for the agent's tests, and a way to write scripts for its model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import define, field

from agentflow_core.agent import Agent, AgentConfig, Solved
from agentflow_core.blobs import BlobStore
from agentflow_core.errors import SandboxError
from agentflow_core.records import (
    Completion,
    ImageContent,
    Message,
    ModelRequest,
    Task,
    ToolCall,
    ToolResult,
    Trajectory,
    Usage,
)
from agentflow_core.sandbox import Backend, Catalog, Sandbox, Session, register_api_tool, tool
from agentflow_core.testing.models import ScriptedModel, says

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = b"\x89PNG not really"


@define
class World:
    """What the tools of one test share, so that it can look at them and hold them up."""

    opened: list[str] = field(factory=list)  #: workers, session by session
    closed: list[str] = field(factory=list)
    log: list[str] = field(factory=list)
    arrived: int = 0
    met: anyio.Event = field(factory=anyio.Event)
    running: anyio.Event = field(factory=anyio.Event)
    may_start: bool = True


def catalog(world: World) -> Catalog:
    """``pad``: a backend with a session each. ``hall``: shared. ``eye``: a tool without state."""

    class Pad(Backend):
        """A list of words, one a session."""

        async def initialize(self, session: Session) -> list[str]:
            if not world.may_start:
                raise OSError("no room for a pad")
            world.opened.append(session.worker_id)
            return [session.worker_id, *session.settings.get("words", ())]

        async def cleanup(self, state: list[str]) -> None:
            world.closed.append(state[0])

        async def observe_end(self, state: list[str], probes: Sequence[str]) -> Mapping[str, Any]:
            if not set(probes) <= {"words"}:
                raise SandboxError("the only probe is 'words'", code="invalid_argument")
            return {probe: " ".join(state[1:]) for probe in probes}

        @tool
        async def write(self, state: list[str], word: str) -> str:
            """Write a word."""
            world.log.append(f"begin {word}")
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            world.log.append(f"end {word}")
            state.append(word)
            return " ".join(state[1:])

        @tool
        async def wait(self, state: list[str]) -> str:
            """Wait for ever."""
            world.running.set()
            await anyio.sleep_forever()
            return "never"

    class Hall(Backend):
        """Where calls meet."""

        sharing = "shared"

        @tool(read_only=True)
        async def meet(self, state: None, name: str) -> str:
            """Wait until two calls are here."""
            world.arrived += 1
            if world.arrived == 2:
                world.met.set()
            await world.met.wait()
            return f"{name} met"

        @tool(read_only=True)
        async def long(self, state: None, size: int) -> str:
            """Say much."""
            return "x" * size

        @tool(read_only=True)
        async def draw(self, state: None) -> ToolResult:
            """Draw."""
            return ToolResult.success(text="a picture", content=[ImageContent(mime="image/webp", data=IMAGE)])

        @tool(read_only=True)
        async def missing(self, state: None) -> ToolResult:
            """Fail."""
            return ToolResult.failure("not_found", "there is none", hint="look elsewhere")

    @register_api_tool(name="eye:look", read_only=True)
    async def look(what: str = "here") -> str:
        """Look at something.

        Args:
            what: at what.
        """
        return f"you see {what}"

    return Catalog.of(look, pad=Pad, hall=Hall)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def sandbox(world: World, tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(
        catalog=catalog(world), config={"state_dir": str(tmp_path / "state")}, artifacts=BlobStore(tmp_path / "blobs")
    ) as opened:
        yield opened


def calls(*made: tuple[str, Any], usage: Usage | None = None) -> Completion:
    """A message that makes these calls: ``("pad_write", {"word": "a"})``; arguments that are text go as they are."""
    return says(
        tool_calls=tuple(
            ToolCall(id=f"call_{index}", name=name, arguments=params if isinstance(params, str) else json.dumps(params))
            for index, (name, params) in enumerate(made)
        ),
        usage=usage,
    )


def results(trajectory: Trajectory) -> list[str]:
    return [message.text for message in trajectory.messages if message.role == "tool"]


def unanswered(trajectory: Trajectory) -> list[str]:
    """The ids of calls without an answer right after their message; the law says there are none."""
    open_: list[str] = []
    left: list[str] = []
    for message in trajectory.messages:
        if message.role == "tool":
            if open_ and message.tool_call_id == open_[0]:
                open_.pop(0)
            else:
                left.append(f"out of order: {message.tool_call_id}")
        else:
            left += open_
            open_ = [call.id for call in message.tool_calls]
    return left + open_


Script = list[Completion | str | Exception] | Callable[[ModelRequest], Any]


@define
class Bench:
    """Solves tasks with a scripted model in the test's sandbox."""

    sandbox: Sandbox
    blobs: BlobStore
    model: ScriptedModel = field(factory=lambda: ScriptedModel([]))

    async def agent(self, script: Script, **config: Any) -> Agent:
        self.model = ScriptedModel(script)
        return Agent(
            model=self.model,
            sandbox=self.sandbox,
            tools=await self.sandbox.list_tools(),
            config=AgentConfig(**config),
            blobs=self.blobs,
        )

    async def solve(self, script: Script, *, task: str | Task = "t", sample: int = 0, **config: Any) -> Solved:
        agent = await self.agent(script, **config)
        with anyio.fail_after(20):
            task = Task(id=task, question="Where is Bern?") if isinstance(task, str) else task
            solved = await agent.solve(task, sample)
        assert unanswered(solved.trajectory) == []
        return solved

    @property
    def shown(self) -> tuple[Message, ...]:
        """What the last request showed the model."""
        return self.model.requests[-1].messages


@pytest.fixture
def bench(sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(sandbox, BlobStore(tmp_path / "blobs"))


@pytest.fixture
def script() -> Any:
    """The words of scripts: ``script.calls(…)``, ``script.results(trajectory)``."""

    class Words:
        calls = staticmethod(calls)
        results = staticmethod(results)
        unanswered = staticmethod(unanswered)
        image = IMAGE

    return Words
