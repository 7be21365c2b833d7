"""Choose in the order of a ranking: the best ones, fairly over strata, at random, or by relevance and difference."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.interfaces import Candidate, Choice, SelectionContext
from agentflow_core.scorers.features import path_shingles
from agentflow_core.text import overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MMR", "MMRConfig", "RandomChoice", "Stratified", "TopK"]


class TopK:
    """Takes the paths of highest total score; of near-copies only the first. Equal totals: by path id."""

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """See `Selector.select`."""
        ranked = _by_total(candidates)
        return _taken(
            ((one, f"total {one.path.total:.3f}, rank {rank}") for rank, one in enumerate(ranked, 1)), context
        )


class Stratified:
    """Takes the best path of each stratum in turn, then the second best; a stratum is a depth and a set of tools.

    Strata come in the order of their best total, paths within one in that of their totals. Near-copies are left out.
    """

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """See `Selector.select`."""
        strata: dict[tuple[int, tuple[str, ...]], list[Candidate]] = defaultdict(list)
        for candidate in _by_total(candidates):
            strata[_stratum(candidate)].append(candidate)
        rounds = max(map(len, strata.values()), default=0)
        turns = (
            (
                members[turn],
                f"number {turn + 1} of {len(members)} with {depth} steps and {' + '.join(tools) or 'no tool'}",
            )
            for turn in range(rounds)
            for (depth, tools), members in strata.items()
            if turn < len(members)
        )
        return _taken(turns, context)


class RandomChoice:
    """Takes paths at random, the same for the same seed of the run; near-copies are left out. A baseline."""

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """See `Selector.select`."""
        drawn = sorted(candidates, key=lambda one: one.path.id)
        context.rng.shuffle(drawn)
        return _taken(((one, f"drawn as number {number}") for number, one in enumerate(drawn, 1)), context)


@frozen(kw_only=True)
class MMRConfig:
    """How much relevance counts against difference."""

    relevance: float = option(
        0.7, help="weight of the total score; the rest is that of being different", at_least=0, at_most=1
    )


class MMR:
    """Maximal marginal relevance: takes, again and again, the path that scores well and is unlike those taken.

    The rank of a path is ``relevance · total − (1 − relevance) · s``, where s is its highest content similarity
    (Jaccard of 5-word shingles) to a taken path (Carbonell and Goldstein, 1998). Paths over the similarity threshold
    are left out. Equal ranks: by path id.
    """

    def __init__(self, config: MMRConfig) -> None:
        self._relevance = config.relevance

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """See `Selector.select`."""
        open_ = {one.path.id: one for one in sorted(candidates, key=lambda one: one.path.id)}
        contents = {key: path_shingles(one.nodes) for key, one in open_.items()}
        nearest = dict.fromkeys(open_, (0.0, ""))
        choices: list[Choice] = []
        refused: list[Choice] = []
        while open_ and len(choices) < context.max_selected:
            rank, key = max(
                ((self._rank(one, nearest[key][0]), key) for key, one in open_.items()), key=lambda item: item[0]
            )
            del open_[key]
            similarity, other = nearest[key]
            if similarity > context.similarity_threshold:
                refused.append(_near_copy(key, similarity, other, context))
                continue
            choices.append(Choice(path_id=key, selected=True, reason=f"marginal relevance {rank:.3f}"))
            for left in open_:
                nearest[left] = max(nearest[left], (overlap(contents[left], contents[key]), key))
        refused += [Choice(path_id=key, selected=False, reason=f"{len(choices)} rank higher") for key in open_]
        return [*choices, *refused]

    def _rank(self, candidate: Candidate, similarity: float) -> float:
        return self._relevance * candidate.path.total - (1 - self._relevance) * similarity


def _by_total(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda one: (-one.path.total, one.path.id))


def _stratum(candidate: Candidate) -> tuple[int, tuple[str, ...]]:
    return len(candidate.nodes) - 1, tuple(sorted({node.tool for node in candidate.nodes if node.tool is not None}))


def _taken(ranked: Iterable[tuple[Candidate, str]], context: SelectionContext) -> list[Choice]:
    """Take in this order, without near-copies of what was taken, until there are enough."""
    taken: dict[str, set[int]] = {}
    choices: list[Choice] = []
    refused: list[Choice] = []
    for candidate, reason in ranked:
        key = candidate.path.id
        if len(taken) >= context.max_selected:
            refused.append(Choice(path_id=key, selected=False, reason=f"{reason}; {context.max_selected} are chosen"))
            continue
        content = path_shingles(candidate.nodes)
        similarity, other = max(((overlap(content, one), name) for name, one in taken.items()), default=(0.0, ""))
        if similarity > context.similarity_threshold:
            refused.append(_near_copy(key, similarity, other, context))
            continue
        taken[key] = content
        choices.append(Choice(path_id=key, selected=True, reason=reason))
    return [*choices, *refused]


def _near_copy(key: str, similarity: float, other: str, context: SelectionContext) -> Choice:
    reason = f"{similarity:.0%} like {other}, over the threshold of {context.similarity_threshold:.0%}"
    return Choice(path_id=key, selected=False, reason=reason)
