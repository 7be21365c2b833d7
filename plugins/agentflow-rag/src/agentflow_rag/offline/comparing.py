"""Compare two documents that state the same kind of fact: ``Was X born before Y?``"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.prose import is_named_first
from agentflow_core.records import Evidence, ReasoningStep
from agentflow_core.text import dates
from agentflow_rag.offline.asking import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_rag.offline.profiles import Profile

__all__ = ["Comparison", "comparisons"]

#: How the question about a date or year begins, and what is compared.
_COMPARED = (
    (re.compile(r"^(?:On what date|In what year) was \{\} born\?$"), "Was {left} born before {right}?"),
    (re.compile(r"^In what year was \{\} founded\b"), "Was {left} founded before {right}?"),
    (re.compile(r"^(?:On what date|In what year) was \{\} released\b"), "Was {left} released before {right}?"),
    (
        re.compile(r"^(?:On what date|In what year) was \{\} (?:opened|completed|built)\b"),
        "Is {left} older than {right}?",
    ),
    (re.compile(r"^(?:On what date|In what year) did \{\} die\?$"), "Did {left} die before {right}?"),
)


@frozen(kw_only=True)
class Comparison:
    """A question with yes or no for an answer, and its two steps."""

    question: str
    answer: str
    steps: tuple[ReasoningStep, ...]


def comparisons(left: Profile, right: Profile) -> Iterator[Comparison]:
    """What can be compared; each pair in one order only, which the names decide, so that yes and no come about alike."""
    if (
        left.kind is None
        or right.kind is None
        or left.name == right.name
        or left.kind.is_person != right.kind.is_person
    ):
        return
    if not is_named_first(left.name, right.name):
        return
    for pattern, question in _COMPARED:
        first, second = _dated(left, pattern), _dated(right, pattern)
        if first is not None and second is not None and first.year != second.year:
            yield Comparison(
                question=question.format(left=left.name, right=right.name),
                answer="yes" if first.year < second.year else "no",
                steps=(first.step, second.step),
            )
            return


@frozen(kw_only=True)
class _Dated:
    year: int
    step: ReasoningStep


def _dated(profile: Profile, pattern: re.Pattern[str]) -> _Dated | None:
    for fact in facts(profile):
        if not pattern.match(fact.question):
            continue
        found = dates(fact.answer)
        year = found[0].year if found else None
        if year is None and fact.answer.isdigit():
            year = int(fact.answer)
        if year is not None:
            said = fact.statement.replace("{}", profile.name)
            evidence = Evidence(node=profile.node, quote=fact.sentence)
            return _Dated(year=year, step=ReasoningStep(step=f"{said}.", evidence=(evidence,)))
    return None
