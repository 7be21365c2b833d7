"""Compare the one number that a prediction gives with the one number of the reference."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.metrics.references import reference_texts, undecided
from agentflow_core.records import Score
from agentflow_core.text import Number, numbers

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample

__all__ = ["NumericMatch", "NumericMatchConfig", "target_number"]

#: What announces the answer: ``the answer is``, ``answer:``, ``#### ``, ``\boxed{``, ``=``.
_ANNOUNCED = re.compile(
    r"\b(?:final |correct )?(?:answer|result|total|value)\b(?:\s+(?:is|are|was|would be|equals))?\s*[:=]?|####|\\boxed\{|=",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n|\}")


@frozen(kw_only=True)
class NumericMatchConfig:
    """How near is equal."""

    abs_tol: float = option(1e-6, help="absolute difference that is still equal", at_least=0)
    rel_tol: float = option(0.0, help="difference relative to the reference that is still equal", at_least=0)


class NumericMatch:
    """1 if the target number of the prediction equals that of a reference, else 0; see `target_number`.

    Equal is a difference of at most ``max(abs_tol, rel_tol · |reference|)``. A percentage equals a plain number that is
    its count (``5 %`` and ``5``) or its hundredth (``5 %`` and ``0.05``); two percentages compare by their counts.
    References without a target number are left out; if none has one, the sample is ungraded. A prediction without a
    target number scores 0.
    """

    def __init__(self, config: NumericMatchConfig | None = None) -> None:
        config = config or NumericMatchConfig()
        self._abs_tol, self._rel_tol = Decimal(repr(config.abs_tol)), Decimal(repr(config.rel_tol))

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class."""
        if (score := undecided(sample)) is not None:
            return score
        expected = [target for text in reference_texts(sample.references) if (target := target_number(text))]
        if not expected:
            reason = f"no reference holds one number: {sample.references[0]!r}"
            return Score(value=0.0, graded=False, reason=reason)
        prediction = sample.prediction or ""
        said = target_number(prediction)
        if said is None:
            found = ", ".join(number.text for number in numbers(prediction)[:5])
            reason = (
                f"the prediction gives several numbers and marks none ({found})"
                if found
                else "the prediction gives no number"
            )
            return Score(value=0.0, reason=reason)
        for reference in expected:
            if self._equal(said, reference):
                return Score(value=1.0, reason=f"{_shown(said)} equals {_shown(reference)}")
        return Score(value=0.0, reason=f"{_shown(said)} is not {' or '.join(map(_shown, expected))}")

    def _equal(self, said: Number, expected: Number) -> bool:
        allowed = max(self._abs_tol, self._rel_tol * abs(expected.value))
        if abs(said.value - expected.value) <= allowed:
            return True
        if said.percent == expected.percent:
            return False
        hundredth = said.value / 100 if said.percent else said.value
        wanted = expected.value / 100 if expected.percent else expected.value
        return abs(hundredth - wanted) <= max(self._abs_tol, self._rel_tol * abs(wanted))


def target_number(text: str) -> Number | None:
    r"""The one number that a text gives as its answer, or None.

    If all its numbers are equal, that one. Else the number after the last announcement (``the answer is …``,
    ``answer: …``, ``####``, ``\\boxed{…}``, ``=``), if it is the only one between there and the end of the sentence.
    Nothing else is guessed: a text with several numbers and no announcement gives none.
    """
    found = numbers(text)
    if len({(number.value, number.percent) for number in found}) == 1:
        return found[0]
    announced = [match.end() for match in _ANNOUNCED.finditer(text)]
    if not announced:
        return None
    end = _SENTENCE_END.search(text, announced[-1])
    limit = end.start() if end else len(text)
    after = [number for number in found if announced[-1] <= number.start < limit]
    return after[0] if len(after) == 1 else None


def _shown(number: Number) -> str:
    plain = f"{number.value:f}" if abs(number.value.adjusted()) < 30 else f"{number.value:E}"
    return plain + (" %" if number.percent else "")
