"""What every metric does before it compares: which references there are, and what an absent prediction is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.records import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentflow_core.interfaces import ScoredSample

__all__ = ["Compared", "best_of", "reference_texts", "undecided"]


@frozen
class Compared:
    """How one prediction compares with one reference."""

    value: float
    reason: str


def reference_texts(references: Iterable[Any]) -> tuple[str, ...]:
    """References as texts, each once: true and false are ``yes`` and ``no``, ``5.0`` is ``5``, null is left out.

    Empty texts stay: there are benchmarks whose right answer is nothing.
    """
    return tuple(dict.fromkeys(_text(reference) for reference in references if reference is not None))


def _text(reference: Any) -> str:
    if isinstance(reference, bool):
        return "yes" if reference else "no"
    if isinstance(reference, float) and reference.is_integer():
        return str(int(reference))
    return str(reference)


def undecided(sample: ScoredSample) -> Score | None:
    """The score of a sample that needs no comparison, or None.

    Without references it is ungraded. Without a prediction (None) it is 0; an empty prediction is compared.
    """
    if not reference_texts(sample.references):
        return Score(value=0.0, graded=False, reason="the task has no reference")
    if sample.prediction is None:
        return Score(value=0.0, reason=f"there is no prediction ({sample.outcome})")
    return None


def best_of(sample: ScoredSample, compare: Callable[[str, str], Compared]) -> Score:
    """The best comparison of the prediction with a reference (``compare(prediction, reference)``), the first of equals."""
    if (score := undecided(sample)) is not None:
        return score
    prediction = sample.prediction or ""
    best: Compared | None = None
    for reference in reference_texts(sample.references):
        found = compare(prediction, reference)
        if best is None or found.value > best.value:
            best = found
        if best.value >= 1:
            break
    if best is None:
        raise AssertionError("a sample with references was compared with none")
    return Score(value=best.value, reason=best.reason)
