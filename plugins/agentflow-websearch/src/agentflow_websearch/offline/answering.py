"""Find the best supported answer along the pages that were read: from one that the question names to one that answers it."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from agentflow_core.prose import DATE_OR_YEAR, MONTH, asks_yes_no, content_words, is_named_in, mentions_name, name_key
from agentflow_core.text import numbers, proper_names
from agentflow_websearch.offline.asking import facts
from agentflow_websearch.offline.chains import phrases, ways, whole_pages
from agentflow_websearch.offline.portraits import Portrait, plain, portrait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentflow_websearch.offline.pages import Page

__all__ = ["Answer", "answer"]

Expected = Literal["yes_no", "year", "date", "month", "number", "name", "thing"]

_EXPECTED: tuple[tuple[re.Pattern[str], Expected], ...] = (
    (re.compile(r"\b(?:what|which) month\b", re.I), "month"),
    (re.compile(r"\b(?:what|which) (?:is the )?year\b|\bwhat is the year\b", re.I), "year"),
    (re.compile(r"\bhow (?:many|much|long|high|tall|old|far|wide|deep|large|big)\b", re.I), "number"),
    (re.compile(r"\b(?:number|population|length|height|depth|area) of\b", re.I), "number"),
    (re.compile(r"\bwhen\b|\b(?:what|which) date\b", re.I), "date"),
    (re.compile(r"\bknown for\b|\bfor what\b|\bformer\b", re.I), "thing"),
)
_SPANS = {
    "year": re.compile(r"\b[12]\d{3}\b"),
    "month": re.compile(rf"\b(?:{MONTH})\b"),
    "date": DATE_OR_YEAR,
    "number": re.compile(r"(?<![\w-])\d[\d,]*(?:\.\d+)?(?![\w-]| %)"),
    "thing": re.compile(r"(?<=known for its )[a-z ]+|(?<=in a former )[a-z ]+"),
}
_ASKED_KIND = re.compile(
    r"^(?:[A-Z][a-z]+ )?(?:which|what) (?!(?:is|are|was|were|does|did|do|has|had|the|an?) )(?P<kind>(?:[a-z-]+ ){0,3}?[a-z-]+?)"
    r" (?:is|was|are|were|does|did|do|has|had|in|on|of|that|[a-z]+s|[a-z]+ed|built)\b",
    re.IGNORECASE,
)
_PER_HOP = 0.03
_ASKED = 0.04  #: for the answer of a fact that is asked in the question's own words
_KIND_FITS, _KIND_MISSED = 0.07, 0.15  #: for ``which company``
_UNREAD, _UNREAD_WANTED = 0.01, 0.06  #: for a name of which no page was read
_ON_THE_WAY = 0.1
_SPOTS_MOST = 60  #: of a page
#: Stems of verbs that say little of what is asked.
_LIGHT = frozenset(["lie", "hold", "tak", "plac", "keep", "com", "stand", "call", "nam"])
_LIGHT_WEIGHT = 0.3


@frozen(kw_only=True)
class Answer:
    """A span, how much of the question its pages explain (0 to 1), and the sentence it rests on."""

    text: str
    confidence: float
    because: str = ""


@frozen(kw_only=True)
class _Spot:
    """A span that may be the answer, and the words of the question that are said beside it."""

    text: str
    sentence: str
    explained: frozenset[str]
    fits: float


def answer(question: str, pages: Sequence[Page]) -> Answer:
    """The best span in what was read; the empty answer with no confidence if nothing fits."""
    subjects = [portrait(page) for page in whole_pages(pages)]
    if not subjects:
        return Answer(text="", confidence=0.0)
    if asks_yes_no(question):
        return _yes_or_no(question, subjects)
    expected: Expected = next((kind for pattern, kind in _EXPECTED if pattern.search(question)), "name")
    weights = _weights(question, subjects)
    best = max(
        _answers(question, expected, subjects, weights), key=lambda item: (item.confidence, item.text), default=None
    )
    return best or Answer(text="", confidence=0.0)


def _weights(question: str, subjects: Sequence[Portrait]) -> dict[str, float]:
    """How much each word of the question counts: those that stand on few pages count more."""
    having = Counter(
        word for item in subjects for word in set(content_words(plain(item.page.text)) + content_words(item.name))
    )
    return {
        word: math.log(1 + (1 + len(subjects)) / (0.5 + having[word])) * (_LIGHT_WEIGHT if word in _LIGHT else 1.0)
        for word in dict.fromkeys(content_words(question))
    }


def _answers(
    question: str, expected: Expected, subjects: Sequence[Portrait], weights: dict[str, float]
) -> Iterator[Answer]:
    total = math.fsum(weights.values()) or 1.0
    asked = _ASKED_KIND.search(question)
    wanted = set(content_words(asked["kind"])) if asked else set()
    kinds = {name_key(item.name): () if item.kind is None else content_words(item.kind.phrase) for item in subjects}

    def suits(name: str) -> float:
        """How well a name answers, by what the page of that name says it is, if it was read.

        ``Which company`` asks for a company; else ``the company that …`` is on the way to the answer, not the answer.
        """
        kind = kinds.get(name_key(name))
        if kind is None:
            return -_UNREAD_WANTED if wanted else -_UNREAD
        if wanted:
            return -_KIND_MISSED if wanted.isdisjoint(kind) else _KIND_FITS
        return -_ON_THE_WAY if kind and kind[-1] in weights else 0.0

    found = {item.page.key: _spots(question, expected, item, weights) for item in subjects}

    def sure(explained: frozenset[str], hops: int, more: float) -> float:
        shared = math.fsum(weight for word, weight in weights.items() if word in explained)
        return min(0.99, max(0.0, shared / total - _PER_HOP * hops + more))

    for way in ways(question, subjects, frozenset(weights)):
        last = way.last
        is_named = is_named_in(last.name, question)
        if expected == "name" and not is_named:
            fits = suits(last.name)
            yield Answer(text=last.name, confidence=sure(way.explained, way.hops, fits), because=plain(last.first))
        if way.hops == 1 or not is_named:
            for spot in found[last.page.key]:
                fits = spot.fits + (suits(spot.text) if expected == "name" else 0.0)
                confidence = sure(way.explained | spot.explained, way.hops, fits)
                yield Answer(text=spot.text, confidence=confidence, because=plain(spot.sentence))


def _spots(question: str, expected: Expected, subject: Portrait, weights: dict[str, float]) -> list[_Spot]:
    """Where the page may have the answer, those first whose words share most with the question."""
    found = []
    for phrase, sentence in phrases(subject):
        explained = frozenset(weights).intersection(content_words(phrase))
        for span in _spans(expected, phrase, subject, question):
            fits = _ASKED if _is_asked(question, span, subject, sentence) else 0.0
            found.append(_Spot(text=span, sentence=sentence, explained=explained, fits=fits))
    return sorted(found, key=lambda spot: -len(spot.explained))[:_SPOTS_MOST]


def _is_asked(question: str, span: str, subject: Portrait, sentence: str) -> bool:
    """Whether the page's own fact with this answer is asked in the words of the question."""
    have = set(content_words(question))
    return any(
        fact.answer == span
        and fact.sentence == sentence
        and set(content_words(fact.question.replace("{}", ""))) <= have
        for fact in facts(subject)
    )


