"""Choose by the classic AgentFlow formula: depth, length of observations, variety of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.interfaces import Candidate, Choice, SelectionContext

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Classic"]


class Classic:
    """Takes the paths of highest score whose node ids are not too much those of a path taken before.

    The score is ``40 · min(depth / 5, 1) + 30 · m + 30 · distinct tools / tools``, where ``m`` is the mean length of
    the path's observations, min-max scaled over the candidates (1 where all are equal and not empty), and ``tools``
    the number of tools that the run offers. Similar is a Jaccard similarity of node ids over the threshold. The scores
    of scorers are not used. Equal scores: by path id.
    """

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """See `Selector.select`."""
        lengths = {candidate.path.id: _mean_length(candidate) for candidate in candidates}
        low, high = min(lengths.values(), default=0.0), max(lengths.values(), default=0.0)

        def score(candidate: Candidate) -> float:
            length = lengths[candidate.path.id]
            scaled = (length - low) / (high - low) if high > low else float(high > 0)
            depth = len(candidate.nodes) - 1
            used = {node.tool for node in candidate.nodes if node.tool is not None}
            return 40 * min(depth / 5, 1.0) + 30 * scaled + 30 * min(1.0, len(used) / max(1, len(context.tools)))

        ranked = sorted(
            ((score(candidate), candidate) for candidate in candidates), key=lambda item: (-item[0], item[1].path.id)
        )
        taken: list[tuple[str, frozenset[str]]] = []
        choices: list[Choice] = []
        refused: list[Choice] = []
        for rank, (points, candidate) in enumerate(ranked, 1):
            path_id, ids = candidate.path.id, frozenset(candidate.path.nodes)
            near = max(((_jaccard(ids, other), key) for key, other in taken), default=(0.0, ""))
            if len(taken) >= context.max_selected:
                reason = f"{points:.1f} points, rank {rank}; {context.max_selected} are chosen"
                refused.append(Choice(path_id=path_id, selected=False, reason=reason))
            elif near[0] > context.similarity_threshold:
                reason = f"{points:.1f} points, but shares {near[0]:.0%} of its nodes with {near[1]}"
                refused.append(Choice(path_id=path_id, selected=False, reason=reason))
            else:
                taken.append((path_id, ids))
                choices.append(Choice(path_id=path_id, selected=True, reason=f"{points:.1f} points, rank {rank}"))
        return [*choices, *refused]


def _mean_length(candidate: Candidate) -> float:
    lengths = [len(node.result.text) for node in candidate.nodes if node.result is not None]
    return sum(lengths) / len(lengths) if lengths else 0.0


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    union = len(left | right)
    return len(left & right) / union if union else 0.0
