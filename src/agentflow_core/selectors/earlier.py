"""Leave out paths that are near-copies of those kept of earlier seeds; a pure fold in seed order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.interfaces import Choice
from agentflow_core.scorers.features import path_shingles
from agentflow_core.text import NearDuplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentflow_core.interfaces import Candidate

__all__ = ["EarlierSeeds"]

#: Where any common shingle makes a near-copy.
_LEAST = 1e-9


class EarlierSeeds:
    """The content of the paths that were kept of the seeds before.

    Two paths are near-copies if the Jaccard similarity of their 5-word shingles is over the threshold. Candidates come
    from locality-sensitive hashing (`NearDuplicates`) and are compared exactly. Paths without text are near nothing.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._kept: NearDuplicates[str] = NearDuplicates(max(threshold, _LEAST))

    def choose(
        self, candidates: Sequence[Candidate], select: Callable[[Sequence[Candidate]], Sequence[Choice]]
    ) -> list[Choice]:
        """What ``select`` chooses of a seed's candidates, near-copies left out; what it keeps counts for later seeds.

        It is asked again, without them, as long as it keeps near-copies, so that others may take their place.
        """
        left = list(candidates)
        refused: list[Choice] = []
        while True:
            choices = select(left)
            selected = {choice.path_id for choice in choices if choice.selected}
            contents = {one.path.id: path_shingles(one.nodes) for one in left if one.path.id in selected}
            near = {key: reason for key, content in contents.items() if (reason := self._near(content))}
            if not near:
                break
            refused += [Choice(path_id=key, selected=False, reason=reason) for key, reason in near.items()]
            left = [one for one in left if one.path.id not in near]
        for key, content in contents.items():
            self._kept.add(key, content)
        return [*choices, *refused]

    def _near(self, content: set[int]) -> str:
        """Why the content is a near-copy; empty if it is none."""
        found = next(iter(self._kept.query(content)), None)
        if found is None or found[1] <= self._threshold:
            return ""
        return f"{found[1]:.0%} like {found[0]} of an earlier seed, over the threshold of {self._threshold:.0%}"