def _spans(expected: Expected, phrase: str, subject: Portrait, question: str) -> Iterator[str]:
    if expected in _SPANS:
        found = _SPANS[expected].findall(phrase)
        if expected == "number":
            found = [
                span
                for span in found
                if not re.search(rf"\b(?:in|since|of|until|from) {re.escape(span)}(?!\d| )(?:$|\W)", phrase)
                or "," in span
            ]
    else:
        links = [text for text, _ in subject.page.links]
        known = (next((text for text in links if name.endswith(f" {text}")), name) for name in proper_names(phrase))
        found = [name for name in known if name_key(name) != name_key(subject.name)]
        # the first word of a sentence has its capital from there
        found = [name for name in found if name in links or " " in name or not phrase.startswith(name)]
    for span in dict.fromkeys(found):
        if not mentions_name(span, question):
            yield span.strip()


def _yes_or_no(question: str, subjects: Sequence[Portrait]) -> Answer:
    """Compare the two that the question names by the fact that it asks for."""
    named = [item for item in subjects if is_named_in(item.name, question)]
    asked = content_words(question)
    for left in named:
        for right in named:
            theirs = {fact.compared: fact for fact in facts(right) if fact.compared}
            for fact in facts(left):
                other = theirs.get(fact.compared)
                if left is right or other is None:
                    continue
                if content_words(fact.compared.format(left=left.name, right=right.name)) != asked:
                    continue
                values = [numbers(item.answer)[0].value for item in (fact, other)]
                said = f"{plain(fact.sentence)} {plain(other.sentence)}"
                return Answer(text="yes" if values[0] > values[1] else "no", confidence=0.95, because=said)
    return Answer(text="no", confidence=0.2 if len(named) >= 2 else 0.1)
