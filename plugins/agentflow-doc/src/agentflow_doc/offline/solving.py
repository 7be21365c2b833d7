"""Answer a question from documents: search it, read the pages, follow what their cells name, say what they tell."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.interfaces import Move
from agentflow_core.policies import undone
from agentflow_core.prose import DATE_OR_YEAR, asks_yes_no, content_words
from agentflow_core.records import Action
from agentflow_core.text import is_function_word, normalize, numbers, stands_in, tokens
from agentflow_doc.offline.deriving import derive
from agentflow_doc.offline.knowledge import Knowledge
from agentflow_doc.offline.seen import OUTLINE, READ, SEARCH, Seen, owner, seen_in_steps
from agentflow_doc.offline.wording import columns_of, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from agentflow_core.records import SolveInputs
    from agentflow_doc.offline.deriving import Derived

__all__ = ["solve"]

_HITS: Final = 6
_AT_ONCE: Final = 5
_READ_MOST: Final = 16
_LIKELIEST: Final = 5
_SURE: Final = 0.85
_TOO_UNSURE: Final = 0.4
_NONE: Final = "Not answerable"
_NO_CONFIDENCE: Final = 0.02
_AMOUNT: Final = re.compile(r"\bhow (?:many|much|long|high|deep|tall|far|large|big|old)\b|\bpercentage\b|, in ", re.I)
_WHEN: Final = re.compile(r"\bwhen\b|\b(?:which|what) (?:year|month|date|day)\b", re.I)
_BY_HOW_MUCH: Final = re.compile(
    r"\bhow (?:many|much) (?:more|fewer|less)\b|\bby how (?:many|much)\b|\bdifference\b", re.I
)
_YEAR: Final = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_LESS: Final = re.compile(r"\b(?:fewer|less|lower|smaller|shorter)\b", re.I)
_SENTENCE_SHARE: Final = 0.8
_LESS_LIKELY: Final = 0.6


@frozen(kw_only=True)
class Answer:
    """An answer, how sure the rules are of it (0 to 1), and what it rests on."""

    text: str
    confidence: float
    because: str = ""
    met: tuple[str, ...] = ()  #: the things by which it was found


def solve(inputs: SolveInputs) -> Move:
    """The next calls, or the answer; on the last turn always an answer, which may be that there is none."""
    seen = seen_in_steps(inputs.steps)
    known = Knowledge(seen, with_charts=True)
    ranked = _ranked(inputs.question, seen, known)
    best = ranked[0]
    if inputs.turn < inputs.max_turns - 1 and best.confidence < _SURE:
        for wanted in _next(inputs.question, seen, known, ranked):
            if actions := undone(wanted, inputs):
                return Move(actions=tuple(actions[:_AT_ONCE]), reasoning=actions[0].intent)
    if best.confidence < _TOO_UNSURE:
        return Move(answer=_NONE, confidence=_NO_CONFIDENCE, reasoning="Nothing that was read tells it.")
    return Move(answer=best.text, confidence=best.confidence, reasoning=best.because)


# ---- what to do next


def _next(question: str, seen: Seen, known: Knowledge, ranked: Sequence[Answer]) -> Iterator[Iterator[Action]]:
    """What to do now, else what to do instead."""
    yield _to_begin(question)
    if len(seen.read) < _READ_MOST:
        yield _to_read(question, seen)
        yield _to_follow(question, seen, known, ranked)


def _to_begin(question: str) -> Iterator[Action]:
    yield Action(tool=SEARCH, params={"query": question, "k": _HITS}, intent="Search for the question.")
    yield Action(tool=OUTLINE, params={}, intent="See how the documents are arranged.")


def _to_read(question: str, seen: Seen) -> Iterator[Action]:
    """Pages that searches found, and the documents of those that the question names."""
    for doc, page in seen.hits:
        if (doc, page) not in seen.read:
            yield _read(seen, doc, page)
    for doc, title in seen.titles.items():
        if stands_in(owner(title), question):
            params = {"query": question, "doc": doc, "k": 3}
            yield Action(tool=SEARCH, params=params, intent=f"Search {title} for the question.")
            # from behind: figures of a whole organisation stand at the end as a rule
            for one in reversed(seen.sections.get(doc, [])):
                if (doc, one.page) not in seen.read:
                    yield _read(seen, doc, one.page)


def _to_follow(question: str, seen: Seen, known: Knowledge, ranked: Sequence[Answer]) -> Iterator[Action]:
    """Search for what the cells name of rows that the question leads to; at last for its words alone."""
    plain = f" {' '.join(tokens(question))} "
    names = {normalize(name) for one in ranked[:_LIKELIEST] for name in (one.text, *one.met)}
    owners = {
        word for title in seen.titles.values() for word in tokens(owner(title)) if stands_in(owner(title), question)
    }
    rest = [word for word in tokens(question) if not is_function_word(word)]
    asked = " ".join(word for word in rest if word not in owners)
    for table in known.tables:
        for row in table.rows:
            is_named = f" {' '.join(tokens(row.cells[0]))} " in plain or normalize(row.cells[0]) in names
            for column in columns_of(table)[1:]:
                cell = row.cells[column.at]
                if is_named and column.kind == "text" and not known.is_known(cell):
                    intent = f"Find out more about {cell}, which is the {column.base} of {row.cells[0]}."
                    yield Action(tool=SEARCH, params={"query": f"{cell} {column.base}", "k": 3}, intent=intent)
                    yield Action(tool=SEARCH, params={"query": f"{cell} {asked}", "k": 3}, intent=intent)
    params = {"query": " ".join(rest), "k": 2 * _HITS}
    yield Action(tool=SEARCH, params=params, intent="Search for the words of the question.")


def _read(seen: Seen, doc: str, page: int) -> Action:
    intent = f"Read page {page} of {seen.titles.get(doc, doc)}."
    return Action(tool=READ, params={"doc": doc, "pages": str(page)}, intent=intent)


# ---- what is the answer


def _ranked(question: str, seen: Seen, known: Knowledge) -> list[Answer]:
    """The answers, best first; the last one is none."""
    found = [*_by_tables(question, known), *_by_sentences(question, seen)]
    return [*sorted(found, key=lambda one: -one.confidence), Answer(text="", confidence=0.0)]


def _by_tables(question: str, known: Knowledge) -> Iterator[Answer]:
    """The answers of derived questions, by how much those are like the question."""
    derived = [one for one in derive(known, question) if _fits_names(one, question)]
    bags = [(set(content_words(one.question)), set(content_words(one.words))) for one in derived]
    asked = set(content_words(question))
    weight = _rarity([words for words, _ in bags])
    total = math.fsum(sorted(weight(word) for word in asked)) or 1.0
    for one, (words, around) in zip(derived, bags, strict=True):
        shared = math.fsum(sorted(weight(word) for word in asked & words))
        beside = math.fsum(sorted(weight(word) for word in asked & around - words))
        strange = math.fsum(sorted(weight(word) for word in words - asked))
        confidence = 0.7 * (shared + beside / 2) / total + 0.3 * shared / ((shared + strange) or 1.0)
        confidence *= _likelihood(question, one)
        answer = one.answer
        if one.family == "comparison" and _LESS.search(question):
            answer = "no" if answer == "yes" else "yes"
        yield Answer(
            text=answer, confidence=confidence, because=" ".join(step.step for step in one.steps), met=one.hidden
        )


def _fits_names(derived: Derived, question: str) -> bool:
    """Whether the question names what the derived one names, in its order where that decides the answer."""
    if any(stands_in(name, question) for name in derived.hidden) and not derived.named:
        return False
    places = [normalize(question).find(normalize(name)) for name in derived.named]
    return -1 not in places and (derived.family != "comparison" or places == sorted(places))


def _likelihood(question: str, derived: Derived) -> float:
    """How well the kind of the answer fits the question, 0 to 1, and whether all years of the question are met."""
    if _BY_HOW_MUCH.search(question) and derived.family != "difference":
        return _LESS_LIKELY
    held = (
        f"{derived.question} {derived.words} {' '.join(item.quote for step in derived.steps for item in step.evidence)}"
    )
    if any(year not in held for year in _YEAR.findall(question)):
        return _LESS_LIKELY / 2
    is_yes_no = asks_yes_no(question)
    if is_yes_no != (derived.answer_type == "yes_no"):
        return 0.0
    is_number = value_of(derived.answer) is not None
    if _WHEN.search(question):
        return 1.0 if derived.answer_type == "date" else _LESS_LIKELY
    if _AMOUNT.search(question):
        return 1.0 if is_number and derived.answer_type != "date" else _LESS_LIKELY
    if re.match(r"(?:which|who)\b", question, re.IGNORECASE):
        return _LESS_LIKELY if is_number else 1.0
    return 1.0


def _rarity(texts: Sequence[AbstractSet[str]]) -> Callable[[str], float]:
    """How much a word tells, by how few of the texts have it."""
    counts = Counter(word for words in texts for word in words)
    return lambda word: math.log(2 + len(texts) / (1 + counts[word]))


def _by_sentences(question: str, seen: Seen) -> Iterator[Answer]:
    """Spans of sentences that share the most with the question."""
    if asks_yes_no(question):
        return
    asked = set(content_words(question))
    bags = [set(content_words(one.text)) for one in seen.sentences]
    weight = _rarity(bags)
    total = math.fsum(sorted(weight(word) for word in asked)) or 1.0
    pages: dict[tuple[str, int], set[str]] = {}
    for one, words in zip(seen.sentences, bags, strict=True):
        pages.setdefault((one.doc, one.page), set()).update(words)
    for one, words in zip(seen.sentences, bags, strict=True):
        shared = math.fsum(sorted(weight(word) for word in asked & words))
        near = math.fsum(sorted(weight(word) for word in asked & pages[one.doc, one.page] - words))
        for span, near_by in _spans(question, one.text, asked):
            confidence = _SENTENCE_SHARE * (shared + near / 2) / total + near_by
            yield Answer(text=span, confidence=min(confidence, _SURE - 0.01), because=one.text)


def _spans(question: str, sentence: str, asked: set[str]) -> Iterator[tuple[str, float]]:
    """Dates or numbers of a sentence that the question does not hold, and what speaks for each beside the sentence."""
    if _WHEN.search(question):
        for found in DATE_OR_YEAR.finditer(sentence):
            if not stands_in(found[0], question):
                yield found[0], 0.0
    elif _AMOUNT.search(question):
        for number in numbers(sentence):
            if not stands_in(number.text, question):
                after = content_words(sentence[number.end :])[:2]
                yield number.text, 0.1 * len(asked & set(after)) - 0.05
