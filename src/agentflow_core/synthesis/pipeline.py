"""The three stages of a synthesis over one run directory: sample, select, draft and judge; then derive the files."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve, frozen

from agentflow_core.gates.run import judge_draft, passed
from agentflow_core.interfaces import GateContext
from agentflow_core.names import match_tools
from agentflow_core.prompts import load_prompt
from agentflow_core.records import QA, Node, Path, Seed, Usage
from agentflow_core.records.codec import dump, dumps, load
from agentflow_core.records.events import DraftJudged, RunStarted
from agentflow_core.runs import Finished, RunOptions, UnitJournal, Workshop, conduct, open_workshop
from agentflow_core.runs.files import stored_text
from agentflow_core.runs.keys import canonical
from agentflow_core.runs.lines import encode
from agentflow_core.synthesis.drafting import Drafter
from agentflow_core.synthesis.judging import admit, build_gates
from agentflow_core.synthesis.sampling import Sampler
from agentflow_core.synthesis.seeds import read_seeds
from agentflow_core.synthesis.selection import Chosen, SelectionStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentflow_core.config import Loaded
    from agentflow_core.interfaces import Unit
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ToolDefinition
    from agentflow_core.records.events import Event
    from agentflow_core.runs import Run, StopSignal
    from agentflow_core.synthesis.config import SynthesisConfig

__all__ = ["run_synthesis"]

#: The steps of the funnel, as the summary has them, up to the gates.
_STEPS = (
    "seeds",
    "seeds_sampled",
    "seeds_failed",
    "nodes",
    "repeats",
    "stale",
    "errors",
    "proposals_failed",
    "paths",
    "selected",
    "drafting_failed",
    "drafts",
)


async def run_synthesis(
    loaded: Loaded[SynthesisConfig],
    *,
    host: PluginHost,
    options: RunOptions,
    observe: Callable[[Event], None],
    stop: StopSignal,
    seeds: Sequence[Seed] | None = None,
) -> Finished:
    """Do what the run directory does not hold yet, and write its derived files.

    Raises:
        DataError, UnknownNameError: seeds, a tool, a gate, a scorer or a selector is not what the configuration says.
        RunError: the run directory cannot be used.
    """
    config = loaded.config
    found = list(seeds) if seeds is not None else read_seeds(config.seeds)
    async with open_workshop(
        kind="synthesis",
        loaded=loaded,
        stages=_stages(loaded.identity),
        tools=config.tools,
        host=host,
        options=options,
        observe=observe,
        stop=stop,
    ) as workshop:
        observe(RunStarted(run_dir=str(workshop.run.dir), kind="synthesis", resumed=workshop.run.resumed))
        synthesis = await Synthesis.prepare(workshop, config, found)
        return await conduct(workshop, synthesis.work, synthesis.derive)


def _stages(identity: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """What each stage depends on: changing anything else leaves its units as they are."""
    model = {role: identity["roles"].get(role, identity["model"]) for role in ("explorer", "synthesizer")}
    prompts = {name: load_prompt("agentflow_core.synthesis", name).version for name in ("propose", "draft")}
    return {
        "sample": {
            "model": model["explorer"],
            "sandbox": identity["sandbox"],
            "tools": identity["tools"],
            "sampling": identity["sampling"],
            "prompt": prompts["propose"],
        },
        "select": {"selection": identity["selection"], "random_seed": identity["random_seed"]},
        "qa": {
            "model": model["synthesizer"],
            "sandbox": identity["sandbox"],
            "qa": identity["qa"],
            "prompt": prompts["draft"],
        },
    }


@frozen(kw_only=True)
class _Task:
    """A selected path that questions are drafted from."""

    seed: Seed
    path: Path
    nodes: tuple[Node, ...]


class Synthesis:
    """One synthesis over one open run."""

    def __init__(
        self, workshop: Workshop, config: SynthesisConfig, seeds: Sequence[Seed], tools: Sequence[ToolDefinition]
    ) -> None:
        registry = workshop.host.registry
        self.workshop = workshop
        self.config = config
        self.seeds = {seed.id: seed for seed in seeds}
        self.gates = build_gates(registry, config.qa.gates)
        self.selection = SelectionStage(
            registry=registry,
            config=config.selection,
            tools=[tool.name for tool in tools],
            max_depth=config.sampling.max_depth,
            random_seed=config.random_seed,
        )
        self.sampler = Sampler(
            model=workshop.models("explorer"),
            sandbox=workshop.sandbox,
            tools=tools,
            config=config.sampling,
            blobs=workshop.run.blobs,
            observe=workshop.observe,
        )
        self.tools = tools
        self.drafter = Drafter(model=workshop.models("synthesizer"), tools=tools, config=config.qa)
        self._tasks: dict[str, _Task] = {}

    @classmethod
    async def prepare(cls, workshop: Workshop, config: SynthesisConfig, seeds: Sequence[Seed]) -> Synthesis:
        """Find the tools that the configuration names among those that the sandbox offers."""
        offered = {tool.name: tool for tool in await workshop.sandbox.list_tools()}
        return cls(workshop, config, seeds, [offered[name] for name in match_tools(config.tools, offered)])

    # ---- the work

    async def work(self) -> None:
        """Sample every seed, select, and draft from every selected path."""
        run = self.workshop.run
        units = [run.unit("sample", seed.id, dump(seed)) for seed in self.seeds.values()]
        await self.workshop.stage("sample", units, self._sample)
        if self.workshop.stop.is_set:
            return
        units = await anyio.to_thread.run_sync(self._plan_qa)  # seconds of computing for thousands of paths
        await self.workshop.stage("qa", units, self._draft)

    async def _sample(self, unit: Unit, journal: UnitJournal) -> str:
        grown = await self.sampler.grow(self.seeds[unit.id])
        for node in grown.nodes:
            journal.add("node", dump(node))
        journal.add("growth", {"repeats": grown.repeats, "failed": dict(grown.failed), "usage": dump(grown.usage)})
        return "ok"

    def _plan_qa(self) -> list[Unit]:
        """The units of the QA stage: the selected paths, in seed order and order of choice."""
        units = []
        self._tasks.clear()
        for tree, chosen in self._choose():
            nodes = {node.id: node for node in tree}
            for path in chosen.selected:
                on_path = tuple(nodes[node] for node in path.nodes)
                content = hashlib.sha256(canonical([dump(node) for node in on_path])).hexdigest()
                unit = self.workshop.run.unit("qa", path.id, {"path": list(path.nodes), "content": content})
                self._tasks[unit.key] = _Task(seed=self.seeds[path.seed_id], path=path, nodes=on_path)
                units.append(unit)
        return units

    def _trees(self) -> Iterator[tuple[Node, ...]]:
        """The sampled trees, in seed order, read from the journal as they are asked for."""
        for unit in self.workshop.run.records("sample"):
            nodes = tuple(load(Node, data) for data in unit.of("node"))
            if nodes and unit.unit.id in self.seeds:
                yield nodes

    def _choose(self) -> Iterator[tuple[tuple[Node, ...], Chosen]]:
        idf = self.selection.frequencies(self._trees())
        for tree in self._trees():
            yield tree, self.selection.choose(tree, idf)

    async def _draft(self, unit: Unit, journal: UnitJournal) -> str:
        task = self._tasks[unit.key]
        made = await self.drafter.draft(task.seed, task.path, task.nodes)
        context = GateContext(
            seed=task.seed,
            path=task.nodes,
            min_hops=self.config.qa.min_hops,
            models=self.workshop.models,
            sandbox=self.workshop.sandbox,
        )
        for draft in made.drafts:
            judged = await judge_draft(draft, self.gates.of_draft, context)
            journal.add("draft", dump(judged))
            good = passed(judged)
            self.workshop.observe(DraftJudged(qa=judged.id, accepted=good, gate="" if good else judged.gates[-1].name))
        journal.add("usage", dump(made.usage))
        return "ok"

    # ---- the derived files

    async def derive(self, status: str) -> Mapping[str, Any]:
        """Write the derived files from the journal, and return the summary."""
        return await anyio.to_thread.run_sync(self._derive, status)

    def _derive(self, status: str) -> Mapping[str, Any]:
        run = self.workshop.run
        funnel: Counter[str] = Counter({"seeds": len(self.seeds)})
        usage: dict[str, Usage] = {"explorer": Usage(), "synthesizer": Usage()}
        for unit in run.records("sample"):
            funnel["seeds_sampled" if unit.outcome == "ok" else "seeds_failed"] += 1
            for growth in unit.of("growth"):
                funnel["repeats"] += growth["repeats"]
                funnel["proposals_failed"] += len(growth["failed"])
                usage["explorer"] += load(Usage, growth["usage"])
        accepted, rejected = self._fold(run, funnel, usage)
        paths: list[Path] = []
        run.write("qa.jsonl", map(dumps, accepted))
        run.write("rejected.jsonl", map(dumps, rejected))
        run.write("tree.jsonl", self._tree_lines(run, funnel, paths))
        run.write("paths.jsonl", map(dumps, paths))
        run.write("tools.jsonl", map(dumps, self.tools))
        return self._summary(status, funnel, usage, rejected)

    def _fold(self, run: Run, funnel: Counter[str], usage: dict[str, Usage]) -> tuple[list[QA], list[QA]]:
        """Let the gates over the whole run judge the drafts in seed order."""
        gates = [(name, make()) for name, make in self.gates.of_run]
        accepted: list[QA] = []
        rejected: list[QA] = []
        for unit in run.records("qa"):
            if unit.outcome != "ok":
                funnel["drafting_failed"] += 1
            for data in unit.of("usage"):
                usage["synthesizer"] += load(Usage, data)
            for data in unit.of("draft"):
                funnel["drafts"] += 1
                judged = admit(load(QA, data), gates)
                (accepted if passed(judged) else rejected).append(judged)
        return accepted, rejected

    def _tree_lines(self, run: Run, funnel: Counter[str], paths: list[Path]) -> Iterator[bytes]:
        """The nodes of every tree, marked with the selected paths through them; ``paths`` takes the paths."""
        for tree, chosen in self._choose():
            paths += chosen.paths
            kept: dict[str, list[str]] = {}
            for path in chosen.selected:
                for node_id in path.nodes:
                    kept.setdefault(node_id, []).append(path.id)
            funnel["paths"] += len(chosen.paths)
            funnel["selected"] += len(chosen.selected)
            for node in tree:
                if node.tool is not None:
                    funnel["nodes"] += 1
                    funnel["stale"] += node.stale
                    funnel["errors"] += node.error is not None
                value = dump(evolve(node, kept_by=tuple(kept.get(node.id, ()))))
                if node.result is not None:
                    value["result"]["text"] = stored_text(node.result.text, run.blobs)
                    if node.result.shown is None:
                        del value["result"]["shown"]
                yield encode(value) + b"\n"

    def _summary(
        self, status: str, funnel: Counter[str], usage: Mapping[str, Usage], rejected: Sequence[QA]
    ) -> Mapping[str, Any]:
        by_gate = Counter(draft.gates[-1].name for draft in rejected)
        accepted = funnel["drafts"] - len(rejected)
        total = sum(usage.values(), Usage())
        return {
            "kind": "synthesis",
            "status": status,
            "counts": {"seeds": funnel["seeds"], "accepted": accepted, "rejected": len(rejected)},
            "funnel": {
                **{step: funnel[step] for step in _STEPS},
                "rejected": {name: by_gate[name] for name in sorted(by_gate)},
                "accepted": accepted,
            },
            "metrics": {},
            "usage": {
                "by_role": {role: dump(used) for role, used in usage.items()},
                "cost_usd": total.cost_usd,
                "cost_per_accepted": total.cost_usd / accepted if total.cost_usd is not None and accepted else None,
            },
            "versions": self.workshop.versions,
        }
