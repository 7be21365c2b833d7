"""The three stages of a synthesis over one run directory: sample, select, draft and judge; then derive the files."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve, frozen

from agentflow_core.gates.run import passed
from agentflow_core.interfaces import GateContext
from agentflow_core.names import match_tools
from agentflow_core.prompts import Prompts
from agentflow_core.records import QA, Node, Path, Seed, Usage
from agentflow_core.records.codec import dump, dumps, load
from agentflow_core.records.events import DraftJudged, RunStarted
from agentflow_core.runs import Finished, RunOptions, UnitJournal, Workshop, conduct, open_workshop
from agentflow_core.runs.files import stored_text
from agentflow_core.runs.keys import canonical
from agentflow_core.runs.lines import encode
from agentflow_core.synthesis.branching import Branching
from agentflow_core.synthesis.drafting import Drafter
from agentflow_core.synthesis.funnel import stages_of, summary_of
from agentflow_core.synthesis.judging import Admission, DraftJudge, Gates, build_gates
from agentflow_core.synthesis.obfuscating import Obfuscator
from agentflow_core.synthesis.sampling import Sampler
from agentflow_core.synthesis.seeds import FoundSeed, check_sessions, find_seeds
from agentflow_core.synthesis.selection import Chosen, SelectionStage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence

    from agentflow_core.config import Loaded
    from agentflow_core.interfaces import Unit
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ModelRole, ToolDefinition
    from agentflow_core.records.events import Event
    from agentflow_core.runs import Run, StopSignal
    from agentflow_core.synthesis.config import SynthesisConfig

    Selecting = Callable[[Iterable[tuple[Node, ...]]], Iterator[tuple[tuple[Node, ...], Chosen]]]

__all__ = ["run_synthesis"]


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
        DataError, UnknownNameError: seeds, a tool, a gate and its files, a scorer or a selector is not what the
            configuration says.
        RunError: the run directory cannot be used.
    """
    config = loaded.config
    if seeds is None:
        found = find_seeds(config.seeds)
    else:
        found = [FoundSeed(seed=seed, where=f"seed {seed.id!r}") for seed in seeds]
    prompts = Prompts(config.prompts)
    gates = await anyio.to_thread.run_sync(build_gates, host.registry, config.qa.gates)  # some read files
    async with open_workshop(
        kind="synthesis",
        loaded=loaded,
        stages=stages_of(loaded.identity, config, gates, prompts),
        tools=config.tools,
        host=host,
        options=options,
        observe=observe,
        stop=stop,
    ) as workshop:
        observe(RunStarted(run_dir=str(workshop.run.dir), kind="synthesis", resumed=workshop.run.resumed))
        synthesis = await Synthesis.prepare(workshop, config, found, gates, prompts)
        return await conduct(workshop, synthesis.work, synthesis.derive)


@frozen(kw_only=True)
class _Task:
    """A selected path that questions are drafted from."""

    seed: Seed
    path: Path
    nodes: tuple[Node, ...]


