"""Gates on the form of a draft: all parts are there, the question keeps its answer, and stands by itself."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from attrs import evolve

from agentflow_core.gates.reading import answer_forms, is_yes_no, list_items
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.text import dates, is_bare_number, normalize_answer, numbers, only_number, stands_in, tokens
from agentflow_core.text.vocabulary import NUMBER_WORDS, REQUESTS

if TYPE_CHECKING:
    from agentflow_core.records import QA

__all__ = ["ANSWER_TYPES", "Leak", "Schema", "SelfContained"]

#: What ``answer_type`` may say.
ANSWER_TYPES = ("entity", "person", "place", "date", "number", "yes_no", "text", "list")

_QUESTION_WORDS = (3, 120)
_QUESTION_CHARACTERS = 1200
_ANSWER_CHARACTERS = 500
#: The most words of an answer of a type; a list has them in each item.
_ANSWER_WORDS = {"entity": 15, "person": 10, "place": 15, "date": 12, "number": 8, "yes_no": 1, "text": 80, "list": 15}
_YEAR_OR_RANGE = re.compile(
    r"\b\d{3,4}s?\b|\b(?:\d{1,2}(?:st|nd|rd|th)|\w+teenth|twentieth|\w+-first)\s+century\b", re.I
)
_MONTH_OR_DAY = re.compile(
    r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})\b",
    re.I,
)
_THE = r"(?:the|this|that|these|those|both|your|our)(?: (?:two|three|first|second|last|same))?"
_GIVEN = r"(?:above|below|given|provided|supplied|retrieved|quoted|cited|attached|following|previous|preceding)"
#: Words that a question seldom has unless it looks at its author's notes, but for ``the passage of the bill``.
_NOTES = (
    r"(?:passage|paragraph|excerpt|snippet|trajectory|observation|evidence|context|tool (?:call|output|result|response)"
    r"|search results?|exploration|reasoning step)s?"
)
#: Words that a question may well have of its own: ``the document signed in 1776``, ``the text editor``.
_COMMON = (
    r"(?:document|text|article|page|source|information|data|table|figure|image|screenshot|conversation|answer|result)s?"
)
_SAID_BY = (
    r"(?:according to|based (?:only |solely )?(?:on|upon)|(?:stated|mentioned|described|shown|said|given|listed|found|discussed|referenced)"
    r" (?:in|by|on)|per|from|in)"
)
_ENDS = r"(?=\s*(?:[,?.!;:)]|$|(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|did|does|do)\b))"
_HIDDEN_CONTEXT = re.compile(
    "(?<!\\w)(?:"
    + "|".join(
        (
            rf"{_THE} (?:{_GIVEN} )?{_NOTES}(?!\w| (?:of|for|between|that|from|in|against)\b)",
            rf"{_THE} {_GIVEN} {_COMMON}",
            rf"{_THE} (?:{_NOTES}|{_COMMON}) {_GIVEN}",
            r"above[ -]mentioned",
            rf"{_GIVEN} (?:{_NOTES}|documents?|texts?)",
            rf"{_SAID_BY} {_THE} {_COMMON}{_ENDS}",
            r"search results?",
            r"(?:document|passage|snippet|source|hit|observation|hop|chunk) #?\[?\d+\]?",
            r"doc_id|chunk_id",
            r"(?<= )\[\d+\]",
        )
    )
    + ")(?!\\w)",
    re.IGNORECASE,
)


class Schema:
    """All parts are there, their lengths are sensible, and the answer fits its type.

    The question has 3 to 120 words and ends with a question mark or begins with a request; every reasoning step says
    something and has evidence, only the last may be a conclusion without; the answer type is one of `ANSWER_TYPES`.
    An answer type that is not given is filled in from the answer.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        problem = _question_problem(draft.question) or _steps_problem(draft)
        if problem:
            return GateOutcome(passed=False, reason=problem)
        answer_type = draft.answer_type or _inferred_type(draft.answer)
        problem = _answer_problem(draft.answer, answer_type)
        if problem:
            return GateOutcome(passed=False, reason=problem)
        reason = f"all parts are there and {draft.answer!r} is of type {answer_type}"
        return GateOutcome(passed=True, reason=reason, draft=evolve(draft, answer_type=answer_type))


