"""Think of questions that the tables and sentences that were seen answer, each with its answer and its steps."""

from __future__ import annotations

import re
from itertools import islice, permutations
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.records import ReasoningStep
from agentflow_core.text import normalize, tokens
from agentflow_doc.offline.seen import owner
from agentflow_doc.offline.subjects import (
    around,
    capitalized,
    is_met,
    plain_subjects,
    step_of,
    subjects_over,
    told_subjects,
)
from agentflow_doc.offline.wording import asked, columns_of, is_series, lowered, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentflow_doc.offline.knowledge import Knowledge
    from agentflow_doc.offline.markdown import Row
    from agentflow_doc.offline.seen import TableSeen
    from agentflow_doc.offline.subjects import Subject
    from agentflow_doc.offline.wording import Column

__all__ = ["Derived", "derive"]

_IN_YEAR: Final = re.compile(r" in (?P<year>1[5-9]\d\d|20\d\d)$")
_LONGEST_CELL: Final = 60
#: Many large tables that name each other have more questions than anybody needs.
_MOST: Final = 20_000


@frozen(kw_only=True)
class Derived:
    """A question, its answer, and the steps that lead to it."""

    question: str
    answer: str
    answer_type: str
    family: str
    steps: tuple[ReasoningStep, ...]
    places: tuple[tuple[str, int], ...]
    hidden: tuple[str, ...] = ()
    named: tuple[str, ...] = ()  #: things that it names, in order
    words: str = ""


def derive(known: Knowledge, question: str | None = None) -> Iterator[Derived]:
    """Questions, the plainer ones first; with a question given, only those that name nothing that it does not name."""
    return islice(_derive(known, question), _MOST)


def _derive(known: Knowledge, question: str | None) -> Iterator[Derived]:
    words = None if question is None else f" {' '.join(tokens(question))} "
    plain = [one for one in plain_subjects(known) if words is None or f" {' '.join(tokens(one.entity))} " in words]
    told = list(told_subjects(known))
    first = [*subjects_over(known, plain), *subjects_over(known, told)]
    for subject in (*plain, *told, *first):
        yield from _finals(known, subject)
    yield from _names(told)
    yield from _comparisons(known)
    for subject in subjects_over(known, first):
        yield from _finals(known, subject)


def _finals(known: Knowledge, subject: Subject) -> Iterator[Derived]:
    """What tables tell of a subject."""
    for table, row in known.rows.get(normalize(subject.entity), ()):
        for column in columns_of(table)[1:]:
            value = row.cells[column.at]
            if not _is_answer(value) or is_met(subject, value):
                continue
            if is_series(table):
                about = lowered(table.caption) if table.caption else owner(table.title)
                question = f"What figure is given for {subject.text} in {column.head} ({about})?"
            else:
                question = _dated(asked(column, subject.text), column, table)
            yield _final(subject, question, value, column, table, row)
    for table in known.owners.get(normalize(subject.entity), ()):
        for row in table.rows:
            for column in columns_of(table)[1:]:
                value = row.cells[column.at]
                if value_of(value) is not None:
                    question = f"What figure does {subject.text} give for {lowered(row.cells[0])} in {column.head}?"
                    yield _final(subject, question, value, column, table, row)


def _dated(question: str, column: Column, table: TableSeen) -> str:
    """The question for a number with the year that the table's caption ends with."""
    found = _IN_YEAR.search(table.caption)
    if found is None or column.kind != "number" or column.unit or found["year"] in question:
        return question
    return f"{question.removesuffix('?')} in {found['year']}?"


def _final(subject: Subject, question: str, value: str, column: Column, table: TableSeen, row: Row) -> Derived:
    said = f"For {row.cells[0]}, {column.head} is {value}."
    answer_type = "date" if column.kind == "year" else "number" if value_of(value) is not None else "entity"
    return Derived(
        question=capitalized(question),
        answer=value,
        answer_type=answer_type,
        family=subject.family,
        steps=(*subject.steps, step_of(said, table, (table.head.quote, row.quote))),
        places=(*subject.places, (table.doc, table.page)),
        hidden=subject.hidden,
        named=subject.named,
        words=f"{subject.words} {around(table)}",
    )


def _names(subjects: Iterable[Subject]) -> Iterator[Derived]:
    """Which thing it is that is described."""
    for subject in subjects:
        yield Derived(
            question=f"Which is {subject.text}?",
            answer=subject.entity,
            answer_type="entity",
            family=subject.family,
            steps=subject.steps,
            places=subject.places,
            hidden=subject.hidden,
            words=subject.words,
        )


def _comparisons(known: Knowledge) -> Iterator[Derived]:
    """Which of two organisations has more of what both measure, and by how much."""
    tables = [tables[0] for _, tables in sorted(known.owners.items())]
    for left, right in permutations(tables, 2):
        for row in left.rows:
            other = next((one for one in right.rows if normalize(one.cells[0]) == normalize(row.cells[0])), None)
            for at, year in enumerate(left.columns[1:], 1):
                if other is None or year not in right.columns:
                    continue
                mine, theirs = value_of(row.cells[at]), value_of(other.cells[right.columns.index(year)])
                if mine is None or theirs is None or mine == theirs:
                    continue
                names = (owner(left.title), owner(right.title))
                what = f"{lowered(row.cells[0])} in {year}"
                steps = tuple(
                    step_of(f"{name} gives {value:f} for {what}.", table, (table.head.quote, line.quote))
                    for name, value, table, line in zip(names, (mine, theirs), (left, right), (row, other), strict=True)
                )
                places = ((left.doc, left.page), (right.doc, right.page))
                words = f"{around(left)} {around(right)}"
                question = f"Did {names[0]} report a higher figure for {what} than {names[1]}?"
                yield Derived(
                    question=question,
                    answer="yes" if mine > theirs else "no",
                    answer_type="yes_no",
                    family="comparison",
                    steps=steps,
                    places=places,
                    named=names,
                    words=words,
                )
                if mine > theirs:
                    yield Derived(
                        question=f"By how much was the figure of {names[0]} for {what} higher than that of {names[1]}?",
                        answer=f"{mine - theirs:f}",
                        answer_type="number",
                        family="difference",
                        steps=steps,
                        places=places,
                        named=names,
                        words=words,
                    )


def _is_answer(value: str) -> bool:
    return 0 < len(value) <= _LONGEST_CELL and any(character.isalnum() for character in value)
