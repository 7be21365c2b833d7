"""Exact match and token F1 as the official scripts of SQuAD 1.1, SQuAD 2.0 and HotpotQA compute them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import evolve

from agentflow_core.metrics.references import Compared, best_of, reference_texts
from agentflow_core.text import normalize_answer

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample
    from agentflow_core.records import Score

__all__ = [
    "ExactMatch",
    "F1Score",
    "HotpotExact",
    "HotpotF1",
    "Squad2Exact",
    "Squad2F1",
    "exact_match",
    "f1_score",
    "hotpotqa_f1",
    "squad2_f1",
]

_WHOLE = frozenset({"yes", "no", "noanswer"})


def exact_match(prediction: str, reference: str) -> float:
    """1 if the normalized texts are equal, else 0. Source: ``exact_match_score`` of SQuAD's ``evaluate-v1.1.py``."""
    return float(normalize_answer(prediction) == normalize_answer(reference))


def f1_score(prediction: str, reference: str) -> float:
    """F1 of the multisets of normalized tokens; 0 where nothing is common, so also where both are empty.

    Source: ``f1_score`` of SQuAD's ``evaluate-v1.1.py``.
    """
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(reference).split()
    common = (Counter(predicted) & Counter(expected)).total()
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def squad2_f1(prediction: str, reference: str) -> float:
    """`f1_score`, but where either is empty 1 if both are. Source: ``compute_f1`` of SQuAD's ``evaluate-v2.0.py``."""
    if not normalize_answer(prediction) or not normalize_answer(reference):
        return exact_match(prediction, reference)
    return f1_score(prediction, reference)


def hotpotqa_f1(prediction: str, reference: str) -> float:
    """`f1_score`, but where either is yes, no or noanswer 0 unless both are.

    Source: ``f1_score`` of HotpotQA's ``hotpot_evaluate_v1.py``.
    """
    predicted, expected = normalize_answer(prediction), normalize_answer(reference)
    if predicted != expected and (predicted in _WHOLE or expected in _WHOLE):
        return 0.0
    return f1_score(prediction, reference)


def _exactly(prediction: str, reference: str) -> Compared:
    value = exact_match(prediction, reference)
    said, expected = normalize_answer(prediction), normalize_answer(reference)
    return Compared(value, f"{said!r} {'is' if value else 'is not'} {expected!r}")


class ExactMatch:
    """Exact match of SQuAD 1.1, the best reference."""

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See `exact_match`."""
        return best_of(sample, _exactly)


class F1Score:
    """Token F1 of SQuAD 1.1, the best reference."""

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See `f1_score`."""
        return best_of(sample, lambda said, expected: _tokens_of(f1_score(said, expected), said, expected))


class HotpotExact(ExactMatch):
    """Exact match of HotpotQA, which is that of SQuAD 1.1."""


class HotpotF1:
    """Token F1 of HotpotQA, the best reference."""

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See `hotpotqa_f1`."""
        return best_of(sample, lambda said, expected: _tokens_of(hotpotqa_f1(said, expected), said, expected))


class Squad2Exact:
    """Exact match of SQuAD 2.0, the best reference; a task without a reference (or only empty ones) has no answer."""

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """1 for an empty prediction where there is no answer."""
        return best_of(_with_no_answer(sample), _exactly)


class Squad2F1:
    """Token F1 of SQuAD 2.0, the best reference; a task without a reference (or only empty ones) has no answer."""

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See `squad2_f1`."""
        sample = _with_no_answer(sample)
        return best_of(sample, lambda said, expected: _tokens_of(squad2_f1(said, expected), said, expected))


def _with_no_answer(sample: ScoredSample) -> ScoredSample:
    answers = tuple(text for text in reference_texts(sample.references) if normalize_answer(text))
    return evolve(sample, references=answers or ("",))


def _tokens_of(value: float, prediction: str, reference: str) -> Compared:
    said, expected = normalize_answer(prediction).split(), normalize_answer(reference).split()
    common = (Counter(said) & Counter(expected)).total()
    return Compared(value, f"{common} of {len(said)} tokens are among the {len(expected)} of {reference!r}")
