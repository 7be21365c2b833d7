"""Does the reference stand in the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.metrics.references import Compared, best_of
from agentflow_core.text import answer_tokens, contains, normalize_answer

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample
    from agentflow_core.records import Score

__all__ = ["ContainsAnswer", "ContainsAnswerConfig"]


@frozen(kw_only=True)
class ContainsAnswerConfig:
    """How to look."""

    mode: Literal["tokens", "substring"] = option(
        "tokens", help="tokens: whole words; substring: anywhere, also inside a word", choices=("tokens", "substring")
    )


class ContainsAnswer:
    """1 if a reference stands in the prediction, else 0.

    ``tokens``: as an unbroken run of SQuAD-normalized tokens, so ``no`` is not in ``known``. ``substring``: the
    normalized reference anywhere in the normalized prediction, as older evaluations have it. A reference of which
    normalization leaves nothing (``The``, ``A``) is looked for with its articles; an empty one is in nothing but an
    empty prediction.
    """

    def __init__(self, config: ContainsAnswerConfig | None = None) -> None:
        self._mode = (config or ContainsAnswerConfig()).mode

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class."""
        return best_of(sample, self._compare)

    def _compare(self, prediction: str, reference: str) -> Compared:
        wanted = answer_tokens(reference)
        if not wanted:
            found = not prediction.strip()
            return Compared(
                float(found), f"the reference and the prediction are {'both' if found else 'not both'} empty"
            )
        if self._mode == "substring":
            found = " ".join(wanted) in self._normalized(prediction, reference)
        else:
            found = contains(self._normalized(prediction, reference).split(), wanted)
        return Compared(float(found), f"{reference!r} {'stands' if found else 'does not stand'} in the prediction")

    @staticmethod
    def _normalized(prediction: str, reference: str) -> str:
        if normalize_answer(reference):
            return normalize_answer(prediction)
        # articles count on both sides, since they are all that the reference has; letters or marks alike
        plain = "".join(character if character.isalnum() else " " for character in prediction.lower())
        return plain if any(character.isalnum() for character in reference) else prediction.lower()
