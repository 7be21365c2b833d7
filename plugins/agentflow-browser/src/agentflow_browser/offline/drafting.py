"""Ask how facts of several pages hang together: along links, through tables, by comparing two subjects."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_browser.offline.answering import amount
from agentflow_browser.offline.english import among, asks, is_noun, is_plural, kind_of, said, unit_of, with_article
from agentflow_browser.offline.pages import Page
from agentflow_browser.offline.seen import Seen, entity, seen_on_path
from agentflow_browser.offline.words import holds
from agentflow_core.records import QA, Evidence, ReasoningStep
from agentflow_core.text import hash64, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentflow_browser.offline.pages import Fact
    from agentflow_browser.offline.seen import Whole
    from agentflow_core.records import DraftInputs

__all__ = ["draft"]

_CHAIN: Final = 3  #: facts of one chain at most
_HARD: Final = 3
_FEW: Final = 400  #: questions of one kind that are thought of


@frozen(kw_only=True)
class _Hop:
    """What one step says, and where it stands."""

    step: str
    page: Page
    quotes: tuple[str, ...]


@frozen(kw_only=True)
class _Question:
    text: str
    answer: str
    hops: tuple[_Hop, ...]
    aliases: tuple[str, ...] = ()
    answer_type: str = ""
    names_site: bool = True  #: not where the name of the site would be the only name in it, which stands on every page


def draft(inputs: DraftInputs) -> list[QA]:
    """Questions whose facts stand on at least two pages, the kinds of questions in turn."""
    seen = Seen(pages=[page for page in seen_on_path(inputs.path).pages if not page.disturbed])
    salt = inputs.path[-1].id
    kinds = [_ordered(kind(seen), salt) for kind in (_chains, _through_tables, _extremes, _differences, _comparisons)]
    first = hash64(salt) % len(kinds)
    kinds = [*kinds[first:], *kinds[:first]]
    found: list[QA] = []
    for turn in range(max(map(len, kinds), default=0)):
        for kind in kinds:
            if turn < len(kind) and _is_fair(kind[turn], seen):
                qa = _qa(kind[turn], seen, inputs.seed.id)
                if not inputs.answer_types or qa.answer_type in inputs.answer_types:
                    found.append(qa)
    return found[: inputs.n]


def _ordered(questions: Iterable[_Question], salt: str) -> list[_Question]:
    found = {question.text: question for _, question in zip(range(_FEW), questions, strict=False)}
    return sorted(found.values(), key=lambda each: (-len(each.hops), hash64(f"{salt}\n{each.text}")))


def _is_fair(question: _Question, seen: Seen) -> bool:
    """Whether the answer is not told by the question, nor the whole by one page."""
    if question.answer not in ("yes", "no") and holds(question.text, question.answer):
        return False
    if question.answer_type == "number":
        value = amount(question.answer)
        if value is None or any(value == each.value for each in numbers(question.text)):
            return False
    quotes = [quote for hop in question.hops for quote in hop.quotes]
    return not any(all(quote in page.text for quote in quotes) for page in seen.pages)


def _qa(question: _Question, seen: Seen, seed: str) -> QA:
    where = f"On the site {seen.site}, " if seen.site and question.names_site else ""
    text = question.text if where else question.text[0].upper() + question.text[1:]
    steps = tuple(
        ReasoningStep(step=hop.step, evidence=tuple(Evidence(node=hop.page.where, quote=quote) for quote in hop.quotes))
        for hop in question.hops
    )
    return QA(
        id="",
        seed_id=seed,
        path_id="",
        question=where + text,
        answer=question.answer,
        aliases=question.aliases,
        answer_type=question.answer_type or _type_of(question.answer),
        reasoning_steps=steps,
        difficulty="hard" if len(steps) >= _HARD else "medium",
        extra={"urls": list(dict.fromkeys(hop.page.url for hop in question.hops))},
    )


def _type_of(value: str) -> str:
    return (
        "number" if unit_of(value) is not None and amount(value) is not None else "text" if ":" in value else "entity"
    )


def _hop(fact: Fact, *more: str) -> _Hop:
    quotes = (fact.page.heading_quote, *fact.quotes) if fact.table is None else fact.quotes
    return _Hop(
        step=f"{fact.subject}: {fact.name} is {fact.value}.",
        page=fact.page,
        quotes=tuple(dict.fromkeys(filter(None, (*more, *quotes)))),
    )


def _kinds(seen: Seen) -> list[str]:
    """Labels of one word that name kinds of things: captions, headings of columns, links."""
    labels = [table.caption for table in seen.tables] + [table.columns[0] for table in seen.tables]
    labels += [link.label for page in seen.pages for link in page.links]
    return [label for label in dict.fromkeys(labels) if len(label.split()) == 1]


def _named(fact: Fact, seen: Seen) -> str:
    return with_article(fact.subject, _kinds(seen))


# ---- kinds of questions


def _chains(seen: Seen) -> Iterator[_Question]:
    """What is told of what is told of something: ``the town of the maker of the Alder Kettle``."""
    for first in seen.facts:
        if first.table is None:
            yield from _chain([first], _named(first, seen), seen)


def _chain(facts: list[Fact], of: str, seen: Seen) -> Iterator[_Question]:
    last = facts[-1]
    if not is_noun(last.name):
        return
    of = f"the {said(last.name)} of {of}"
    for fact in _told_of(last, seen):
        if fact.page is last.page or any(entity(each.name) == entity(fact.name) for each in facts):
            continue
        question = asks(fact.name, fact.value, of)
        if question is not None:
            yield _Question(text=question, answer=fact.value, hops=tuple(map(_hop, (*facts, fact))))
        if len(facts) + 1 < _CHAIN:
            yield from _chain([*facts, fact], of, seen)
    if len(facts) > 1:
        yield from _joined(facts, of, seen)


def _told_of(fact: Fact, seen: Seen) -> list[Fact]:
    return [each for each in seen.about.get(entity(fact.value), ()) if each.table is None]


def _joined(facts: Sequence[Fact], of: str, seen: Seen) -> Iterator[_Question]:
    """Of the one row of a table that has the value: ``the telephone of the shop whose town is …``."""
    last = facts[-1]
    for table in seen.tables:
        for column in table.columns[1:]:
            rows = [row for row in table.rows if entity(row.cells[column].label) == entity(last.value)]
            if len(rows) != 1 or not table.is_whole or entity(column) != entity(last.name):
                continue
            for fact in seen.about.get(entity(rows[0].name), ()):
                if fact.table is None or fact.name == column or fact.table.key != table.parts[0].key:
                    continue
                question = asks(fact.name, fact.value, f"the {kind_of(table.columns[0])} in {of}")
                joins = next((each.quote for each in rows[0].cells[column].walk() if each.quote), "")
                if question is not None:
                    yield _Question(text=question, answer=fact.value, hops=(*map(_hop, facts), _hop(fact, joins)))


def _through_tables(seen: Seen) -> Iterator[_Question]:
    """What a page tells of the row that a value in a table tells from all others."""
    for table in seen.tables:
        for column in table.columns[1:]:
            values = [row.cells[column].label for row in table.rows]
            for fact in _of_rows(table, column, seen):
                if values.count(fact.value) > 1 or not _is_identifier(fact.value) or not is_noun(column):
                    continue
                of = f"the {kind_of(table.columns[0])} with the {said(column)} {fact.value}"
                for told in _pages_of(fact, seen):
                    question = asks(told.name, told.value, of)
                    if question is not None and told.name not in table.columns:
                        yield _Question(text=question, answer=told.value, hops=(_hop(fact), _hop(told)))


def _is_identifier(value: str) -> bool:
    """Whether a value has letters and digits, as what is unique by itself has."""
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value)) and " " not in value and len(value) > 3


def _of_rows(table: Whole, column: str, seen: Seen) -> Iterator[Fact]:
    keys = {part.key for part in table.parts}
    for row in table.rows:
        for fact in seen.about.get(entity(row.name), ()):
            if fact.table is not None and fact.table.key in keys and fact.name == column:
                yield fact


def _pages_of(fact: Fact, seen: Seen) -> list[Fact]:
    """What its own page tells of a subject."""
    return [each for each in seen.about.get(entity(fact.subject), ()) if each.table is None]


def _extremes(seen: Seen) -> Iterator[_Question]:
    """What a page tells of the row with the greatest or the least value of a column."""
    for table in seen.tables:
        if not table.is_whole or len(table.rows) < 3:
            continue
        for column in table.columns[1:]:
            facts = [fact for fact in _of_rows(table, column, seen) if amount(fact.value) is not None]
            if len(facts) < len(table.rows) or not is_noun(column):
                continue
            facts.sort(key=lambda fact: amount(fact.value) or 0)
            for best, next_best, way in ((facts[-1], facts[-2], "highest"), (facts[0], facts[1], "lowest")):
                if amount(best.value) == amount(next_best.value):
                    continue
                of = f"the {kind_of(table.columns[0])} with the {way} {said(column)} {among(table.caption)}"
                for told in _pages_of(best, seen):
                    question = asks(told.name, told.value, of)
                    if question is not None and told.name not in table.columns:
                        hops = (_hop(best), _hop(told))
                        yield _Question(text=question, answer=told.value, hops=hops, names_site=False)


def _pairs(seen: Seen) -> Iterator[tuple[Fact, Fact]]:
    """The same fact of two subjects of one kind, each on its own page, in one unit."""
    own = [fact for fact in seen.facts if fact.table is None and amount(fact.value) is not None and is_noun(fact.name)]
    for left, right in combinations(own, 2):
        if (
            entity(left.name) == entity(right.name)
            and left.page is not right.page
            and entity(left.subject) != entity(right.subject)
            and (unit := unit_of(left.value)) is not None
            and unit == unit_of(right.value)
            and amount(left.value) != amount(right.value)
            and {fact.name for fact in _pages_of(left, seen)} & {fact.name for fact in _pages_of(right, seen)}
            != {left.name}
        ):
            yield left, right


def _differences(seen: Seen) -> Iterator[_Question]:
    """By how much a fact of two subjects differs."""
    for left, right in _pairs(seen):
        unit = unit_of(left.value)
        first, second = amount(left.value), amount(right.value)
        if unit is None or first is None or second is None:
            continue
        measured = f", in {unit[1]}" if unit[1] else ""
        both = f"{_named(left, seen)} and {_named(right, seen)}"
        value = f"{abs(first - second):f}"
        yield _Question(
            text=f"what is the difference in {'the number of ' if is_plural(left.name) else ''}{said(left.name)} between {both}{measured}?",
            answer=value,
            aliases=(f"{unit[0]}{value}" if unit[0] in "$€£" else f"{value} {unit[0]}",) if unit[0] else (),
            answer_type="number",
            hops=(_hop(left), _hop(right)),
        )


def _comparisons(seen: Seen) -> Iterator[_Question]:
    """Whether a fact is greater of one subject than of another."""
    for left, right in _pairs(seen):
        first, second = amount(left.value), amount(right.value)
        if first is None or second is None:
            continue
        if hash64(f"{left.subject}{right.subject}{left.name}") % 2:
            left, right, first, second = right, left, second, first
        yield _Question(
            text=f"is the {'number of ' if is_plural(left.name) else ''}{said(left.name)} of {_named(left, seen)} greater than that of {_named(right, seen)}?",
            answer="yes" if first > second else "no",
            answer_type="yes_no",
            hops=(_hop(left), _hop(right)),
        )
