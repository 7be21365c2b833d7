"""What each selector would keep of the trees of a run that stands; nothing is sampled again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, frozen

from agentflow_core.config import load_config
from agentflow_core.errors import AgentFlowError, UsageError
from agentflow_core.interfaces import Candidate, Choice, SelectionContext, Selector
from agentflow_core.runs import RunReader
from agentflow_core.scorers.features import observed_shingles, path_shingles
from agentflow_core.selectors.earlier import EarlierSeeds
from agentflow_core.selectors.paths import nodes_of
from agentflow_core.synthesis.config import SelectionConfig
from agentflow_core.synthesis.isolation import replay_of
from agentflow_core.text import action_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_core.plugins import Registry
    from agentflow_core.records import Node
    from agentflow_core.records import Path as TreePath

__all__ = ["Kept", "SelectionReport", "compare_selectors"]


@define(kw_only=True)
class Kept:
    """What a selector keeps of all trees."""

    selector: str
    used: bool  #: whether the run used it
    paths: int = 0
    steps: int = 0  #: of all paths together
    failed: int = 0  #: steps whose call failed
    repeated: int = 0  #: steps whose call stands on a kept path of the seed before, shared steps too
    covered: int = 0  #: different 5-word shingles of the kept paths, seed by seed
    shingles: int = 0  #: different 5-word shingles of all candidates, seed by seed
    error: str = ""  #: why it failed, if it did; the figures are of the seeds before

    @property
    def coverage(self) -> float:
        """The share of the text of all candidates that stands on the kept paths."""
        return self.covered / self.shingles if self.shingles else 0.0

    @property
    def mean_steps(self) -> float:
        """Steps of a path."""
        return self.steps / self.paths if self.paths else 0.0

    @property
    def error_share(self) -> float:
        """The share of the steps that failed."""
        return self.failed / self.steps if self.steps else 0.0

    @property
    def repeat_share(self) -> float:
        """The share of the steps that repeat."""
        return self.repeated / self.steps if self.steps else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        figures = {
            name: getattr(self, name) for name in ("paths", "steps", "failed", "repeated", "covered", "shingles")
        }
        shares = {name: getattr(self, name) for name in ("coverage", "mean_steps", "error_share", "repeat_share")}
        return {"selector": self.selector, "used": self.used, **shares, **figures, "error": self.error}


@frozen(kw_only=True)
class SelectionReport:
    """The selectors side by side, the greatest coverage first."""

    run: str
    selector: str  #: the one that the run used; empty if that is not known
    seeds: int
    candidates: int  #: paths that selectors choose among
    selected: int  #: paths that the run keeps
    max_selected: int
    kept: tuple[Kept, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        figures = {name: getattr(self, name) for name in ("run", "selector", "seeds", "candidates", "selected")}
        return {**figures, "max_selected": self.max_selected, "selectors": [one.as_dict() for one in self.kept]}


def compare_selectors(run_dir: Path, registry: Registry, *, max_selected: int | None = None) -> SelectionReport:
    """Let every installed selector choose among the stored paths, with the limits of the run's configuration.

    The selector that the run used has the run's settings, the others their defaults. Scores are those of
    ``paths.jsonl``; nothing but ``tree.jsonl``, ``paths.jsonl``, ``tools.jsonl`` and the configuration is read.

    Args:
        run_dir: of a synthesis that has ended.
        registry: the selectors.
        max_selected: paths kept of a seed at most, in place of the configuration's number.

    Raises:
        UsageError: the directory holds a run of another kind, or one without paths.
        RunCorruptError, DataError: the files do not fit each other.
    """
    reader = RunReader(run_dir)
    if reader.kind != "synthesis":
        raise UsageError(f"{run_dir} holds a run of kind {reader.kind!r}; only those of a synthesis have trees")
    document = reader.config()
    config, used = _selection(document, registry)
    if max_selected is not None:
        config = evolve(config, max_selected_traj=max_selected)
    paths: dict[str, list[TreePath]] = {}
    for path in reader.paths():
        paths.setdefault(path.seed_id, []).append(path)
    if not paths:
        raise UsageError(f"{run_dir} has no paths to choose among", hint="paths.jsonl is written when the run ends")
    tools = tuple(tool.name for tool in reader.tools())
    trials = [_Trial.of(name, registry, config, used) for name in registry.names("selector")]
    for seed_id, nodes in _trees(reader):
        seed = _Seed.of(seed_id, paths.get(seed_id, ()), nodes, config, tools, document.get("random_seed", 0))
        for trial in trials:
            trial.add(seed)
    ordered = sorted((trial.kept for trial in trials), key=lambda one: (bool(one.error), -one.coverage, one.selector))
    everything = [path for found in paths.values() for path in found]
    return SelectionReport(
        run=str(run_dir),
        selector=used,
        seeds=len(paths),
        candidates=len(everything),
        selected=sum(path.selected for path in everything),
        max_selected=config.max_selected_traj,
        kept=tuple(ordered),
    )


def _selection(document: Mapping[str, Any], registry: Registry) -> tuple[SelectionConfig, str]:
    """The run's selection as far as selectors see it, and the name of its selector; defaults where it has none."""
    section = document.get("selection")
    given = dict(section) if isinstance(section, Mapping) else {}
    given.pop("scorers", None)  # paths.jsonl has their scores, so that their plugins are not needed
    chosen = given.get("selector", "")
    used = next(iter(chosen), "") if isinstance(chosen, Mapping) else str(chosen)
    if used not in registry.names("selector"):
        given.pop("selector", None)
    return load_config(SelectionConfig, given, registry=registry).config, used


