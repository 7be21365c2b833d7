"""Stage 2: choose among the root-to-leaf paths of every tree; a pure fold over the trees in seed order."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.errors import PluginError
from agentflow_core.interfaces import Candidate, Choice, Scorer, ScoringContext, SelectionContext, Selector
from agentflow_core.records import Node, Path
from agentflow_core.selectors.earlier import EarlierSeeds
from agentflow_core.selectors.paths import document_frequencies, enumerate_paths, score_paths
from agentflow_core.synthesis.isolation import replay_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agentflow_core.plugins import Registry
    from agentflow_core.records import Replay
    from agentflow_core.synthesis.config import SelectionConfig

__all__ = ["Chosen", "SelectionStage"]


@frozen(kw_only=True)
class Chosen:
    """Every path of one seed with its scores and what was decided, in leaf order; and the selected ones in order of choice."""

    paths: tuple[Path, ...]
    selected: tuple[Path, ...]


class SelectionStage:
    """Scores and selects with the parts that the configuration names."""

    def __init__(
        self, *, registry: Registry, config: SelectionConfig, tools: Sequence[str], max_depth: int, random_seed: int
    ) -> None:
        self.config = config
        self.tools = tuple(tools)
        self.max_depth = max_depth
        self.random_seed = random_seed
        self.selector: Selector = registry.get("selector", config.selector.name).build(config.selector.settings)
        self.scorers: Mapping[str, tuple[Scorer, float]] = {
            name: (registry.get("scorer", choice.name).build(choice.settings), choice.weight)
            for name, choice in sorted(config.scorers.items())
        }

    def frequencies(self, trees: Iterable[Sequence[Node]]) -> Callable[[str], float]:
        """The inverse document frequency of a token over the observations of all trees."""
        return document_frequencies(node for tree in trees for node in tree)

    def earlier_seeds(self) -> EarlierSeeds | None:
        """What a fold over the trees, in seed order, takes along from one to the next."""
        return EarlierSeeds(self.config.path_similarity_threshold) if self.config.across_seeds else None

    def choose(self, tree: Sequence[Node], idf: Callable[[str], float], earlier: EarlierSeeds | None = None) -> Chosen:
        """The paths of one tree, scored and chosen; near-copies of what was kept of ``earlier`` seeds are left out."""
        nodes = {node.id: node for node in tree}
        context = ScoringContext(tools=self.tools, max_depth=self.max_depth, idf=idf)
        paths = score_paths(enumerate_paths(tree, self.config.min_depth), nodes, self.scorers, context)
        candidates = [Candidate(path=path, nodes=tuple(nodes[node] for node in path.nodes)) for path in paths]
        left_out = {item.path.id: replay for item in candidates if (replay := self._divergence(item)) is not None}
        candidates = [item for item in candidates if item.path.id not in left_out]

        def select(among: Sequence[Candidate]) -> Sequence[Choice]:
            context = SelectionContext(
                max_selected=self.config.max_selected_traj,
                similarity_threshold=self.config.path_similarity_threshold,
                tools=self.tools,
                rng=Random(f"{self.random_seed}/{tree[0].seed_id}"),
            )
            return self.selector.select(among, context)

        choices = select(candidates) if earlier is None else earlier.choose(candidates, select)
        by_id = {path.id: path for path in paths}
        if unknown := [
            choice.path_id for choice in choices if choice.path_id not in by_id or choice.path_id in left_out
        ]:
            raise PluginError(
                f"selector {self.config.selector.name!r} chose {unknown[0]!r}, which is no path it was given"
            )
        decided = {
            choice.path_id: evolve(by_id[choice.path_id], selected=choice.selected, reason=choice.reason)
            for choice in choices
        } | {
            path_id: evolve(by_id[path_id], reason=f"a replay gave another observation at step {replay.step}")
            for path_id, replay in left_out.items()
        }
        return Chosen(
            paths=tuple(decided.get(path.id, path) for path in paths),
            selected=tuple(decided[choice.path_id] for choice in choices if choice.selected),
        )

    def _divergence(self, candidate: Candidate) -> Replay | None:
        """Why the path is left out, if it is."""
        replay = replay_of(candidate.nodes) if self.config.require_replayable else None
        return replay if replay is not None and not replay.equal else None
