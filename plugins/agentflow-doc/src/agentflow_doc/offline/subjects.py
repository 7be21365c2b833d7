"""Ways to denote a thing: by its name, by what a sentence says of it, by being first in a column, or by way of another one.

What is hidden in a subject has to be found out: a question about it names only where one begins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.records import Evidence, ReasoningStep
from agentflow_core.text import normalize
from agentflow_doc.offline.knowledge import is_of_owner
from agentflow_doc.offline.seen import owner
from agentflow_doc.offline.wording import bridged, columns_of, greatest, named, noun_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentflow_doc.offline.knowledge import Knowledge
    from agentflow_doc.offline.markdown import Row
    from agentflow_doc.offline.seen import TableSeen

__all__ = ["Subject", "around", "capitalized", "is_met", "plain_subjects", "step_of", "subjects_over", "told_subjects"]

_DESCRIBED: Final = re.compile(
    r"^(?P<name>(?:The )?[A-ZÀ-ÖØ-Þ][\w'’.-]*(?: (?:of |the |de )?[A-ZÀ-ÖØ-Þ0-9][\w'’.-]*)*) (?:is|was) (?P<what>the [^.,;:]+)"
)
_SUPERLATIVE: Final = re.compile(r"^the (?:\w+ )?(?:\w{2,}est|most|least|only|first|last|sole)\b")
_CLAUSE_END: Final = re.compile(r" (?:and|but|which|that|where|who|until|since|because|with)\b.*$")


@frozen(kw_only=True)
class Subject:
    """A way to denote one thing without saying more of it than the question may."""

    text: str
    entity: str
    family: str
    steps: tuple[ReasoningStep, ...] = ()
    places: tuple[tuple[str, int], ...] = ()  #: document and page of each step
    hidden: tuple[str, ...] = ()  #: names that the question must not hold
    named: tuple[str, ...] = ()  #: things that the question names
    words: str = ""  #: what else stands where it was found: captions, titles


def plain_subjects(known: Knowledge) -> Iterator[Subject]:
    """Things by their names, and whose the documents are."""
    for table in known.tables:
        if is_of_owner(table):
            continue
        for row in table.rows:
            yield Subject(
                text=named(noun_of(table), row.cells[0]),
                entity=row.cells[0],
                family="lookup",
                named=(row.cells[0],),
                words=around(table),
            )
    for tables in known.owners.values():
        name = owner(tables[0].title)
        yield Subject(text=name, entity=name, family="lookup", named=(name,))


def told_subjects(known: Knowledge) -> Iterator[Subject]:
    """Things by what is told of them alone."""
    yield from _described(known)
    yield from _greatest(known)


def _described(known: Knowledge) -> Iterator[Subject]:
    """Things of which a sentence says that they are the first, the only or the most of some kind."""
    for sentence in known.sentences:
        found = _DESCRIBED.match(sentence.text)
        if found is None:
            continue
        what = _CLAUSE_END.sub("", found["what"]).strip()
        if not _SUPERLATIVE.match(what) or what.endswith((" one", " ones")):
            continue
        step = ReasoningStep(
            step=f"{found['name']} is {what}.", evidence=(Evidence(node=sentence.node, quote=sentence.text),)
        )
        yield Subject(
            text=what,
            entity=found["name"],
            family="described",
            steps=(step,),
            places=((sentence.doc, sentence.page),),
            hidden=(found["name"],),
            words=owner(sentence.title),
        )


def _greatest(known: Knowledge) -> Iterator[Subject]:
    for table in known.tables:
        if is_of_owner(table):
            continue
        for column in columns_of(table):
            for text, at in greatest(table, column):
                name = table.rows[at].cells[0]
                quotes = (table.head.quote, *(row.quote for row in table.rows))
                said = f"By the column {column.head}, {text} is {name}."
                yield Subject(
                    text=text,
                    entity=name,
                    family="greatest",
                    steps=(step_of(said, table, quotes),),
                    places=((table.doc, table.page),),
                    hidden=(name,),
                    words=around(table),
                )


def subjects_over(known: Knowledge, subjects: Iterable[Subject]) -> Iterator[Subject]:
    """The things that the subjects lead to by a cell of a table, in both directions."""
    for subject in subjects:
        yield from _forward(known, subject)
        yield from _reverse(known, subject)


def _forward(known: Knowledge, subject: Subject) -> Iterator[Subject]:
    for table, row in known.rows.get(normalize(subject.entity), ()):
        for column in columns_of(table)[1:]:
            value = row.cells[column.at]
            if column.kind != "text" or not known.is_known(value) or is_met(subject, value):
                continue
            said = f"{capitalized(bridged(column, subject.text))} is {value}."
            yield _led(subject, bridged(column, subject.text), value, table, row, said)


def _reverse(known: Knowledge, subject: Subject) -> Iterator[Subject]:
    for table, row, column in known.cells.get(normalize(subject.entity), ()):
        alike = [one for one in table.rows if normalize(one.cells[column.at]) == normalize(subject.entity)]
        key = row.cells[0]
        if not table.is_whole or len(alike) > 1 or not column.is_noun or is_met(subject, key):
            continue
        if subject.family.endswith("reverse"):
            continue
        text = f"the {noun_of(table)} whose {column.base} is {subject.text if subject.steps else subject.entity}"
        yield _led(subject, text, key, table, row, f"{capitalized(text)} is {key}.", family="reverse")


def is_met(subject: Subject, name: str) -> bool:
    """Whether the way to a subject has come by a thing of that name: one does not go back."""
    return normalize(name) in map(normalize, (*subject.named, *subject.hidden))


def _led(
    subject: Subject, text: str, entity: str, table: TableSeen, row: Row, said: str, family: str = "bridge"
) -> Subject:
    return Subject(
        text=text,
        entity=entity,
        family=family if subject.family == "lookup" else f"{subject.family} {family}",
        steps=(*subject.steps, step_of(said, table, (table.head.quote, row.quote))),
        places=(*subject.places, (table.doc, table.page)),
        hidden=(*subject.hidden, entity),
        named=subject.named,
        words=f"{subject.words} {around(table)}",
    )


def step_of(said: str, table: TableSeen, quotes: Iterable[str]) -> ReasoningStep:
    """A step that rests on lines of a table."""
    return ReasoningStep(step=said, evidence=tuple(Evidence(node=table.node, quote=quote) for quote in quotes))


def capitalized(text: str) -> str:
    """The text as a sentence begins."""
    return f"{text[0].upper()}{text[1:]}"


def around(table: TableSeen) -> str:
    """What stands around a table and says what it is about."""
    return f"{table.caption} {owner(table.title)}"