def _trees(reader: RunReader) -> Iterator[tuple[str, dict[str, Node]]]:
    """The trees, one at a time; the file has them one after the other."""
    for seed_id, nodes in groupby(reader.tree(), key=lambda node: node.seed_id):
        yield seed_id, {node.id: node for node in nodes}


@frozen(kw_only=True)
class _Seed:
    """The candidates of one seed."""

    candidates: tuple[Candidate, ...]
    shingles: int
    config: SelectionConfig
    tools: tuple[str, ...]
    random: str

    @classmethod
    def of(
        cls,
        seed_id: str,
        paths: Sequence[TreePath],
        nodes: Mapping[str, Node],
        config: SelectionConfig,
        tools: tuple[str, ...],
        random_seed: int,
    ) -> _Seed:
        candidates = [Candidate(path=path, nodes=nodes_of(path, nodes)) for path in paths]
        if config.require_replayable:
            candidates = [one for one in candidates if (replay := replay_of(one.nodes)) is None or replay.equal]
        everything = {node.id: node for one in candidates for node in one.nodes}
        return cls(
            candidates=tuple(candidates),
            shingles=len(path_shingles(tuple(everything.values()))),
            config=config,
            tools=tools or tuple(sorted({node.tool for node in nodes.values() if node.tool is not None})),
            random=f"{random_seed}/{seed_id}",
        )

    def select(self, selector: Selector, candidates: Sequence[Candidate]) -> Sequence[Choice]:
        """What the selector chooses, by the rule of the selection stage."""
        return selector.select(
            candidates,
            SelectionContext(
                max_selected=self.config.max_selected_traj,
                similarity_threshold=self.config.path_similarity_threshold,
                tools=self.tools,
                rng=Random(self.random),
            ),
        )


@define
class _Trial:
    """One selector at work on the trees, one after the other."""

    kept: Kept
    selector: Selector | None
    earlier: EarlierSeeds | None

    @classmethod
    def of(cls, name: str, registry: Registry, config: SelectionConfig, used: str) -> _Trial:
        kept = Kept(selector=name, used=name == used)
        earlier = EarlierSeeds(config.path_similarity_threshold) if config.across_seeds else None
        settings = config.selector.settings if name == config.selector.name else None
        try:
            return cls(kept, registry.get("selector", name).build(settings), earlier)
        except AgentFlowError as error:
            kept.error = error.message
            return cls(kept, None, earlier)

    def add(self, seed: _Seed) -> None:
        """Let the selector choose among the paths of one more seed."""
        if self.kept.error or self.selector is None:
            return
        select = partial(seed.select, self.selector)
        try:
            choices = self.earlier.choose(seed.candidates, select) if self.earlier else select(seed.candidates)
            selected = {choice.path_id for choice in choices if choice.selected}
        except Exception as error:  # noqa: BLE001 - plugin boundary: a selector may raise anything
            self.kept.error = f"{type(error).__name__}: {error}"
            return
        self._count([one for one in seed.candidates if one.path.id in selected], seed.shingles)

    def _count(self, chosen: Sequence[Candidate], shingles: int) -> None:
        kept = self.kept
        calls: set[str] = set()
        covered: set[int] = set()
        for candidate in chosen:
            kept.paths += 1
            for node in candidate.nodes:
                if node.tool is None:
                    continue
                covered |= observed_shingles(node)
                key = action_key(node.tool, node.params)
                kept.steps += 1
                kept.failed += node.error is not None or (node.result is not None and not node.result.ok)
                kept.repeated += key in calls
                calls.add(key)
        kept.covered += len(covered)
        kept.shingles += shingles
