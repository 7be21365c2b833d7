"""Drive one agent over one task: ask the model, run every tool call, answer each, until an answer or a limit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from attrs import evolve, frozen

from agentflow_core.agent.answers import ANSWER_RULES, SUBMIT, tagged_answer
from agentflow_core.concurrency import run_all
from agentflow_core.errors import (
    AuthenticationError,
    ContextOverflowError,
    DataError,
    ModelError,
    ReplayMissError,
    SandboxError,
    UsageError,
)
from agentflow_core.names import did_you_mean
from agentflow_core.prompts import Prompts
from agentflow_core.records import (
    ImageContent,
    ImagePart,
    Message,
    ModelRequest,
    Observation,
    Part,
    SolveInputs,
    SolveStep,
    StepRecord,
    Task,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
    Trajectory,
    Usage,
    system,
    user,
)
from agentflow_core.sandbox import observation_of

if TYPE_CHECKING:
    from agentflow_core.agent.config import AgentConfig
    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import ChatModel, SandboxClient, SandboxWorker

__all__ = ["Agent", "Solved", "system_prompt"]

#: What stands in place of a tool result that was left out to make a conversation fit.
_LEFT_OUT = "[left out: the conversation was too long]"


@frozen(kw_only=True)
class Solved:
    """A finished task: the trajectory (with its outcome and answer) and what its model calls used."""

    trajectory: Trajectory
    usage: Usage
    error: str = ""  #: what went wrong, where the outcome is an error


def system_prompt(config: AgentConfig, prompts: Prompts | None = None) -> str:
    """The system prompt that the configuration asks for. Raises `DataError` if its file cannot be read."""
    if config.system_prompt is not None:
        return config.system_prompt
    if config.system_prompt_file is not None:
        try:
            return config.system_prompt_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{config.system_prompt_file}: cannot be read: {error}") from error
    return (prompts or Prompts())("agent.system").render(answer_rule=ANSWER_RULES[config.answer])


class Agent:
    """An agent that solves tasks with one model and one set of tools; it keeps nothing between tasks."""

    def __init__(
        self,
        *,
        model: ChatModel,
        sandbox: SandboxClient,
        tools: Sequence[ToolDefinition],
        config: AgentConfig,
        blobs: BlobStore | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        self.model = model
        self.sandbox = sandbox
        self.config = config
        self.blobs = blobs
        self.tools = (*tools, SUBMIT) if config.answer == "tool" else tuple(tools)
        if len({tool.wire_name for tool in self.tools}) < len(self.tools):
            raise UsageError(
                f"a tool of the sandbox is named {SUBMIT.name!r} too",
                hint="set rollout.answer to 'tag' or 'last_message'",
            )
        self.prompt = system_prompt(config, prompts)
        self.by_wire_name = {tool.wire_name: tool.name for tool in self.tools}
        self.read_only = {tool.name for tool in tools if sandbox.tool_traits(tool.name).get("read_only")}

    async def solve(self, task: Task, sample: int = 0) -> Solved:
        """Work on the task in sessions of its own, which are closed whatever happens.

        A limit ends the task with outcome ``limit:<kind>``, a model call that fails for good with ``error:<kind>``, a
        sandbox that fails with ``error:<code>``; what was done until then is in the trajectory.

        Raises:
            AuthenticationError, ReplayMissError: no other task could do better.
            LimitReached: a budget of the whole run is spent.
        """
        episode = _Episode(self, task, sample)
        worker = self.sandbox.worker(f"{task.id}#{sample}")
        try:
            with anyio.move_on_after(self.config.timeout_s) as scope:
                if task.session:
                    await worker.create_session(task.session)
                await episode.play(worker)
            if scope.cancelled_caught:
                episode.outcome = "limit:wall_time"
        except (AuthenticationError, ReplayMissError):
            raise
        except ModelError as error:
            episode.outcome = f"error:{error.kind}"
            episode.error = str(error)
        except SandboxError as error:
            episode.outcome = f"error:{error.code}"
            episode.error = str(error)
        finally:
            with anyio.CancelScope(shield=True):
                episode.end_state = await _end_state(worker, task)
                await worker.aclose()
        return episode.solved()


class _Episode:
    """The state of one attempt at one task."""

    def __init__(self, agent: Agent, task: Task, sample: int) -> None:
        self.agent = agent
        self.task = task
        self.sample = sample
        self.messages: list[Message] = [system(agent.prompt), user(task.question)]
        self.history: list[SolveStep] = []
        self.steps: list[StepRecord] = []
        self.left_out: frozenset[int] = frozenset()  #: the messages whose tool results the model is not shown any more
        self.usage = Usage()
        self.outcome = "answered"
        self.error = ""
        self.answer: str | None = None
        self.end_state: Mapping[str, Mapping[str, Any]] = {}

    async def play(self, worker: SandboxWorker) -> None:
        config = self.agent.config
        for turn in range(config.max_turns):
            message = await self._ask(turn)
            if message is None:
                return
            if not message.tool_calls:
                self.answer = message.text.strip() if config.answer != "tag" else tagged_answer(message.text)
                return
            await self._act(message.tool_calls, worker)
            if self.answer is not None or self._limit_reached():
                return
        self.outcome = "limit:turns"

    def solved(self) -> Solved:
        trajectory = Trajectory(
            id=f"{self.task.id}#{self.sample}",
            task_id=self.task.id,
            sample=self.sample,
            model=self.agent.model.name,
            tools=tuple(tool.name for tool in self.agent.tools),
            messages=tuple(self.messages),
            steps=tuple(self.steps),
            end_state=self.end_state,
            outcome=self.outcome,
            answer=self.answer,
        )
        return Solved(trajectory=trajectory, usage=self.usage, error=self.error)

    async def _ask(self, turn: int) -> Message | None:
        """The model's next message, or None when the conversation does not fit any more."""
        agent = self.agent
        while True:
            request = ModelRequest(
                messages=self._shown(),
                tools=agent.tools,
                sample=self.sample,
                purpose="solve",
                role="solver",
                inputs=SolveInputs(
                    question=self.task.question,
                    steps=tuple(self.history),
                    tools=agent.tools,
                    turn=turn,
                    max_turns=agent.config.max_turns,
                    kwargs=self.task.kwargs,
                ),
            )
            try:
                completion = await agent.model.complete(request)
            except ContextOverflowError:
                if agent.config.on_context_overflow == "compact" and self._leave_out():
                    continue
                self.outcome = "limit:context"
                return None
            self.usage += completion.usage
            self.messages.append(completion.message)
            self.steps.append(StepRecord(usage=completion.usage))
            return completion.message

    def _shown(self) -> tuple[Message, ...]:
        """The conversation as the model is shown it."""
        return tuple(
            evolve(message, content=(TextPart(_LEFT_OUT),)) if index in self.left_out else message
            for index, message in enumerate(self.messages)
        )

    def _leave_out(self) -> bool:
        """Leave the older half of the tool results out from now on; False when none is left to leave out."""
        whole = [
            index
            for index, message in enumerate(self.messages)
            if message.role == "tool" and index not in self.left_out
        ]
        self.left_out |= frozenset(whole[: (len(whole) + 1) // 2])
        return bool(whole)

    async def _act(self, calls: Sequence[ToolCall], worker: SandboxWorker) -> None:
        """Run every call of one message and answer each, in order; those that were cut short are answered too."""
        allowed = self._calls_left()
        parsed = [self._parse(call, is_allowed=index < allowed) for index, call in enumerate(calls)]
        results = [ToolResult.failure("cancelled", "the task ended before this call did")] * len(calls)

        async def run(index: int) -> None:
            results[index] = await self._run(parsed[index], worker)

        try:
            if all(isinstance(item, ToolResult) or item.name in self.agent.read_only for item in parsed):
                await run_all(partial(run, index) for index in range(len(calls)))
            else:
                for index in range(len(calls)):
                    await run(index)
        finally:
            self._answer(calls, parsed, results)

    def _answer(
        self, calls: Sequence[ToolCall], parsed: Sequence[_Call | ToolResult], results: Sequence[ToolResult]
    ) -> None:
        notes = []
        for call, item, result in zip(calls, parsed, results, strict=True):
            seen = observation_of(result, self.agent.blobs)
            content: list[Part] = [TextPart(seen.text if seen.shown is None else seen.shown), *_images(result, seen)]
            self.messages.append(Message(role="tool", tool_call_id=call.id, content=tuple(content)))
            name = call.name if isinstance(item, ToolResult) else item.name
            params = {} if isinstance(item, ToolResult) else item.params
            self.history.append(SolveStep(tool=name, params=params, result=seen))
            notes.append({"call_id": call.id, "tool": name, "code": result.code, "blobs": list(seen.blobs)})
        self.steps[-1] = evolve(self.steps[-1], tools=tuple(notes))

    def _calls_left(self) -> float:
        limit = self.agent.config.max_tool_calls
        return math.inf if limit is None else limit - len(self.history)

    def _parse(self, call: ToolCall, *, is_allowed: bool) -> _Call | ToolResult:
        """The call by its native name with its parameters, or the failure that tells the model what is wrong."""
        name = self.agent.by_wire_name.get(call.name)
        if name is None:
            known = self.agent.by_wire_name
            return ToolResult.failure(
                "unknown_tool",
                f"there is no tool {call.name!r}{did_you_mean(call.name, known)}",
                hint=f"the tools are: {', '.join(sorted(known))}",
            )
        if not is_allowed and name != SUBMIT.name:
            return ToolResult.failure(
                "quota_exceeded", f"the {self.agent.config.max_tool_calls} tool calls are used up"
            )
        try:
            params = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError) as error:
            return ToolResult.failure("invalid_argument", f"the arguments are not JSON: {error}")
        if not isinstance(params, dict):
            return ToolResult.failure("invalid_argument", "the arguments are not a JSON object")
        return _Call(name=name, params=params)

    async def _run(self, call: _Call | ToolResult, worker: SandboxWorker) -> ToolResult:
        if isinstance(call, ToolResult):
            return call
        if call.name == SUBMIT.name and self.agent.config.answer == "tool":
            answer = call.params.get("answer")
            if not isinstance(answer, str):
                return ToolResult.failure("invalid_argument", 'submit takes the answer as a string: {"answer": "…"}')
            self.answer = answer.strip()
            return ToolResult.success(text="submitted")
        return await worker.execute(call.name, call.params)

    def _limit_reached(self) -> bool:
        config = self.agent.config
        if self._calls_left() < 0:
            self.outcome = "limit:tool_calls"
        elif config.max_tokens is not None and self.usage.total_tokens >= config.max_tokens:
            self.outcome = "limit:tokens"
        elif config.max_usd is not None and (self.usage.cost_usd or 0.0) >= config.max_usd:
            self.outcome = "limit:usd"
        else:
            return False
        return True


@frozen(kw_only=True)
class _Call:
    name: str
    params: Mapping[str, Any]


async def _end_state(worker: SandboxWorker, task: Task) -> dict[str, Mapping[str, Any]]:
    """What the task's probes see now; of a backend that cannot be asked, why."""
    seen: dict[str, Mapping[str, Any]] = {}
    for backend, expected in task.end_state.items():
        try:
            result = await worker.execute(f"{backend}:observe_end", {"probes": list(expected)})
        except SandboxError as error:
            result = ToolResult.failure(error.code, error.message)
        seen[backend] = result.data["observed"] if result.ok else {"error": f"{result.code}: {result.message}"}
    return seen


def _images(result: ToolResult, seen: Observation) -> list[ImagePart]:
    """The images of a result that are stored; other artifacts are named in its text."""
    images = []
    for part in result.content:
        if isinstance(part, ImageContent):
            sha256 = part.sha256 if part.data is None else hashlib.sha256(part.data).hexdigest()
            if sha256 in seen.blobs:
                images.append(ImagePart(sha256, part.mime))
    return images
