"""The metrics of MMLongBench-Doc: a score by the type of the answer, and F1 over the questions that have one.

Source: ``eval/eval_score.py`` of the benchmark (Ma et al., "MMLongBench-Doc", 2024, section 4.1). Its answers are first
extracted from a model's response by another model; here the prediction is compared as it stands. Lists are parsed as
literals, never evaluated.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_core.metrics.references import Compared, best_of, reference_texts
from agentflow_core.records import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import MetricContext, ScoredSample

__all__ = ["NOT_ANSWERABLE", "TYPES", "MMLongBenchAcc", "MMLongBenchF1", "answer_type", "f1_of", "mmlongbench_score"]

#: What is the answer where there is none.
NOT_ANSWERABLE: Final = "Not answerable"
#: The types of answers, as the benchmark names them.
TYPES: Final = ("Int", "Float", "Str", "List", "None")
#: Where a task has the type of its answer, in order of preference.
_KEYS: Final = ("answer_format", "answer_type")
_NAMES: Final = {
    **{name.casefold(): name for name in TYPES},
    "integer": "Int",
    "string": "Str",
    "text": "Str",
    "unanswerable": "None",
}
_THRESHOLD: Final = 0.5
_LONGEST_LIST: Final = 20_000
_WHOLE: Final = re.compile(r"[+-]?\d+")
_DECIMAL: Final = re.compile(r"\$?[+-]?(?:\d+\.\d*|\.\d+)\s*%?|\$[+-]?\d+|[+-]?\d+\s*%")
_PARENTHESES: Final = re.compile(r"\s*\([^)]*\)")
_QUOTES: Final = re.compile(r"^['\"]|['\"]$")
#: Strings that are right or wrong and never nearly right: telephone numbers, dates, mail addresses.
_EXACT: Final = (
    re.compile(r"\b\d+(-\d+|\s\d+)?\b"),
    re.compile(r"\b\d{4}[-\s]\d{2}[-\s]\d{2}\b"),
    re.compile(r"\b\d{4}[-\s]\d{2}\b"),
    re.compile(r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}"),
)


def mmlongbench_score(prediction: str, reference: str, kind: str) -> float:
    """The score of a prediction, 0 to 1.

    ``Int``: equal whole numbers, what follows the point of the prediction is left off. ``Float``: equal within 1 %, or
    rounded to the fewer decimals of the two (two at least); a percentage may be given as a share and the other way
    round. ``Str`` and ``None``: the likeness of the cleaned strings where it is above 0.5, of web addresses, file
    names, pages, telephone numbers, times, dates and mail addresses 1 or 0. ``List``: as many items, and of the
    items in order the least likeness; of numbers and of such strings 1 or 0.

    Where the script of the benchmark fails, the score is 0: a reference that is not of its type, an empty list; a
    prediction that begins with a bracket and is no list literal is a list of one.
    """
    if kind == "Int":
        return float(_is_equal_int(prediction, reference))
    if kind == "Float":
        return float(_is_equal_float(prediction, reference))
    if kind in ("Str", "None"):
        return _alike(_cleaned(prediction), _cleaned(reference))
    return _list_score(_items(prediction), _items(reference))


def _is_equal_int(prediction: str, reference: str) -> bool:
    try:
        return int(reference) == int(float(prediction))
    except (ValueError, OverflowError):
        return reference == ""


def _is_equal_float(prediction: str, reference: str) -> bool:
    try:
        expected, said = float(_cleaned(reference)), float(_cleaned(prediction))
    except ValueError:
        return False
    return any(_is_near(said, one) for one in (expected / 100, expected, expected * 100))


def _is_near(said: float, expected: float) -> bool:
    if math.isclose(expected, said, rel_tol=0.01):
        return True
    places = max(min(_places(said), _places(expected)), 2)
    return round(said, places) == round(expected, places)


def _places(value: float) -> int:
    _whole, point, decimals = str(value).rpartition(".")
    return len(decimals) if point else 3


def _cleaned(value: Any) -> str:
    text = str(value).lower().strip()
    text = _PARENTHESES.sub("", text).strip()
    text = _QUOTES.sub("", text).strip()
    text = text.strip().lstrip("$").strip()
    return text.strip().rstrip("%").strip()


def _is_exact(text: str) -> bool:
    return (
        "https://" in text
        or text.endswith((".py", "ipynb"))
        or text.startswith("page")
        or "a.m." in text
        or "p.m." in text
        or any(pattern.fullmatch(text) for pattern in _EXACT)
    )


def _alike(prediction: str, reference: str) -> float:
    return float(prediction == reference) if _is_exact(reference) else _likeness(prediction, reference)


def _likeness(prediction: str, reference: str) -> float:
    from rapidfuzz.distance import Levenshtein  # a compiled library; only when a sample is scored

    longer = max(len(reference.upper()), len(prediction.upper()))
    value = 1.0 - (Levenshtein.distance(reference, prediction) / longer if longer else 0.0)
    return value if value > _THRESHOLD else 0.0


def _items(text: str) -> list[Any]:
    if not text.startswith("["):
        return [text]
    if len(text) > _LONGEST_LIST:
        return [text]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unknown escapes
            found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [text]
    return found if isinstance(found, list) else [found]


def _list_score(predicted: Sequence[Any], expected: Sequence[Any]) -> float:
    if len(predicted) != len(expected) or not expected:
        return 0.0
    said, wanted = sorted(map(_cleaned, predicted)), sorted(map(_cleaned, expected))
    if _is_float(wanted[0]) or _is_exact(wanted[0]):
        return float(said == wanted or "-".join(said) == "-".join(wanted))
    return min(_likeness(one, other) for one, other in zip(said, wanted, strict=True))


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def answer_type(sample: ScoredSample) -> str:
    """The type of the task's answer: as its metadata say (``answer_format``, ``answer_type``), else as it looks."""
    for key in _KEYS:
        name = _NAMES.get(str(sample.task.metadata.get(key, "")).casefold())
        if name is not None:
            return name
    reference = next(iter(reference_texts(sample.references)), "").strip()
    if reference == NOT_ANSWERABLE:
        return "None"
    if _WHOLE.fullmatch(reference):
        return "Int"
    if _DECIMAL.fullmatch(reference):
        return "Float"
    return "List" if reference.startswith("[") else "Str"