class Synthesis:
    """One synthesis over one open run."""

    def __init__(
        self,
        workshop: Workshop,
        config: SynthesisConfig,
        seeds: Sequence[Seed],
        tools: Sequence[ToolDefinition],
        gates: Gates,
        prompts: Prompts,
    ) -> None:
        registry = workshop.host.registry
        self.workshop = workshop
        self.config = config
        self.seeds = {seed.id: seed for seed in seeds}
        self.gates = gates
        self.prompts = prompts
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
            limits=config.sandbox.limits,
            prompts=prompts,
        )
        self.tools = tools
        synthesizer = workshop.models("synthesizer")
        self.drafter = Drafter(model=synthesizer, tools=tools, config=config.qa, prompts=prompts)
        obfuscate = config.qa.obfuscate
        self.judge = DraftJudge(
            gates,
            Obfuscator(model=synthesizer, config=obfuscate, prompts=prompts) if obfuscate is not None else None,
            config.qa.gate_budget,
        )
        self._tasks: dict[str, _Task] = {}

    @classmethod
    async def prepare(
        cls,
        workshop: Workshop,
        config: SynthesisConfig,
        seeds: Sequence[FoundSeed],
        gates: Gates,
        prompts: Prompts,
    ) -> Synthesis:
        """Find what the configuration and the seeds name among what the sandbox offers.

        Raises:
            UnknownNameError: a tool that is not offered.
            DataError: a seed's session is of a backend that is not offered.
            UsageError: branches cannot be kept apart as the configuration asks.
        """
        sandbox = workshop.sandbox
        offered = {tool.name: tool for tool in await sandbox.list_tools()}
        check_sessions(
            seeds, {name.partition(":")[0]: sandbox.tool_traits(name)["sharing"] for name in offered if ":" in name}
        )
        tools = [offered[name] for name in match_tools(config.tools, offered)]
        return cls(workshop, config, [found.seed for found in seeds], tools, gates, prompts)

    # ---- the work

    async def work(self) -> None:
        """Sample every seed, select, and draft from every selected path; with a target, wave by wave until it is met.

        Whether a further wave is taken up depends on what was found and on nothing else.
        """
        run = self.workshop.run
        admission = Admission(self.gates, self.config.target_qa_count)
        sampling: list[Unit] = []
        drafting: list[Unit] = []
        selecting = self._selecting()
        for seeds in self._waves():
            wave = [run.unit("sample", seed.id, dump(seed)) for seed in seeds]
            sampling += wave
            if not await self._finish("sample", sampling, self._sample):
                return
            units = await anyio.to_thread.run_sync(self._plan_qa, wave, selecting)  # seconds for thousands of paths
            drafting += units
            if not await self._finish("qa", drafting, self._draft):
                return
            if self.config.target_qa_count is not None:
                await anyio.to_thread.run_sync(self._admit, admission, units)
                if admission.is_full:
                    return

    async def _finish(
        self, stage: str, units: Sequence[Unit], work: Callable[[Unit, UnitJournal], Awaitable[str]]
    ) -> bool:
        """Do the units of a stage; False if the run was asked to stop."""
        await self.workshop.stage(stage, units, work)
        return not self.workshop.stop.is_set

    def _waves(self) -> Iterator[Sequence[Seed]]:
        """The seeds that are taken up together: all of them, unless there is a target."""
        seeds = list(self.seeds.values())
        width = max(1, len(seeds)) if self.config.target_qa_count is None else self.config.seeds_per_wave
        return (seeds[start : start + width] for start in range(0, len(seeds), width))

    def _admit(self, admission: Admission, units: Sequence[Unit]) -> None:
        for unit in self.workshop.run.records("qa", {unit.key for unit in units}):
            for data in unit.of("draft"):
                admission.add(load(QA, data))

    async def _sample(self, unit: Unit, journal: UnitJournal) -> str:
        grown = await self.sampler.grow(self.seeds[unit.id])
        for node in grown.nodes:
            journal.add("node", dump(node))
        growth = {"repeats": grown.repeats, "failed": dict(grown.failed), "usage": dump(grown.usage)}
        journal.add("growth", growth | {"branches": dict(grown.branches)})
        return "ok"

    def _plan_qa(self, sampled: Sequence[Unit], selecting: Selecting) -> list[Unit]:
        """The units of the QA stage of those seeds: the selected paths, in seed order and order of choice."""
        units = []
        for tree, chosen in selecting(self._trees({unit.key for unit in sampled})):
            nodes = {node.id: node for node in tree}
            for path in chosen.selected:
                on_path = tuple(nodes[node] for node in path.nodes)
                content = hashlib.sha256(canonical([dump(node) for node in on_path])).hexdigest()
                unit = self.workshop.run.unit("qa", path.id, {"path": list(path.nodes), "content": content})
                self._tasks[unit.key] = _Task(seed=self.seeds[path.seed_id], path=path, nodes=on_path)
                units.append(unit)
        return units

    def _trees(self, keys: Container[str] | None = None) -> Iterator[tuple[Node, ...]]:
        """The sampled trees (of those units), in seed order, read from the journal as they are asked for."""
        for unit in self.workshop.run.records("sample", keys):
            nodes = tuple(load(Node, data) for data in unit.of("node"))
            if nodes and unit.unit.id in self.seeds:
                yield nodes

    def _selecting(self) -> Selecting:
        """What chooses among the paths of trees, wave after wave; a token's frequency is that in the first wave."""
        earlier = self.selection.earlier_seeds()
        first = next(self._waves(), ())
        keys = {self.workshop.run.unit("sample", seed.id, dump(seed)).key for seed in first}
        idf: Callable[[str], float] | None = None

        def select(trees: Iterable[tuple[Node, ...]]) -> Iterator[tuple[tuple[Node, ...], Chosen]]:
            nonlocal idf
            if idf is None:
                idf = self.selection.frequencies(self._trees(keys))
            for tree in trees:
                yield tree, self.selection.choose(tree, idf, earlier)

        return select

    async def _draft(self, unit: Unit, journal: UnitJournal) -> str:
        task = self._tasks[unit.key]
        made = await self.drafter.draft(task.seed, task.path, task.nodes)
        context = GateContext(
            seed=task.seed,
            path=task.nodes,
            min_hops=self.config.qa.min_hops,
            models=self.workshop.models,
            sandbox=self.workshop.sandbox,
            tools=tuple(self.tools),
            prompts=self.prompts,
            blobs=self.workshop.run.blobs,
        )
        spent: dict[ModelRole, Usage] = {"synthesizer": made.usage}
        failures: list[str] = []
        for draft in made.drafts:
            found = await self.judge.judge(draft, context)
            for judged in found.drafts:
                journal.add("draft", dump(judged))
                good = passed(judged)
                gate = "" if good else judged.gates[-1].name
                self.workshop.observe(DraftJudged(qa=judged.id, accepted=good, gate=gate))
            if found.unchanged:
                journal.add("rewriting_failed", {"qa": draft.id})
            for role, usage in found.spent.items():
                spent[role] = spent.get(role, Usage()) + usage
            failures += found.failures
        journal.add("spent", {role: dump(usage) for role, usage in spent.items()})
        failure = next((failure for failure in failures if failure.startswith("error:")), None)
        if failure is None:
            return "ok"
        outcome, _, message = failure.partition(": ")
        journal.add("error", {"message": message})
        return outcome  # the unit is done again when the run is resumed

    # ---- the derived files

    async def derive(self, status: str) -> Mapping[str, Any]:
        """Write the derived files from the journal, and return the summary."""
        return await anyio.to_thread.run_sync(self._derive, status)

    def _derive(self, status: str) -> Mapping[str, Any]:
        run = self.workshop.run
        funnel: Counter[str] = Counter({"seeds": len(self.seeds)})
        usage: dict[str, Usage] = {"explorer": Usage(), "synthesizer": Usage()}
        branching = Branching(self.sampler.isolation)
        for unit in run.records("sample"):
            funnel["seeds_sampled" if unit.outcome == "ok" else "seeds_failed"] += 1
            for growth in unit.of("growth"):
                funnel["repeats"] += growth["repeats"]
                funnel["proposals_failed"] += len(growth["failed"])
                branching.add_tree(growth.get("branches", {}))
                usage["explorer"] += load(Usage, growth["usage"])
        admission = self._fold(run, funnel, usage)
        paths: list[Path] = []
        run.write("qa.jsonl", map(dumps, admission.accepted))
        run.write("rejected.jsonl", map(dumps, admission.rejected))
        run.write("tree.jsonl", self._tree_lines(run, funnel, branching, paths))
        run.write("paths.jsonl", map(dumps, paths))
        run.write("tools.jsonl", map(dumps, self.tools))
        return summary_of(
            status,
            funnel=funnel,
            branching=branching,
            usage=usage,
            admission=admission,
            target=self.config.target_qa_count,
            warning=self.sampler.isolation.warning,
            versions=self.workshop.versions,
        )

    def _fold(self, run: Run, funnel: Counter[str], usage: dict[str, Usage]) -> Admission:
        """Decide on the drafts in seed order."""
        admission = Admission(self.gates, self.config.target_qa_count)
        for unit in run.records("qa"):
            drafts = unit.of("draft")
            funnel["drafting_failed"] += unit.outcome != "ok" and not drafts
            funnel["rewriting_failed"] += len(unit.of("rewriting_failed"))
            for data in unit.of("spent"):
                for role, spent in data.items():
                    usage[role] = usage.get(role, Usage()) + load(Usage, spent)
            for data in drafts:
                draft = load(QA, data)
                funnel["drafts"] += 1
                funnel["rewritten"] += draft.parent_qa_id is not None
                admission.add(draft)
        funnel["beyond_target"] = admission.beyond
        return admission

    def _tree_lines(self, run: Run, funnel: Counter[str], branching: Branching, paths: list[Path]) -> Iterator[bytes]:
        """The nodes of every tree, marked with the selected paths through them; ``paths`` takes the paths."""
        for tree, chosen in self._selecting()(self._trees()):
            paths += chosen.paths
            branching.add_paths(tree, chosen.paths)
            kept: dict[str, list[str]] = {}
            for path in chosen.selected:
                for node_id in path.nodes:
                    kept.setdefault(node_id, []).append(path.id)
            funnel["paths"] += len(chosen.paths)
            funnel["selected"] += len(chosen.selected)
            failed = {node.id for node in tree if node.error is not None}
            for node in tree:
                if node.tool is not None:
                    funnel["nodes"] += 1
                    funnel["stale"] += node.stale
                    funnel["errors"] += node.error is not None
                    funnel["recovered"] += node.error is None and node.parent in failed
                value = dump(evolve(node, kept_by=tuple(kept.get(node.id, ()))))
                if node.result is not None:
                    value["result"]["text"] = stored_text(node.result.text, run.blobs)
                    if node.result.shown is None:
                        del value["result"]["shown"]
                yield encode(value) + b"\n"
