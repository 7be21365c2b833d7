"""Find what a question asks for in the facts of pages: from the names in it, along its words, to a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from agentflow_browser.offline.seen import entity
from agentflow_browser.offline.words import GREATEST, LEAST, MEANS, content, holds, number_word, stem, stems
from agentflow_core.prose import asks_yes_no
from agentflow_core.text import numbers, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from agentflow_browser.offline.pages import Fact, Row
    from agentflow_browser.offline.seen import Seen, Whole

__all__ = ["Answer", "Asked", "Reached", "amount", "answer", "reached"]

_DEEPEST: Final = 6
_PARTIAL: Final = 0.6  #: how sure a first place is of which not all rows were seen
_DIFFERENCE: Final = re.compile(
    r"\bdifference\b|\b(?:more|less|longer|shorter|heavier|lighter|taller)\b[^?]*\bthan\b", re.I
)
_SUM: Final = re.compile(r"\b(?:together|in total|altogether|sum)\b", re.IGNORECASE)
_LESS: Final = re.compile(r"\b(?:less|lower|smaller|cheaper|lighter|shorter|fewer|earlier|older)\b", re.IGNORECASE)
_MORE: Final = re.compile(
    r"\b(?:more|greater|higher|larger|heavier|longer|taller|later|dearer|younger)\b", re.IGNORECASE
)
_COUNT: Final = re.compile(r"\bhow many\b", re.IGNORECASE)


@frozen(kw_only=True)
class Answer:
    """A value, how sure the rules are of it (0 to 1), and why."""

    text: str = ""
    confidence: float = 0.0
    because: str = ""


@frozen(kw_only=True)
class Reached:
    """A name or value that the words of a question lead to."""

    text: str
    explained: frozenset[str]  #: the stems that led here
    sure: float = 1.0
    steps: tuple[str, ...] = ()
    used: tuple[str, ...] = ()  #: names of facts, so that none is used twice


class Asked:
    """The words of a question, and what they may mean."""

    def __init__(self, question: str, site: str = "") -> None:
        self.text = question.replace(site, " ") if site else question
        self.words = content(self.text)
        self.meanings = {
            word: {stem(word), *map(stem, filter(None, MEANS.get(word, ("",))[:1]))} for word in self.words
        }
        self.all = frozenset(each for found in self.meanings.values() for each in found)

    @property
    def way(self) -> str:
        """``greatest`` or ``least``, where it asks for an extreme."""
        for word in tokens(self.text):  # "most" says little, and is no word of content
            told = MEANS.get(word, ("", ""))[1]
            if told or word in GREATEST or word in LEAST:
                return told or ("greatest" if word in GREATEST else "least")
        return ""

    def has(self, name: str) -> bool:
        """Whether the question has all words of a label."""
        found = stems(name)
        return bool(found) and set(found) <= self.all

    def share(self, explained: frozenset[str]) -> float:
        """The share of its words that are explained, 0 to 1."""
        if not self.words:
            return 0.0
        return sum(bool(meaning & explained) for meaning in self.meanings.values()) / len(self.words)

    def of(self, *labels: str) -> frozenset[str]:
        """The stems of labels that stand in the question."""
        return frozenset(each for label in labels for each in stems(label)) & self.all


def answer(question: str, seen: Seen) -> Answer:
    """The best answer that the pages give; an empty one where they give none."""
    asked = Asked(question, seen.site)
    named = [name for name in seen.names.values() if holds(asked.text, name) and seen.about.get(entity(name))]
    if (compared := _compared(asked, named, seen)) is not None:
        return compared
    if _COUNT.search(question) and (counted := _counted(asked, seen)) is not None:
        return counted
    best = Answer()
    for each in reached(asked, seen):
        if not each.steps or holds(asked.text, each.text):
            continue
        confidence = asked.share(each.explained) * each.sure
        if confidence > best.confidence:
            best = Answer(text=each.text, confidence=confidence, because="; ".join(each.steps))
    return best


# ---- one value


def reached(asked: Asked, seen: Seen) -> list[Reached]:
    """All that the question leads to, in the order of the number of steps."""
    found: dict[tuple[str, frozenset[str]], Reached] = {}
    wave = list(_starts(asked, seen))
    for _ in range(_DEEPEST):
        following = []
        for each in wave:
            key = (entity(each.text), each.explained)
            if key not in found:
                found[key] = each
                following += list(_next(each, asked, seen))
        wave = following
    return list(found.values())


def _starts(asked: Asked, seen: Seen) -> Iterator[Reached]:
    for name in seen.names.values():
        if holds(asked.text, name):
            yield Reached(text=name, explained=frozenset(stems(name)))
    for table in seen.tables:
        yield from _rows_told(table, asked)
        if asked.way:
            yield from _extremes(table, asked, seen)


def _rows_told(table: Whole, asked: Asked) -> Iterator[Reached]:
    """Rows that a value in the question tells from all others."""
    for column in table.columns[1:]:
        values: dict[str, list[Row]] = {}
        for row in table.rows:
            values.setdefault(entity(row.cells[column].label), []).append(row)
        for rows in values.values():
            value = rows[0].cells[column].label
            if len(rows) > 1 or not holds(asked.text, value) or (len(value) < 3 and not asked.has(column)):
                continue
            yield Reached(
                text=rows[0].name,
                explained=frozenset(stems(value)) | asked.of(column, table.columns[0], table.caption),
                steps=(f"{column} {value} is that of {rows[0].name}",),
            )


def _extremes(table: Whole, asked: Asked, seen: Seen) -> Iterator[Reached]:
    """The row with the greatest or least value of what the question names: a column, or what the rows' pages tell."""
    if len(table.rows) < 2 or not asked.of(table.columns[0], table.caption):
        return
    told = [fact.name for row in table.rows[:1] for fact in seen.about.get(entity(row.name), ())]
    for name in dict.fromkeys((*table.columns[1:], *told)):
        if not asked.has(name):
            continue
        rows = [(value, row) for row in table.rows if (value := _amount_of(row, name, seen)) is not None]
        if len(rows) < len(table.rows):
            continue
        rows.sort(key=lambda each: each[0], reverse=asked.way == "greatest")
        if rows[0][0] == rows[1][0]:
            continue
        ways = (word for word in asked.words if word in GREATEST | LEAST)
        row = rows[0][1]
        yield Reached(
            text=row.name,
            explained=asked.of(name, table.columns[0], table.caption) | frozenset(map(stem, ways)),
            sure=1.0 if table.is_whole else _PARTIAL,
            steps=(f"{row.name} has the {asked.way} {name}: {rows[0][0]:f}",),
        )


