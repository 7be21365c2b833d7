"""How alike the letters of prediction and reference are, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.metrics.references import Compared, best_of
from agentflow_core.text import normalize_answer

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample
    from agentflow_core.records import Score

__all__ = ["Similarity"]


class Similarity:
    """The normalized indel similarity (rapidfuzz ``ratio``) of the SQuAD-normalized texts, 0 to 1, the best reference.

    It is ``2 · lcs / (length + length)`` over characters in order: ``listen`` and ``silent`` are not the same. Two
    empty texts are alike (1), an empty and another one are not (0).
    """

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class."""
        from rapidfuzz import fuzz  # a compiled library; only when a sample is scored

        def compare(prediction: str, reference: str) -> Compared:
            said, expected = normalize_answer(prediction), normalize_answer(reference)
            value = fuzz.ratio(said, expected) / 100
            return Compared(value, f"{said!r} and {expected!r} are {value:.0%} alike")

        return best_of(sample, compare)