def _question_problem(question: str) -> str:
    text = unicodedata.normalize("NFKC", question).strip()
    words = tokens(text)
    fewest, most = _QUESTION_WORDS
    if not fewest <= len(words) <= most or len(text) > _QUESTION_CHARACTERS:
        return f"the question has {len(words)} words and {len(text)} characters, not {fewest} to {most} words"
    asks = text.rstrip("\"'”’)]» ").endswith(("?", "؟"))
    if not asks and words[0] not in REQUESTS:
        return f"the question neither ends with a question mark nor begins with a request: {text[-40:]!r}"
    return ""


def _steps_problem(draft: QA) -> str:
    if not draft.reasoning_steps:
        return "there are no reasoning steps"
    last = len(draft.reasoning_steps)
    for number, step in enumerate(draft.reasoning_steps, 1):
        if not step.step.strip():
            return f"reasoning step {number} is empty"
        if not step.evidence and (number < last or last == 1):
            return f"reasoning step {number} has no evidence"
    return ""


def _inferred_type(answer: str) -> str:
    if normalize_answer(answer) in {"yes", "no"}:
        return "yes_no"
    if is_bare_number(answer):
        return "number"
    if len(dates(answer)) == 1 and len(tokens(answer)) <= 4:
        return "date"
    return "text"


def _answer_problem(answer: str, answer_type: str) -> str:
    if not answer.strip():
        return "there is no answer"
    if answer_type not in ANSWER_TYPES:
        return f"{answer_type!r} is no answer type; there is: {', '.join(ANSWER_TYPES)}"
    words = tokens(answer)
    most = _ANSWER_WORDS[answer_type] * (len(list_items(answer)) if answer_type == "list" else 1)
    if len(words) > most or len(answer) > _ANSWER_CHARACTERS:
        return f"the answer has {len(words)} words, too many for the type {answer_type}"
    if not _fits(answer, answer_type, words):
        return f"{answer!r} is not of the type {answer_type}"
    return ""


def _fits(answer: str, answer_type: str, words: list[str]) -> bool:
    if answer_type == "yes_no":
        return normalize_answer(answer) in {"yes", "no"}
    if answer_type == "number":
        return only_number(answer) is not None or (not numbers(answer) and not NUMBER_WORDS.isdisjoint(words))
    if answer_type == "date":
        return bool(dates(answer) or _YEAR_OR_RANGE.search(answer) or _MONTH_OR_DAY.search(answer))
    if answer_type == "list":
        return len(list_items(answer)) >= 2
    has_letter = any(character.isalpha() for character in answer)
    if answer_type in {"person", "place"}:
        # scripts without capitals have letters that are neither upper nor lower case
        named = any(character.isalpha() and not character.islower() for character in answer)
        return has_letter and named and normalize_answer(answer) not in {"yes", "no"}
    if answer_type == "entity":
        return bool(words) and normalize_answer(answer) not in {"yes", "no"}
    return bool(words) or bool(answer.strip())


class Leak:
    """Neither the answer nor an alias stands in the question, by whole words; an item of a list neither.

    Case, punctuation and articles do not count, a number counts by its value. Yes and no are exempt.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        if is_yes_no(draft):
            return GateOutcome(passed=True, reason="the answer is yes or no")
        forms = [*answer_forms(draft), *(list_items(draft.answer) if draft.answer_type == "list" else ())]
        for form in forms:
            if stands_in(form, draft.question):
                return GateOutcome(passed=False, reason=f"the question holds the answer {form!r}")
            value = only_number(form) if draft.answer_type == "number" else None
            if value is not None and any(number.value == value for number in numbers(draft.question)):
                return GateOutcome(passed=False, reason=f"the question holds the number {form!r}")
        return GateOutcome(passed=True, reason=f"the question does not hold {draft.answer!r}")


class SelfContained:
    """The question refers to nothing that only its author saw: no document above, no trajectory, no search result."""

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        if found := _HIDDEN_CONTEXT.search(draft.question):
            return GateOutcome(passed=False, reason=f"the question refers to a hidden context: {found[0]!r}")
        if named := next((node.id for node in context.path if node.id in draft.question), None):
            return GateOutcome(passed=False, reason=f"the question names the node {named}")
        return GateOutcome(passed=True, reason="the question refers to no hidden context")
