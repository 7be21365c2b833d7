"""The metric ``anls``: average normalized Levenshtein similarity, as DocVQA computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.metrics.references import Compared, best_of

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample
    from agentflow_core.records import Score

__all__ = ["Anls", "AnlsConfig", "anls"]


@frozen(kw_only=True)
class AnlsConfig:
    """How unlike a prediction may be."""

    threshold: float = option(
        0.5, help="the least likeness that counts; below it a prediction is wrong", at_least=0, at_most=1
    )


def anls(prediction: str, reference: str, threshold: float = 0.5) -> float:
    """How alike two texts are, 0 to 1, without regard to case, outer and repeated white space.

    1 less the Levenshtein distance over the length of the longer text; 0 where that is below the threshold. Two empty texts are alike. Source: ``evaluate_method`` of the evaluation script of DocVQA's Robust
    Reading Challenge; Biten et al., "Scene Text Visual Question Answering" (2019), equation 1.
    """
    from rapidfuzz.distance import Levenshtein  # a compiled library; only when a sample is scored

    said, expected = " ".join(prediction.strip().lower().split()), " ".join(reference.strip().lower().split())
    # the script divides by the longer of the texts as they came, after upper(), which may be longer
    longer = max(len(reference.upper()), len(prediction.upper()))
    value = 1.0 - (Levenshtein.distance(said, expected) / longer if longer else 0.0)
    return value if value >= threshold else 0.0


class Anls:
    """See `anls`; the best reference."""

    def __init__(self, config: AnlsConfig | None = None) -> None:
        self._threshold = (config or AnlsConfig()).threshold

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See `anls`."""

        def compare(prediction: str, reference: str) -> Compared:
            value = anls(prediction, reference, self._threshold)
            return Compared(value, f"{prediction!r} and {reference!r} are {value:.0%} alike")

        return best_of(sample, compare)
