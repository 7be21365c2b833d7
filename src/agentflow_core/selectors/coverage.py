"""Choose the paths that together cover most text: greedy, per root of length, without near-copies."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.interfaces import Candidate, Choice, SelectionContext
from agentflow_core.scorers.features import path_shingles
from agentflow_core.text import overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Coverage"]


@frozen(kw_only=True)
class _Content:
    candidate: Candidate
    shingles: set[int]
    steps: int  #: what it costs, see `_cost`


class Coverage:
    """Takes, again and again, the path with the greatest gain until ``max_selected`` are taken or none gains.

    The *gain* of a path is the number of 5-word shingles of its observations that no taken path has, divided by the
    square root of its steps, of which each that failed counts three times and gains nothing. Covered text is submodular, so the greedy choice
    reaches at least 63 % of the best one. A path whose content is more similar (Jaccard of its shingles) to a taken
    path than the threshold is left out. Equal gains: the higher total score, then the id; the order of the candidates
    does not matter.
    """

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """See `Selector.select`."""
        contents = {
            candidate.path.id: _Content(
                candidate=candidate,
                shingles=path_shingles(candidate.nodes),
                steps=_cost(candidate),
            )
            for candidate in candidates
        }
        # A gain only falls while paths are taken, so a stale one is an upper bound: recompute the top, and take it
        # when it stays there.
        queue = [(*_rank(content, len(content.shingles)), key, 0) for key, content in contents.items()]
        heapq.heapify(queue)
        covered: set[int] = set()
        taken: list[Choice] = []
        refused: dict[str, Choice] = {}
        chosen: list[str] = []
        exhausted = False
        while queue and len(chosen) < context.max_selected:
            *_, key, seen = heapq.heappop(queue)
            content = contents[key]
            new = _new(content, covered) if chosen else len(content.shingles)
            if seen < len(chosen):
                heapq.heappush(queue, (*_rank(content, new), key, len(chosen)))
                continue
            if not new:
                heapq.heappush(queue, (*_rank(content, 0), key, seen))
                exhausted = True
                break
            near = _nearest(content, [contents[other] for other in chosen])
            if near is not None and near[1] > context.similarity_threshold:
                reason = f"{near[1]:.0%} like {near[0]}, over the threshold of {context.similarity_threshold:.0%}"
                refused[key] = Choice(path_id=key, selected=False, reason=reason)
                continue
            covered |= content.shingles
            chosen.append(key)
            reason = f"{new} new of {len(content.shingles)} shingles in {content.steps} steps"
            taken.append(Choice(path_id=key, selected=True, reason=reason))
        rest = "nothing new" if exhausted else f"the {len(chosen)} chosen ones gain more"
        refused.update((key, Choice(path_id=key, selected=False, reason=rest)) for *_, key, _seen in queue)
        return [*taken, *(refused[key] for key in sorted(refused))]


def _cost(candidate: Candidate) -> int:
    """The steps, where a failed one counts three times: it gains nothing, and what is trained on it learns it."""
    steps = candidate.nodes[1:]
    return max(1, len(steps) + 2 * sum(node.error is not None for node in steps))


def _new(content: _Content, covered: set[int]) -> int:
    return len(content.shingles) - len(content.shingles & covered)


def _rank(content: _Content, new: int) -> tuple[float, float]:
    return -new / math.sqrt(content.steps), -content.candidate.path.total


def _nearest(content: _Content, chosen: Sequence[_Content]) -> tuple[str, float] | None:
    found = [(other.candidate.path.id, overlap(content.shingles, other.shingles)) for other in chosen]
    return max(found, key=lambda item: item[1], default=None)
