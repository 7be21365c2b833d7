"""Count how branches were kept apart, and how many paths came out the same when they were replayed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agentflow_core.synthesis.isolation import replay_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentflow_core.records import Node, Path
    from agentflow_core.synthesis.isolation import Isolation

__all__ = ["Branching"]

#: Actions by where their session came from, and the branches that were closed for want of room.
_WAYS = ("opened", "continued", "forked", "replayed", "parked")


class Branching:
    """The figures of all trees of a run."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self._ways: Counter[str] = Counter()
        self._replays: Counter[str] = Counter()

    def add_tree(self, ways: Mapping[str, int]) -> None:
        """Count what one tree did."""
        self._ways.update(ways)

    def add_paths(self, tree: Sequence[Node], paths: Iterable[Path]) -> None:
        """Count the replays of the nodes of a tree, and of its paths."""
        nodes = {node.id: node for node in tree}
        for kind, replays in (
            ("nodes", (node.replay for node in tree)),
            ("paths", (replay_of(nodes[node] for node in path.nodes) for path in paths)),
        ):
            for replay in replays:
                if replay is not None:
                    self._replays[kind] += 1
                    self._replays[f"{kind}_equal"] += replay.equal

    def figures(self) -> Mapping[str, Any]:
        """What the funnel says: nothing where no tool keeps a state.

        ``branches`` has the actions in sessions by how they got theirs, and the branches that were ``parked``.
        ``replays`` has how many nodes and paths were replayed, how many of them with equal observations all along,
        and the shares, None where nothing was replayed.
        """
        if not self._isolation.forkable:
            return {}
        further = {name: self._ways[name] for name in ("shared", "forks_failed") if self._ways[name]}
        return {
            "branches": {name: self._ways[name] for name in _WAYS} | further,
            "replays": {
                name: value
                for kind in ("nodes", "paths")
                for name, value in (
                    (kind, self._replays[kind]),
                    (f"{kind}_equal", self._replays[f"{kind}_equal"]),
                    (f"{kind}_equal_share", _share(self._replays[f"{kind}_equal"], self._replays[kind])),
                )
            },
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