class MMLongBenchAcc:
    """See `mmlongbench_score`; the best reference. Its scores tell `MMLongBenchF1` which questions have an answer."""

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See `mmlongbench_score`."""
        kind = answer_type(sample)

        def compare(prediction: str, reference: str) -> Compared:
            value = mmlongbench_score(prediction, reference, kind)
            return Compared(value, f"as {kind}, {prediction!r} scores {value:.2f} against {reference!r}")

        score = best_of(sample, compare)
        if not score.graded:
            return score
        has_answer = NOT_ANSWERABLE not in reference_texts(sample.references)
        is_answered = sample.prediction not in (None, NOT_ANSWERABLE)
        return evolve(score, figures={"answerable": float(has_answer), "answered": float(is_answered)})


def f1_of(scores: Sequence[Score]) -> Score:
    """F1 over samples that `MMLongBenchAcc` scored: of a benchmark over all of them.

    Recall is the sum of the scores of questions that have an answer over the number of these, precision the same sum
    over the number of predictions other than "Not answerable". A crash counts as a question with an answer that got
    none. Undefined, so ungraded, where no question has an answer and none was given one.
    """
    answerable = [score for score in scores if score.figures.get("answerable", 1.0)]
    answered = [score for score in scores if score.figures.get("answered", 0.0)]
    if not answerable and not answered:
        return Score(value=0.0, graded=False, reason="no question has an answer, and none was given one")
    total = math.fsum(score.value for score in answerable)
    recall = total / len(answerable) if answerable else 0.0
    precision = total / len(answered) if answered else 0.0
    value = 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0
    return Score(
        value=value,
        reason=f"{total:.2f} of {len(answerable)} with an answer and of {len(answered)} that were given one",
    )


class MMLongBenchF1:
    """See `f1_of`: of the whole benchmark, as the official script has it, not a mean over tasks."""

    metric = "mmlongbench_acc"
    pooled = True

    def __call__(self, scores: Sequence[Score]) -> Score:
        """See `agentflow_core.interfaces.Aggregate`."""
        return f1_of(scores)
