"""Put the columns of tables into English: what a cell of them is called, and how one asks for it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from attrs import frozen

from agentflow_core.text import numbers, tokens

if TYPE_CHECKING:
    from decimal import Decimal

    from agentflow_doc.offline.seen import TableSeen

__all__ = [
    "Column",
    "asked",
    "bridged",
    "columns_of",
    "greatest",
    "is_series",
    "lowered",
    "named",
    "noun_of",
    "value_of",
]

Kind = Literal["text", "number", "year"]

_UNIT: Final = re.compile(r"^(?P<base>.+?)\s*\((?P<unit>[^()]+)\)$")
_YEAR: Final = re.compile(r"1[5-9]\d\d|20\d\d")
_PARTICIPLES: Final = frozenset(
    [
        "bought",
        "built",
        "laid",
        "sold",
        "made",
        "held",
        "won",
        "sent",
        "paid",
        "kept",
        "found",
        "begun",
        "sunk",
        "cut",
        "known",
        "begun",
        "born",
        "lost",
    ]
)
_PREPOSITIONS: Final = frozenset(["from", "to", "by", "at", "in", "on", "of", "for", "with", "between", "per"])
_UNCOUNTED: Final = frozenset(["status", "process", "access", "address", "class", "works", "species", "series"])
_COUNTED: Final = frozenset(["people", "children"])
#: Columns whose numbers are names rather than amounts.
_ORDINAL: Final = frozenset(["no", "number", "rank", "id", "code", "page"])
_FEWEST_TO_RANK: Final = 3
_MOST_TO_RANK: Final = 40  # rows, all of which are quoted


@frozen(kw_only=True)
class Column:
    """A column: what its head says, and what its cells hold."""

    at: int
    head: str
    base: str  #: without the unit, in lower case unless it is a name
    unit: str
    kind: Kind

    @property
    def is_participle(self) -> bool:
        """``Opened``, ``Built``: what was done to the thing, in the year that the cell says."""
        return " " not in self.base and _is_participle(self.base)

    @property
    def is_noun(self) -> bool:
        """Whether ``the … of the ship`` reads well."""
        words = self.base.split()
        if not all(word.replace("-", "").replace("'", "").isalnum() for word in words):
            return False
        return not (_is_participle(words[0]) or words[0] in _PREPOSITIONS or words[-1] in _PREPOSITIONS)

    @property
    def is_count(self) -> bool:
        """Whether one asks ``how many``."""
        head = re.split(r" (?:in|of|at|per|with) ", self.base)[0].split()[-1]
        is_plural = (head.endswith("s") and not head.endswith("ss") and len(head) > 3) or head in _COUNTED
        return self.kind == "number" and not self.unit and is_plural and head not in _UNCOUNTED and self.is_noun


def _is_participle(word: str) -> bool:
    return (word.endswith("ed") and len(word) > 4) or word in _PARTICIPLES


def lowered(text: str) -> str:
    """The text as it stands inside a sentence: its first letter small, unless the word is an abbreviation."""
    return text if text[1:2].isupper() or text[1:2].isdigit() else f"{text[:1].lower()}{text[1:]}"


@lru_cache(maxsize=256)
def columns_of(table: TableSeen) -> tuple[Column, ...]:
    """The columns of a table, the first of which names what the rows are about."""
    return tuple(_column(table, at, head) for at, head in enumerate(table.columns))


def _column(table: TableSeen, at: int, head: str) -> Column:
    found = _UNIT.match(head)
    base, unit = (found["base"], found["unit"]) if found else (head, "")
    cells = [row.cells[at] for row in table.rows if row.cells[at]]
    kind: Kind = "text"
    if cells and not unit and all(_YEAR.fullmatch(cell) for cell in cells):
        kind = "year"
    elif cells and all(value_of(cell) is not None for cell in cells):
        kind = "number"
    return Column(at=at, head=head, base=lowered(base), unit=unit, kind=kind)


@lru_cache(maxsize=4096)
def value_of(cell: str) -> Decimal | None:
    """The number that a cell is; None if it is more or something else."""
    found = numbers(cell)
    return found[0].value if len(found) == 1 and found[0].text == cell.strip() else None


def is_series(table: TableSeen) -> bool:
    """Whether the columns behind the first one are years."""
    return len(table.columns) > 1 and all(_YEAR.fullmatch(name) for name in table.columns[1:])


def noun_of(table: TableSeen) -> str:
    """What the rows are called: ``harbour``."""
    return columns_of(table)[0].base


def named(noun: str, key: str) -> str:
    """The thing with its kind and name, its kind only where its name does not say it: ``the ship Kestrel``."""
    return key if set(noun.split()) & set(tokens(key)) else f"the {noun} {key}"


def bridged(column: Column, subject: str) -> str:
    """What the cell of a column is called: ``the home harbour of the ship Kestrel``."""
    return f"the {column.base} of {subject}" if column.is_noun else f'what "{column.head}" names for {subject}'


def asked(column: Column, subject: str) -> str:
    """The question for the cell of a column."""
    if column.kind == "year":
        if column.is_participle:
            return f"In which year was {subject} {column.base}?"
        return f'Which year is given under "{column.head}" for {subject}?'
    if column.is_count:
        return f"How many {column.base} does {subject} have?"
    if column.unit == "%":
        return f'What percentage is given under "{column.head.partition("(")[0].strip()}" for {subject}?'
    if not column.is_noun:
        return f'What is given under "{column.head}" for {subject}?'
    if column.kind == "number" and not column.unit:
        return f"What figure is given for the {column.base} of {subject}?"
    return f"What is the {column.base} of {subject}{f', in {column.unit}' if column.unit else ''}?"


def greatest(table: TableSeen, column: Column) -> list[tuple[str, int]]:
    """The rows that are alone in having most and least of something: what they are called, and where they stand."""
    if not table.is_whole or column.at == 0 or is_series(table):
        return []
    if not _FEWEST_TO_RANK <= len(table.rows) <= _MOST_TO_RANK:
        return []
    values = [value_of(row.cells[column.at]) for row in table.rows]
    if any(value is None for value in values) or column.base in _ORDINAL:
        return []
    if column.kind == "year":
        ways = [("that was {} last", max), ("that was {} first", min)] if column.is_participle else []
    elif column.is_count:
        ways = [("with the most {}", max), ("with the fewest {}", min)]
    else:
        reads_well = column.is_noun and column.unit and not column.base.split()[0].endswith("est")
        ways = [("with the greatest {}", max), ("with the least {}", min)] if reads_well else []
    found = []
    for words, choose in ways:
        best = choose(value for value in values if value is not None)
        if values.count(best) == 1:
            found.append((f"the {noun_of(table)} {words.format(column.base)}", values.index(best)))
    return found
