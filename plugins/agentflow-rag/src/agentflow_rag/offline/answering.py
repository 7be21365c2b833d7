"""Find the best supported answer to a question in documents that were read."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from agentflow_core.prose import DATE_OR_YEAR, asks_yes_no, content_words, mentions_name, sentences
from agentflow_core.text import contains, dates, proper_names, quoted
from agentflow_rag.offline.asking import facts
from agentflow_rag.offline.comparing import comparisons
from agentflow_rag.offline.profiles import profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentflow_rag.offline.profiles import Profile
    from agentflow_rag.offline.reading import TextRead

__all__ = ["Answer", "answer"]

Kind = Literal["yes_no", "choice", "year", "date", "number", "person", "place", "name"]

_CHOICE = re.compile(
    r"(?:,|:|\b(?:between|of)) (?:the )?(?P<first>[A-Z\"][^,?]*?),? or (?:the )?(?P<second>[A-Z\"][^,?]*)\??$"
)
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (
        re.compile(
            r"\bhow (?:many|much|long|high|tall|old|far)\b|\b(?:population|atomic number|length|diameter) of\b", re.I
        ),
        "number",
    ),
    (re.compile(r"\b(?:what|which) years?\b|\bwhat timeframe\b|\bduring which years\b", re.I), "year"),
    (re.compile(r"\bwhen\b|\b(?:what|which) (?:date|day|month)\b", re.I), "date"),
    (
        re.compile(
            r"\bwho(?:se|m)?\b|\bwhich (?:\w+ )?(?:person|actor|actress|president|man|woman|player|pilot|director)\b",
            re.I,
        ),
        "person",
    ),
    (
        re.compile(
            r"\bwhere\b|\b(?:what|which) (?:\w+ ){0,2}(?:city|town|country|county|state|place|island|region|river|body of water)\b",
            re.I,
        ),
        "place",
    ),
)
_YEAR = re.compile(r"\b[12]\d{3}(?: (?:to|until|and|–|-) [12]\d{3})?\b")
_NUMBER = re.compile(
    r"\b\d[\d,]*(?:\.\d+)?(?: million| billion)?\b|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
)
_COMMON_KIND = frozenset(["city", "river", "country", "capital", "person", "man", "woman"])


@frozen(kw_only=True)
class Answer:
    """A span, how sure the rules are of it (0 to 1), and the sentence it rests on."""

    text: str
    confidence: float
    because: str = ""


def answer(question: str, read: Sequence[TextRead]) -> Answer:
    """The best span in what was read; the empty answer with no confidence if nothing fits."""
    profiles = [profile(text) for text in read]
    if asks_yes_no(question):
        return _yes_or_no(question, profiles)
    if choice := _CHOICE.search(question):
        return _chosen(question, choice["first"].strip(' "?'), choice["second"].strip(' "?'), profiles)
    kind = _expected(question)
    by_fact = max(_by_facts(question, profiles), key=lambda item: item.confidence, default=None)
    by_sentence = max(_by_sentences(question, kind, read), key=lambda item: item.confidence, default=None)
    found = [item for item in (by_fact, by_sentence) if item is not None]
    return max(found, key=lambda item: item.confidence, default=Answer(text="", confidence=0.0))


def _expected(question: str) -> Kind:
    return next((kind for pattern, kind in _KINDS if pattern.search(question)), "name")


def _by_facts(question: str, profiles: Sequence[Profile]) -> Iterator[Answer]:
    """Facts whose own question is part of the question, of documents that fit its description."""
    asked = content_words(question)
    have = set(asked)
    weights = _rarity([item.text for item in profiles])
    for item in profiles:
        context = " ".join(
            other.text for other in profiles if other is not item and mentions_name(item.name, other.text)
        )
        explained = set(content_words(f"{item.text} {context}"))
        for fact in facts(item):
            template = content_words(fact.question.replace("{}", " "))
            opening = fact.question.split("{}")[0].split()[:2]
            if fact.answer in question or not template or not set(template) <= have:
                continue
            if fact.question.startswith("{}") or [word.casefold() for word in opening][:1] == []:
                opens = 0.0
            else:
                opens = 0.25 if " ".join(opening).casefold() in question.casefold() else 0.0
            rest = [word for word in asked if word not in template]
            total = sum(weights.get(word, 4.0) for word in rest) or 1.0
            fits = sum(weights.get(word, 4.0) for word in rest if word in explained) / total
            is_named = 0.0 if contains(question, item.name) else 0.08
            kind = item.kind is not None and contains(question, item.kind.head)
            confidence = 0.1 + 0.45 * fits + opens + is_named + 0.1 * kind
            yield Answer(text=fact.answer, confidence=min(confidence, 0.99), because=fact.sentence)


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    counts = Counter(word for text in texts for word in set(content_words(text)))
    return {word: math.log(1 + len(texts) / count) for word, count in counts.items()}


def _by_sentences(question: str, kind: Kind, read: Sequence[TextRead]) -> Iterator[Answer]:
    """Spans of the expected kind in the sentences that share the most with the question."""
    rows = [(text, sentence) for text in read for sentence in sentences(text.text)]
    weights = _rarity([sentence for _, sentence in rows])
    asked = set(content_words(question))
    total = math.fsum(weights.get(word, 0.0) for word in asked) or 1.0  # exact, whatever the order of the set
    for text, sentence in rows:
        shared = math.fsum(weights.get(word, 0.0) for word in asked & set(content_words(f"{text.name} {sentence}")))
        for place, span in enumerate(_spans(kind, text, sentence, question)):
            yield Answer(text=span, confidence=0.75 * shared / total - 0.01 * min(place, 9), because=sentence)


def _spans(kind: Kind, text: TextRead, sentence: str, question: str) -> Iterator[str]:
    found: list[str]
    if kind == "year":
        found = _YEAR.findall(sentence)
    elif kind == "date":
        found = DATE_OR_YEAR.findall(sentence)
    elif kind == "number":
        found = _NUMBER.findall(sentence)
    else:
        found = [text.name, *quoted(sentence), *proper_names(sentence)]
        if kind == "person":
            found = [name for name in found if 2 <= len(name.split()) <= 5 or name == text.name]
        if kind == "place":
            after = re.findall(
                r"\b(?:in|at|on|of|into|near) (?:the )?([A-Z][\w'’-]+(?:(?: |, )[A-Z][\w'’-]+)*)", sentence
            )
            found = [*after, *found]
    for span in dict.fromkeys(found):
        if not contains(question, span) and len(span) > 1:
            yield span


def _yes_or_no(question: str, profiles: Sequence[Profile]) -> Answer:
    named = [item for item in profiles if contains(question, item.name)]
    for left in named:
        for right in named:
            for made in comparisons(left, right) if left is not right else ():
                if content_words(made.question) == content_words(question):
                    return Answer(text=made.answer, confidence=0.9, because=made.steps[0].step)
    kinds = [item.kind.phrase.split() for item in named if item.kind is not None]
    if "same" in question and len(kinds) >= 2:
        nations = [{word for word in words if re.fullmatch(r"[A-Z]\w+(?:an|ish|ese|ch)", word)} for words in kinds]
        return Answer(text="yes" if nations[0] & nations[1] else "no", confidence=0.6)
    asked = content_words(question)
    supported = [sum(word in set(content_words(item.text)) for word in asked) / max(1, len(asked)) for item in named]
    both = len(supported) >= 2 and min(supported) >= 0.25
    return Answer(text="yes" if both else "no", confidence=0.4)


def _chosen(question: str, first: str, second: str, profiles: Sequence[Profile]) -> Answer:
    """One of two that are named: by dates for older, younger, earlier and later; else by shared words."""
    pair = [
        next((item for item in profiles if contains(name, item.name) or contains(item.name, name)), None)
        for name in (first, second)
    ]
    if re.search(r"\b(?:older|first|earlier|younger|later|longer)\b", question) and all(pair):
        years = [_first_year(item.text) for item in pair if item is not None]
        if years[0] and years[1] and years[0] != years[1]:
            wants_late = re.search(r"\b(?:younger|later)\b", question) is not None
            return Answer(text=second if (years[0] < years[1]) == wants_late else first, confidence=0.8)
    asked = set(content_words(question)) - set(content_words(f"{first} {second}"))
    shared = [len(asked & set(content_words(item.text))) if item is not None else -1 for item in pair]
    return Answer(text=first if shared[0] >= shared[1] else second, confidence=0.5)


def _first_year(text: str) -> int | None:
    found = dates(text[:300])
    if found and found[0].year:
        return found[0].year
    year = re.search(r"\b1[0-9]\d\d\b|\b20\d\d\b", text[:300])
    return int(year[0]) if year else None
