"""How alike prediction and reference are: by their letters in order, or by what they mean to an embedding model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import AuthenticationError, ModelError, ReplayMissError
from agentflow_core.metrics.references import Compared, best_of, reference_texts, undecided
from agentflow_core.records import Score
from agentflow_core.text import normalize_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import MetricContext, ScoredSample

__all__ = ["Similarity", "SimilarityConfig", "cosine"]


@frozen(kw_only=True)
class SimilarityConfig:
    """What is compared."""

    by: Literal["ratio", "embeddings"] = option(
        "ratio",
        help="ratio: letters in order; embeddings: the cosine of what the model of the role 'embedder' makes of them",
        choices=("ratio", "embeddings"),
    )


class Similarity:
    """The likeness of prediction and reference, 0 to 1, the best reference.

    ``ratio``: the normalized indel similarity (rapidfuzz ``ratio``) of the SQuAD-normalized texts,
    ``2 · lcs / (length + length)`` over characters in order: ``listen`` and ``silent`` are not the same. Two empty
    texts are alike (1), an empty and another one are not (0).

    ``embeddings``: the cosine of the embeddings of the texts as they stand, 0 where it is negative. Where either text
    is empty, as with ``ratio``, and no model is asked. A model that fails leaves the sample ungraded.
    """

    def __init__(self, config: SimilarityConfig | None = None) -> None:
        self._by = (config or SimilarityConfig()).by
        self.needs: Literal["nothing", "embedder"] = "embedder" if self._by == "embeddings" else "nothing"

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class.

        Raises:
            AuthenticationError, ReplayMissError, LimitReached: no sample can be compared.
        """
        if self._by == "embeddings":
            return await _by_embeddings(sample, context)
        from rapidfuzz import fuzz  # a compiled library; only when a sample is scored

        def compare(prediction: str, reference: str) -> Compared:
            said, expected = normalize_answer(prediction), normalize_answer(reference)
            value = fuzz.ratio(said, expected) / 100
            return Compared(value, f"{said!r} and {expected!r} are {value:.0%} alike")

        return best_of(sample, compare)


async def _by_embeddings(sample: ScoredSample, context: MetricContext) -> Score:
    if (score := undecided(sample)) is not None:
        return score
    prediction = (sample.prediction or "").strip()
    references = [text.strip() for text in reference_texts(sample.references)]
    asked = [text for text in references if text]
    if not prediction or not asked:
        return best_of(sample, lambda said, expected: _empty(said.strip(), expected.strip()))
    if context.embedder is None:
        return Score(value=0.0, graded=False, reason="there is no embedding model")
    try:
        said, *expected = await context.embedder.embed([prediction, *asked])
    except (AuthenticationError, ReplayMissError):
        raise
    except ModelError as error:
        reason = f"the embedding model ({context.embedder.name}) failed: {error.kind}: {error.message}"
        return Score(value=0.0, graded=False, reason=reason)
    value, reference = max(
        ((cosine(said, vector), text) for vector, text in zip(expected, asked, strict=True)), key=lambda one: one[0]
    )
    reason = f"the cosine of {prediction!r} and {reference!r} is {value:.3f} ({context.embedder.name})"
    return Score(value=min(1.0, max(0.0, value)), reason=reason)


def _empty(said: str, expected: str) -> Compared:
    alike = not said and not expected
    return Compared(float(alike), f"the prediction and the reference are {'both' if alike else 'not both'} empty")


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """The cosine of the angle between two vectors, -1 to 1; 0 where one has no length.

    Raises:
        ValueError: they have different numbers of dimensions.
    """
    product = math.fsum(one * other for one, other in zip(left, right, strict=True))
    length = math.hypot(*left) * math.hypot(*right)
    return product / length if length else 0.0