def _amount_of(row: Row, name: str, seen: Seen) -> Decimal | None:
    if name in row.cells:
        return amount(row.cells[name].label)
    found = (fact.value for fact in seen.about.get(entity(row.name), ()) if fact.name == name)
    return next(filter(None, map(amount, found)), None)


def _next(each: Reached, asked: Asked, seen: Seen) -> Iterator[Reached]:
    """Values of facts that the question names, and rows of tables that the value stands in."""
    for fact in seen.about.get(entity(each.text), ()):
        if asked.has(fact.name) and fact.name not in each.used:
            yield evolve(
                each,
                text=fact.value,
                explained=each.explained | asked.of(fact.name, *_kind(fact)),
                steps=(*each.steps, f"{fact.subject}: {fact.name} is {fact.value}"),
                used=(*each.used, fact.name),
            )
    for table in seen.tables:
        if not asked.of(table.columns[0], table.caption):
            continue
        for column in table.columns[1:]:
            rows = [row for row in table.rows if entity(row.cells[column].label) == entity(each.text)]
            if len(rows) == 1:
                yield evolve(
                    each,
                    text=rows[0].name,
                    explained=each.explained | asked.of(column, table.columns[0], table.caption),
                    steps=(*each.steps, f"{column} {each.text} is that of {rows[0].name}"),
                )


