"""Roll an agent out over a benchmark: plan, run, score, sum up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve, frozen

from agentflow_core.agent import Agent
from agentflow_core.agent.loop import system_prompt
from agentflow_core.evaluation.scoring import (
    Scoring,
    Tally,
    build_scoring,
    check_embedder,
    sample_of,
    score_sample,
)
from agentflow_core.evaluation.summary import summarize_results
from agentflow_core.evaluation.tasks import check_backends, read_tasks
from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.models import ModelEmbedder
from agentflow_core.names import match_tools
from agentflow_core.prompts import Prompts
from agentflow_core.records import Score, Task, TaskResult, Trajectory, Usage
from agentflow_core.records.codec import dump, dumps, load
from agentflow_core.records.events import RunStarted
from agentflow_core.runs import Finished, RunOptions, UnitJournal, Workshop, conduct, open_workshop
from agentflow_core.runs.keys import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentflow_core.config import Loaded
    from agentflow_core.evaluation.config import RolloutConfig
    from agentflow_core.interfaces import Unit
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records.events import Event
    from agentflow_core.runs import StopSignal

__all__ = ["run_rollout"]


async def run_rollout(
    loaded: Loaded[RolloutConfig],
    *,
    host: PluginHost,
    options: RunOptions,
    observe: Callable[[Event], None],
    stop: StopSignal,
    tasks: Sequence[Task] | None = None,
) -> Finished:
    """Run every task and sample that the run directory does not hold yet, score all of them, write the derived files.

    Raises:
        DataError, UnknownNameError: the benchmark, a tool or a metric is not what the configuration says.
        RunError: the run directory cannot be used.
    """
    config = loaded.config
    found = list(tasks) if tasks is not None else read_tasks(config.data)
    prompts = Prompts(config.prompts)
    scoring = build_scoring(host.registry, config.metrics)
    check_embedder(scoring, config)
    async with open_workshop(
        kind="rollout",
        loaded=loaded,
        stages=_stages(loaded.identity, config, prompts),
        tools=config.rollout.tools,
        host=host,
        options=options,
        observe=observe,
        stop=stop,
    ) as workshop:
        observe(RunStarted(run_dir=str(workshop.run.dir), kind="rollout", resumed=workshop.run.resumed))
        evaluation = await Evaluation.prepare(workshop, config, found, scoring, prompts)
        return await conduct(workshop, evaluation.work, evaluation.derive)


def _stages(identity: Mapping[str, Any], config: RolloutConfig, prompts: Prompts) -> Mapping[str, Mapping[str, Any]]:
    """What each stage depends on: changing anything else leaves its units as they are."""
    model = {role: identity["roles"].get(role, identity["model"]) for role in ("solver", "judge")}
    agent = {key: value for key, value in identity["rollout"].items() if key != "samples"}
    judging = {"model": model["judge"], "sandbox": identity["sandbox"], "metrics": identity["metrics"]}
    if any(choice.name == "llm_judgement" for choice in config.metrics):
        judging["prompts"] = prompts.versions(["metrics.judge"])
    if "embedder" in identity["roles"]:
        judging["embedder"] = identity["roles"]["embedder"]
    return {
        "rollout": {
            "model": model["solver"],
            "sandbox": identity["sandbox"],
            "agent": agent,
            "prompt": system_prompt(config.rollout, prompts),
        },
        "score": judging,
    }


@frozen(kw_only=True)
class _Sample:
    """One attempt at one task."""

    task: Task
    number: int


class Evaluation:
    """One rollout over one open run."""

    def __init__(
        self,
        workshop: Workshop,
        config: RolloutConfig,
        tasks: Sequence[Task],
        scoring: Scoring,
        agent: Agent,
        prompts: Prompts,
    ) -> None:
        self.workshop = workshop
        self.config = config
        self.tasks = tasks
        self.scoring = scoring
        self.agent = agent
        self.prompts = prompts
        self._samples: dict[str, _Sample] = {}
        self._by_id = {task.id: task for task in tasks}
        self._to_score: dict[str, ScoredSample] = {}

    @classmethod
    async def prepare(
        cls, workshop: Workshop, config: RolloutConfig, tasks: Sequence[Task], scoring: Scoring, prompts: Prompts
    ) -> Evaluation:
        """Find the tools that the configuration names among those that the sandbox offers."""
        offered = {tool.name: tool for tool in await workshop.sandbox.list_tools()}
        check_backends(tasks, {name.partition(":")[0]: workshop.sandbox.tool_traits(name) for name in offered})
        agent = Agent(
            model=workshop.models("solver"),
            sandbox=workshop.sandbox,
            tools=[offered[name] for name in match_tools(config.rollout.tools, offered)],
            config=config.rollout,
            blobs=workshop.run.blobs,
            prompts=prompts,
        )
        return cls(workshop, config, tasks, scoring, agent, prompts)

    # ---- the work

    async def work(self) -> None:
        """Roll every sample out, then score those whose metrics need a model or a sandbox."""
        run = self.workshop.run
        units = []
        for task in self.tasks:
            for number in range(self.config.rollout.samples):
                unit = run.unit("rollout", f"{task.id}#{number}", dump(task), sample=number)
                self._samples[unit.key] = _Sample(task=task, number=number)
                units.append(unit)
        await self.workshop.stage("rollout", units, self._roll_out)
        if self.workshop.stop.is_set or all(metric.is_pure for metric in self.scoring.metrics):
            return
        await self.workshop.stage("score", await anyio.to_thread.run_sync(self._plan_scores), self._score)

    async def _roll_out(self, unit: Unit, journal: UnitJournal) -> str:
        sample = self._samples[unit.key]
        solved = await self.agent.solve(sample.task, sample.number)
        journal.add("trajectory", dump(solved.trajectory))
        journal.add("usage", dump(solved.usage))
        if solved.error:
            journal.add("error", {"message": solved.error})
        outcome = solved.trajectory.outcome
        return "ok" if outcome == "answered" else outcome

    def _plan_scores(self) -> list[Unit]:
        """One unit a sample that did not crash, whether or not it has an answer."""
        units = []
        for result, trajectory in self._results():
            if not result.outcome.startswith("error:"):
                unit = self._score_unit(result, trajectory)
                self._to_score[unit.key] = sample_of(result, trajectory, self._by_id[result.task_id])
                units.append(unit)
        return units

    def _score_unit(self, result: TaskResult, trajectory: Trajectory | None) -> Unit:
        """The unit that scores a sample: another one when anything that a metric sees is another."""
        conversation = hashlib.sha256(canonical(dump(trajectory))).hexdigest()
        seen = {"task": dump(self._by_id[result.task_id]), "trajectory": conversation}
        return self.workshop.run.unit("score", result.trajectory_id, seen, sample=result.sample)

    async def _score(self, unit: Unit, journal: UnitJournal) -> str:
        tally = Tally(self.workshop.models("judge"))
        embedding = Tally(self.workshop.models("embedder")) if self.scoring.needs_embedder else None
        context = MetricContext(
            judge=tally,
            embedder=ModelEmbedder(embedding) if embedding else None,
            sandbox=self.workshop.sandbox,
            prompts=self.prompts,
        )
        costly = [metric for metric in self.scoring.metrics if not metric.is_pure]
        scores = await score_sample(self._to_score[unit.key], costly, context)
        journal.add("scores", {name: dump(score) for name, score in scores.items()})
        journal.add("usage", dump(tally.usage))
        if embedding is not None:
            journal.add("embedding", dump(embedding.usage))
        return "ok"

    # ---- the derived files

    async def derive(self, status: str) -> Mapping[str, Any]:
        """Write the derived files from the journal, and return the summary."""
        run = self.workshop.run
        scored = {unit.unit.key: unit for unit in run.records("score")}
        pure = [metric for metric in self.scoring.metrics if metric.is_pure]
        usage = {"solver": Usage(), "judge": Usage()}
        if self.scoring.needs_embedder:
            usage["embedder"] = Usage()
        results: list[TaskResult] = []
        for result, trajectory in self._results():
            usage["solver"] += result.usage
            sample = sample_of(result, trajectory, self._by_id[result.task_id])
            scores = dict(await score_sample(sample, pure, MetricContext()))
            judged = scored.get(self._score_unit(result, trajectory).key) if scored else None
            if judged is not None:
                for data in judged.of("scores"):
                    scores |= {name: load(Score, score) for name, score in data.items()}
                usage["judge"] += sum((load(Usage, data) for data in judged.of("usage")), Usage())
                for data in judged.of("embedding"):
                    usage["embedder"] += load(Usage, data)
            results.append(evolve(result, scores=scores))
        run.write("results.jsonl", map(dumps, results))
        run.write("trajectories.jsonl", run.lines("rollout", "trajectory", self._samples.keys()))
        run.write("tools.jsonl", map(dumps, self.agent.tools))
        planned = len(self.tasks) * self.config.rollout.samples
        return summarize_results(
            results,
            self.scoring.graded,
            status=status,
            planned=planned,
            usage=usage,
            versions=self.workshop.versions,
            aggregates=self.scoring.aggregates,
            described=self.scoring.described,
            cluster_by=self.config.cluster_by,
            breakdowns=self.config.breakdown,
        )

    def _results(self) -> Iterator[tuple[TaskResult, Trajectory | None]]:
        """Every finished sample in the order of the plan, read from the journal as it is asked for, not yet scored."""
        for found in self.workshop.run.records("rollout"):
            sample = self._samples.get(found.unit.key)
            if sample is None:  # the directory may hold tasks beyond today's limit
                continue
            trajectory = next((load(Trajectory, data) for data in found.of("trajectory")), None)
            usage = sum((load(Usage, data) for data in found.of("usage")), Usage())
            result = TaskResult(
                task_id=sample.task.id,
                sample=sample.number,
                question=sample.task.question,
                answer=trajectory.answer if trajectory else None,
                references=sample.task.references,
                outcome=trajectory.outcome if trajectory else found.outcome,
                trajectory_id=found.unit.id,
                usage=usage,
                metadata=sample.task.metadata,
            )
            yield result, trajectory
