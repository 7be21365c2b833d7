"""Enumerate the root-to-leaf paths of trees, score them, and weigh words by how rare they are in a run."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.errors import RunCorruptError
from agentflow_core.records import Node, Path
from agentflow_core.text import tokens

if TYPE_CHECKING:
    from agentflow_core.interfaces import Scorer, ScoringContext

__all__ = ["DocumentFrequencies", "document_frequencies", "enumerate_paths", "nodes_of", "score_paths"]

_DIGITS = re.compile(r"(\d+)")


def enumerate_paths(nodes: Iterable[Node], min_depth: int = 1) -> list[Path]:
    """The paths from each root to each leaf of at least ``min_depth`` steps, in the order of their node ids.

    A path's id is the id of its leaf. Numbers in ids are compared as numbers: ``s/0.2`` comes before ``s/0.10``.

    Raises:
        RunCorruptError: two nodes have one id, or a node is not reached from a root.
    """
    by_id: dict[str, Node] = {}
    children: dict[str | None, list[str]] = {}
    for node in nodes:
        if node.id in by_id:
            raise RunCorruptError(f"two nodes have the id {node.id!r}")
        by_id[node.id] = node
        children.setdefault(node.parent, []).append(node.id)
    paths: list[Path] = []
    reached = 0
    stack: list[tuple[str, ...]] = [(root,) for root in sorted(children.get(None, ()), key=_natural, reverse=True)]
    while stack:
        trail = stack.pop()
        reached += 1
        below = children.get(trail[-1])
        if below:
            ordered = sorted(below, key=_natural, reverse=True) if len(below) > 1 else below
            stack.extend((*trail, child) for child in ordered)
        elif len(trail) > min_depth:
            paths.append(Path(id=trail[-1], seed_id=by_id[trail[-1]].seed_id, nodes=trail))
    if reached < len(by_id):
        lost = sorted(node.id for node in by_id.values() if node.parent is not None and node.parent not in by_id)
        where = f", such as {lost[0]!r} whose parent {by_id[lost[0]].parent!r} is missing" if lost else ""
        raise RunCorruptError(f"{len(by_id) - reached} nodes are not reached from a root{where}")
    return paths


def _natural(node_id: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _DIGITS.split(node_id) if part]


def nodes_of(path: Path, nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """The nodes of a path, from the root to the leaf.

    Raises:
        RunCorruptError: ``nodes`` does not hold one of them.
    """
    try:
        return tuple(nodes[node_id] for node_id in path.nodes)
    except KeyError as error:
        raise RunCorruptError(f"path {path.id!r} goes through {error.args[0]!r}, which is not in the tree") from error


def score_paths(
    paths: Sequence[Path],
    nodes: Mapping[str, Node],
    scorers: Mapping[str, tuple[Scorer, float]],
    context: ScoringContext,
) -> list[Path]:
    """The paths with the score of every scorer, and with the mean by weight as ``total`` (0 if no weight is positive).

    Args:
        paths: in any order; the result has the same.
        nodes: by id.
        scorers: by name: the scorer and its weight. A weight of 0 stores the score and leaves it out of the total.
        context: what scorers may look at.
    """
    weights = sum(weight for _, weight in scorers.values())
    scored: list[Path] = []
    for path in paths:
        steps = nodes_of(path, nodes)
        scores = {name: scorer.score(steps, context) for name, (scorer, _) in scorers.items()}
        total = sum(scores[name] * weight for name, (_, weight) in scorers.items()) / weights if weights > 0 else 0.0
        scored.append(evolve(path, scores=scores, total=total))
    return scored


@frozen
class DocumentFrequencies:
    """In how many observations of a run a word stands. Call it with a word for its inverse document frequency."""

    observations: int
    counts: Mapping[str, int]
    _idf: Mapping[str, float]

    def __call__(self, word: str) -> float:
        """``log((1 + N) / (1 + n))`` for a word (of `tokens`) that stands in n of N observations; 0 where in all."""
        known = self._idf.get(word)
        return math.log1p(self.observations) if known is None else known


def document_frequencies(nodes: Iterable[Node]) -> DocumentFrequencies:
    """Count words over the different observations that succeeded; equal texts count once."""
    texts = {node.result.text for node in nodes if node.result is not None and node.result.ok and node.error is None}
    counts = Counter(chain.from_iterable(set(tokens(text)) for text in texts))
    total = len(texts)
    idf = {word: math.log((1 + total) / (1 + count)) for word, count in counts.items()}
    return DocumentFrequencies(total, counts, idf)