def _kind(fact: Fact) -> tuple[str, ...]:
    return (fact.table.caption, fact.table.columns[0]) if fact.table is not None else ()


# ---- of two values, or of many


def amount(text: str) -> Decimal | None:
    """The number that a value is, with or without a unit; None for what has none or several."""
    found = numbers(text)
    return found[0].value if len(found) == 1 and len(text) <= 24 else None


def _compared(asked: Asked, named: Sequence[str], seen: Seen) -> Answer | None:
    """Which of two, whether more, by how much, or both together."""
    question = asked.text
    is_yes_no = asks_yes_no(question.strip()) or re.search(r",\s*(?:is|does|are|do)\b", question) is not None
    if is_yes_no and len(named) == 1 and (told := _is_told(asked, named[0], seen)) is not None:
        return told
    pairs = [name for name in named if not any(name != other and holds(other, name) for other in named)]
    pairs.sort(key=lambda name: question.casefold().find(name.casefold()))
    if len(pairs) != 2:
        return None
    for first in seen.about[entity(pairs[0])]:
        second = next((each for each in seen.about[entity(pairs[1])] if entity(each.name) == entity(first.name)), None)
        if second is None or not asked.has(first.name):
            continue
        left, right = amount(first.value), amount(second.value)
        if left is None or right is None:
            continue
        because = f"{first.subject}: {first.value}; {second.subject}: {second.value}"
        if is_yes_no and (_MORE.search(question) or _LESS.search(question)):
            holds_true = left < right if _LESS.search(question) else left > right
            return Answer(text="yes" if holds_true else "no", confidence=1.0, because=because)
        if _SUM.search(question):
            total = left * _count(pairs[0], question) + right * _count(pairs[1], question)
            return Answer(text=f"{total:f}", confidence=1.0, because=because)
        if _DIFFERENCE.search(question):
            return Answer(text=f"{abs(left - right):f}", confidence=1.0, because=because)
        if re.search(r"\bor\b|\bof the two\b", question):
            is_first = (left < right) == bool(_LESS.search(question) or asked.way == "least")
            return Answer(text=pairs[0] if is_first else pairs[1], confidence=1.0, because=because)
    return None


def _count(name: str, question: str) -> int:
    """How many of a thing are meant, by the word before it; one where that is no number."""
    before = tokens(question.partition(name)[0])
    return (number_word(before[-1]) if before else None) or 1


def _is_told(asked: Asked, name: str, seen: Seen) -> Answer | None:
    """Whether a value that is asked about is that of a fact."""
    rest = frozenset(asked.all - set(stems(name)))
    for fact in seen.about[entity(name)]:
        if set(stems(fact.value)) and set(stems(fact.value)) <= rest:
            return Answer(text="yes", confidence=0.9, because=f"{name}: {fact.name} is {fact.value}")
    for fact in seen.about[entity(name)]:
        if asked.has(fact.name):
            return Answer(text="no", confidence=0.9, because=f"{name}: {fact.name} is {fact.value}")
    return None


def _counted(asked: Asked, seen: Seen) -> Answer | None:
    """How many rows a table has, or how many of them have a value that the question names."""
    best: Answer | None = None
    for table in seen.tables:
        kind = asked.of(table.caption, table.columns[0])
        if not kind:
            continue
        sure = 1.0 if table.is_whole else _PARTIAL
        counts = {"": (len(table.rows), kind)}
        for column in table.columns[1:]:
            for row in table.rows:
                value = row.cells[column].label
                if holds(asked.text, value) and value not in counts:
                    same = sum(entity(each.cells[column].label) == entity(value) for each in table.rows)
                    counts[value] = (same, kind | frozenset(stems(value)) | asked.of(column))
        for value, (count, explained) in counts.items():
            confidence = asked.share(explained) * sure
            if best is None or confidence > best.confidence:
                because = f"{count} rows of {table.caption}{f' have {value}' if value else ''}"
                best = Answer(text=str(count), confidence=confidence, because=because)
    return best
