"""The gate that lets an agent try: how often it solves a draft with tools says how difficult it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
from attrs import evolve, frozen

from agentflow_core.agent import Agent, AgentConfig
from agentflow_core.config import option
from agentflow_core.errors import ConfigError, Problem, SandboxError, UsageError
from agentflow_core.gates.asking import Grading, grade, model_of
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.names import match_tools
from agentflow_core.records import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.interfaces import SandboxClient, SandboxWorker
    from agentflow_core.records import QA, Seed, ToolResult

__all__ = ["PassRate", "PassRateConfig"]


@frozen(kw_only=True)
class PassRateConfig:
    """How often an agent tries, within which limits, and how often it has to succeed."""

    rollouts: int = option(4, help="how often the solver tries with tools", at_least=1, at_most=1000)
    min: float = option(0.0, help="the share of rollouts that has to be solved at least", at_least=0, at_most=1)
    max: float = option(1.0, help="the share of rollouts that may be solved at most", at_least=0, at_most=1)
    tools: tuple[str, ...] = option(("*",), help="the tools that the solver is offered, of those of the run")
    max_turns: int = option(12, help="model calls of a rollout at most", at_least=1)
    max_tool_calls: int | None = option(None, help="tool calls of a rollout at most", at_least=0)
    max_tokens: int | None = option(None, help="tokens of a rollout at most, input and output together", at_least=1)
    timeout_s: float = option(600.0, help="wall time of a rollout in seconds", at_least=0.001)
    grading: Grading = option(
        "judge", help="'judge': a model decides where the texts are not plainly equal; 'match': they have to be"
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a range that holds nothing."""
        if self.min > self.max:
            raise ConfigError([Problem(f"is over max, {self.max}", path="min")])


class PassRate:
    """The share of rollouts that the solver solves with tools lies from ``min`` to ``max``.

    It is put on the draft: ``difficulty`` as ``1/4`` (solved of tried), ``extra.pass_rate`` as 0.25; what the draft
    said of its difficulty before stays in ``extra.drafted_difficulty``. A rollout that a limit ended is not solved; one
    that failed leaves the draft unjudged. Every rollout has sessions of its own, opened as the seed's were.
    """

    prompts = ("agent.system", "metrics.judge")

    def __init__(self, config: PassRateConfig | None = None) -> None:
        self.config = config or PassRateConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class.

        Raises:
            SandboxError: a rollout failed, by whatever part.
        """
        config = self.config
        agent = self._agent(context)
        session = {backend: settings or {} for backend, settings in (draft.session or {}).items()}
        task = Task(id=f"{draft.id}/pass_rate", question=draft.question, kwargs=context.seed.kwargs, session=session)
        solved = 0
        for sample in range(config.rollouts):
            tried = await agent.solve(task, sample)
            outcome = tried.trajectory.outcome
            if outcome.startswith("error:"):
                raise SandboxError(f"rollout {sample + 1} failed: {tried.error}", code=outcome.removeprefix("error:"))
            if tried.trajectory.answer is not None:
                found = await grade(draft, tried.trajectory.answer, context, config.grading, sample=sample)
                solved += found.right
        rate = solved / config.rollouts
        said = f"the solver with tools solves {solved} of {config.rollouts}"
        if not config.min <= rate <= config.max:
            bound = f"at least {config.min:.0%}" if rate < config.min else f"at most {config.max:.0%}"
            return GateOutcome(passed=False, reason=f"{said}; {bound} is wanted")
        extra: dict[str, Any] = {**draft.extra, "pass_rate": rate}
        if draft.difficulty:
            extra.setdefault("drafted_difficulty", draft.difficulty)
        labelled = evolve(draft, difficulty=f"{solved}/{config.rollouts}", extra=extra)
        return GateOutcome(passed=True, reason=said, draft=labelled)

    def _agent(self, context: GateContext) -> Agent:
        if context.sandbox is None:
            raise UsageError("the gate 'pass_rate' needs a sandbox, and there is none")
        config = self.config
        offered = {tool.name: tool for tool in context.tools}
        return Agent(
            model=model_of(context, "solver"),
            sandbox=_seated(context.sandbox, context.seed),
            tools=[offered[name] for name in match_tools(config.tools, offered)],
            config=AgentConfig(
                max_turns=config.max_turns,
                max_tool_calls=config.max_tool_calls,
                max_tokens=config.max_tokens,
                timeout_s=config.timeout_s,
            ),
            blobs=context.blobs,
            prompts=context.prompts,
        )


def _seated(sandbox: SandboxClient, seed: Seed) -> SandboxClient:
    """The sandbox, with workers whose sessions begin as the seed says."""
    return cast("SandboxClient", _SeededSandbox(sandbox, seed.session)) if seed.session else sandbox


class _SeededSandbox:
    def __init__(self, sandbox: SandboxClient, session: Mapping[str, Any]) -> None:
        self._sandbox = sandbox
        self._session = session

    def tool_traits(self, tool: str) -> Mapping[str, Any]:
        return self._sandbox.tool_traits(tool)

    def worker(self, worker_id: str) -> _SeededWorker:
        return _SeededWorker(self._sandbox.worker(worker_id), self._session)


class _SeededWorker:
    """Opens a backend's session with the seed's settings before the first call of one of its tools."""

    def __init__(self, worker: SandboxWorker, session: Mapping[str, Any]) -> None:
        self._worker = worker
        self._left = dict(session)
        self._opening = anyio.Lock()

    async def execute(self, tool: str, params: Mapping[str, Any] | None = None) -> ToolResult:
        group = tool.partition(":")[0]
        async with self._opening:
            if group in self._left:
                await self._worker.create_session({group: self._left.pop(group)})
        return await self._worker.execute(tool, params)

    async def aclose(self) -> None:
        await self._worker.aclose()
