"""Find in a question what it names of the data: tables, columns, values, numbers, years."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agentflow_code.offline.plans import At
from agentflow_code.offline.words import stem, words_of
from agentflow_core.text import proper_names, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_code.offline.tables import Known

__all__ = ["Bound", "Named", "Question", "candidates", "read"]

_WORD: Final = re.compile(r"\d+(?:[.,]\d+)*|\w+")
_BOUNDS: Final = (
    (r"more than|over|above|greater than|longer than|higher than|larger than|at least", "more"),
    (r"less than|fewer than|under|below|shorter than|lower than|at most", "less"),
)
_NUMBER: Final = r"(?P<number>\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_YEAR: Final = re.compile(r"\b(?:in|of|during|from|year)\s+((?:19|20)\d\d)\b")
_NUMBERED: Final = re.compile(r"(?<!\w)[A-Z][\w'-]*(?: [A-Z][\w'-]*)* \d+(?!\w)")
_OPENING: Final = frozenset(
    {"how", "what", "which", "who", "in", "the", "of", "give", "find", "name", "list", "across"}
)


@frozen(kw_only=True)
class Named:
    """Something of the data that the question names, at a place among its words."""

    at: int
    length: int
    table: str
    column: str | None = None
    value: Any = None


@frozen(kw_only=True)
class Bound:
    """A number that something is, or is more or less than, and whether the number itself counts then."""

    at: int
    end: int
    operator: str
    value: float
    inclusive: bool


@frozen(kw_only=True)
class Question:
    """What was read."""

    words: tuple[str, ...]
    tables: tuple[Named, ...]
    columns: tuple[Named, ...]
    values: tuple[Named, ...]
    bounds: tuple[Bound, ...]
    years: tuple[tuple[int, int], ...]  #: place and year


def candidates(question: str) -> list[str]:
    """What could be a value in the data: what stands in quotation marks, and names."""
    names = [name for name in proper_names(question) if name.lower() not in _OPENING]
    whole = [f"The {name}" for name in names if f"The {name}" in question]  # names are told without their article
    return list(dict.fromkeys((*quoted(question), *whole, *names, *_NUMBERED.findall(question))))


def read(question: str, known: Known, found: Iterable[tuple[At, str]]) -> Question:
    """What the question names.

    Args:
        question: in English.
        known: the tables.
        found: texts that stand in both the question and the data, with their columns.
    """
    spans = [(match.start(), match.group()) for match in _WORD.finditer(question)]
    words = tuple(word.lower() for _, word in spans)
    stems = tuple(map(stem, words))
    values = _values(words, [*_sampled(known), *found])
    taken = {place for each in values for place in range(each.at, each.at + each.length)}
    tables = _longest(
        Named(at=at, length=len(noun), table=name)
        for name in known.tables
        for noun in [words_of(known.tables[name].noun)]
        for at in _places(stems, tuple(map(stem, noun)))
        if at not in taken
    )
    columns = _longest(
        Named(at=at, length=len(phrase), table=name, column=column.name)
        for name, table in known.tables.items()
        for column in table.columns
        if column.kind in ("number", "text", "date")
        for phrase in [words_of(column.name)]
        for at in _places(stems, tuple(map(stem, phrase)))
        if at not in taken
    )
    starts = [start for start, _ in spans]
    return Question(
        words=words,
        tables=tables,
        columns=columns,
        values=values,
        bounds=tuple(_bounds(question, starts)),
        years=tuple((_word_at(starts, match.start(1)), int(match.group(1))) for match in _YEAR.finditer(question)),
    )


def _sampled(known: Known) -> list[tuple[At, str]]:
    return [
        (At(table=table.name, column=column.name), value)
        for table in known.tables.values()
        for column in table.columns
        if column.kind == "text"
        for value in column.samples
        if isinstance(value, str)
    ]


def _values(words: tuple[str, ...], known: Iterable[tuple[At, str]]) -> tuple[Named, ...]:
    found = [
        Named(at=at, length=len(parts), table=where.table, column=where.column, value=value)
        for where, value in dict.fromkeys(known)
        for parts in [tuple(word.lower() for word in _WORD.findall(value))]
        for at in _places(words, parts)
    ]
    return _longest(found)


def _places(words: Sequence[str], part: tuple[str, ...]) -> list[int]:
    width = len(part)
    if not width:
        return []
    return [at for at in range(len(words) - width + 1) if tuple(words[at : at + width]) == part]


def _longest(found: Iterable[Named]) -> tuple[Named, ...]:
    """Those that are not within a longer one, by place; all that are equally long stay."""
    items = sorted(found, key=lambda each: (each.at, -each.length))
    return tuple(
        each
        for each in items
        if not any(
            other.length > each.length and other.at <= each.at and each.at + each.length <= other.at + other.length
            for other in items
        )
    )


def _bounds(question: str, starts: Sequence[int]) -> Iterable[Bound]:
    for pattern, operator in _BOUNDS:
        for match in re.finditer(rf"\b(?P<how>{pattern})\s+[$€£]?{_NUMBER}", question, re.IGNORECASE):
            value = float(match["number"].replace(",", ""))
            yield Bound(
                at=_word_at(starts, match.start()),
                end=_word_at(starts, match.start("number")) + 1,
                operator=operator,
                value=value,
                inclusive=match["how"].lower() in ("at least", "at most"),
            )
    for match in re.finditer(rf"\b(?:with|exactly|got|has|have)\s+(?:exactly\s+)?{_NUMBER}\s", question, re.IGNORECASE):
        end = _word_at(starts, match.start("number")) + 1
        yield Bound(at=end - 1, end=end, operator="is", value=float(match["number"].replace(",", "")), inclusive=False)


def _word_at(starts: Sequence[int], place: int) -> int:
    return next((number for number, start in enumerate(starts) if start >= place), len(starts))
