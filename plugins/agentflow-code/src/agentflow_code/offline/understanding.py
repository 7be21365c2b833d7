"""Make a plan of what a question seems to ask for; a baseline that reads words, not sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import evolve

from agentflow_code.offline.composing import link_path
from agentflow_code.offline.plans import Aggregate, At, Filter, Plan, reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_code.offline.matching import Bound, Named, Question
    from agentflow_code.offline.tables import Known, Link

__all__ = ["understand"]

_AGGREGATES: Final[tuple[tuple[str, Aggregate], ...]] = (
    (r"average|mean", "avg"),
    (r"median", "median"),
    (r"total|overall|sum|altogether|combined", "sum"),
    (r"highest|maximum|greatest|largest|most expensive|longest", "max"),
    (r"lowest|minimum|least|smallest|cheapest|shortest", "min"),
)
_MOST: Final = re.compile(r"\b(?:most|highest|largest|greatest)\b")
_NEAR: Final = 6  # words between a column and the value that it has


def understand(question: Question, known: Known) -> Plan | None:
    """The plan, or None where the question names nothing that could be asked for."""
    text = " ".join(question.words)
    if not question.tables and not question.columns:
        return None
    if text.startswith(("how many", "what is the number of")):
        return _how_many(question, known, text)
    if re.match(r"(?:which|what|who)\b", text) and _MOST.search(text) and not text.startswith("what is"):
        return _top(question, known, text)
    found = [(match.start(), kind) for words, kind in _AGGREGATES if (match := re.search(rf"\b(?:{words})\b", text))]
    aggregate = min(found)[1] if found else None  # the first: the highest total is the greatest of a column
    if aggregate is not None and any(_is_number(known, column) for column in question.columns):
        return _measured(question, known, aggregate)
    return _lookup(question, known)


# ---- kinds of questions


def _how_many(question: Question, known: Known, text: str) -> Plan | None:
    if not question.tables:
        return None
    subject = question.tables[0].table
    is_distinct = re.match(r"how many (?:different|distinct)\b", text) is not None
    grouped = _grouped_by(question, subject)
    if grouped is not None:
        counted, bound = grouped
        plan = _joined(known, counted, counted, [subject], _filters(question, known, counted, skip=bound))
        label = known.tables[subject].label
        key = label.name if label is not None else (known.tables[subject].primary_key or ("",))[0]
        if plan is None or not key:
            return None
        threshold = int(bound.value) - (1 if bound.inclusive else 0)
        return evolve(plan, kind="groups", by=At(table=subject, column=key), threshold=threshold)
    base = subject
    if is_distinct:
        others = [each.table for each in question.tables[1:] if link_path(known, each.table, subject)]
        if others:
            plan = _joined(known, others[0], others[0], [subject], _filters(question, known, others[0]))
            return _counting_once(plan, known, subject)
    plan = _joined(known, base, subject, [], _filters(question, known, base))
    if plan is not None:
        return plan
    return _over_children(known, subject, _filters(question, known, base))


def _top(question: Question, known: Known, text: str) -> Plan | None:
    by = _what_is_asked(question, known)
    if by is None:
        return None
    most = _MOST.search(text)
    after = len(text[: most.start()].split()) if most else 0
    aggregate = next(
        (kind for words, kind in _AGGREGATES[:3] if re.search(rf"\b(?:{words})\b", " ".join(question.words[after:]))),
        None,
    )
    measure = next((each for each in question.columns if each.at > after and _is_number(known, each)), None)
    tables = [each.table for each in question.tables if each.at > after]
    if measure is not None and aggregate is not None:
        base = measure.table
    elif tables:
        base, measure, aggregate = tables[0], None, None
    else:
        return None
    plan = _joined(known, base, base, [by.table], _filters(question, known, base, but=by))
    if plan is None:
        return None
    at = None if measure is None else At(table=base, column=str(measure.column))
    return evolve(plan, kind="top", by=by, measure=at, aggregate=aggregate or "count")


def _measured(question: Question, known: Known, aggregate: Aggregate) -> Plan | None:
    columns = [each for each in question.columns if _is_number(known, each)]
    named = [each.table for each in question.tables]
    first = min(columns, key=lambda each: (each.table not in named, each.at, _order(named, each.table)))
    base = first.table
    plan = _joined(known, base, base, [], _filters(question, known, base, but=At(table=base, column=str(first.column))))
    if plan is None:
        return None
    return evolve(plan, aggregate=aggregate, measure=At(table=base, column=str(first.column)))


def _lookup(question: Question, known: Known) -> Plan | None:
    by = _what_is_asked(question, known)
    if by is None or not question.values:
        return None
    named = [each for each in question.values if _is_label(known, each)] or list(question.values)
    for value in named:
        condition = Filter(at=At(table=value.table, column=str(value.column)), operator="is", value=value.value)
        if condition.at == by:
            continue
        plan = _joined(known, value.table, value.table, [by.table], [condition])
        if plan is not None:
            return evolve(plan, kind="lookup", by=by)
    return None


def _what_is_asked(question: Question, known: Known) -> At | None:
    """The column or the table that the question begins with."""
    asked = sorted((*question.tables, *question.columns), key=lambda each: (each.at, -each.length))
    if not asked:
        return None
    first = asked[0]
    near = [each for each in asked if each.at <= first.at + 2]
    named = [each.table for each in near]
    columns = [each for each in near if each.column is not None]
    tables = {each.at for each in near if each.column is None}
    columns = [each for each in columns if each.at not in tables] or columns  # "product category": not the product
    if columns:
        # "publisher country", "country of the publisher": the column of the table that stands next to it
        best = min(columns, key=lambda each: (each.at > first.at + 1, each.table not in named, _is_far(question, each)))
        return At(table=best.table, column=str(best.column))
    label = known.tables[first.table].label
    return None if label is None else At(table=first.table, column=label.name)


def _is_far(question: Question, column: Named) -> int:
    return min((abs(each.at - column.at) for each in question.tables if each.table == column.table), default=99)


# ---- what holds of the rows


def _filters(
    question: Question, known: Known, base: str, *, skip: Bound | None = None, but: At | None = None
) -> list[Filter]:
    found: list[Filter] = []
    for at in dict.fromkeys(each.at for each in question.values):
        options = [each for each in question.values if each.at == at]
        value = min(options, key=lambda each: _unlikeliness(question, known, base, each))
        where = At(table=value.table, column=str(value.column))
        if where != but or value.value is not None:
            found.append(Filter(at=where, operator="is", value=value.value))
    for bound in question.bounds:
        if bound is skip:
            continue
        column = _bounded_column(question, known, bound, base)
        if column is not None:
            found.append(_bound_filter(known, column, bound))
    for place, year in question.years:
        column = _dated_column(question, known, place, base)
        if column is not None:
            found.append(Filter(at=column, operator="year", value=year))
    return found


def _unlikeliness(question: Question, known: Known, base: str, value: Named) -> tuple[bool, bool, int, int]:
    """How little speaks for this column among those that hold the value: names just before it, and that of its table."""
    before = [
        value.at - each.at - each.length
        for each in (*question.columns, *question.tables)
        if each.table == value.table and each.column in (None, value.column) and each.at < value.at
    ]
    nearest = min((distance for distance in before if distance >= 0), default=99)
    chain = link_path(known, base, value.table)
    is_named = any(each.table == value.table for each in question.tables)
    return (nearest > _NEAR, not is_named, nearest, 9 if chain is None else len(chain))


def _bounded_column(question: Question, known: Known, bound: Bound, base: str) -> At | None:
    """The number column that is named nearest to the bound."""
    columns = [each for each in question.columns if _is_number(known, each)]
    if not columns:
        return None

    def distance(each: Named) -> tuple[int, int]:
        gap = each.at - bound.end if each.at >= bound.end else bound.at - each.at - each.length + 1
        chain = link_path(known, base, each.table)
        return (gap, 9 if chain is None else len(chain))

    best = min(columns, key=distance)
    return At(table=best.table, column=str(best.column)) if distance(best)[0] <= _NEAR else None


def _bound_filter(known: Known, at: At, bound: Bound) -> Filter:
    is_whole = known.tables[at.table].column(at.column).is_whole
    value: Any = int(bound.value) if bound.value.is_integer() else bound.value
    if bound.inclusive:
        step = 1 if is_whole else 1e-9
        value = value - step if bound.operator == "more" else value + step
    operators: Mapping[str, Literal["is", "more", "less"]] = {"is": "is", "more": "more", "less": "less"}
    return Filter(at=at, operator=operators[bound.operator], value=value)


def _dated_column(question: Question, known: Known, place: int, base: str) -> At | None:
    named = [each for each in question.columns if known.tables[each.table].column(str(each.column)).kind == "date"]
    if named:
        best = min(named, key=lambda each: abs(each.at - place))
        return At(table=best.table, column=str(best.column))
    tables = [base, *(each.table for each in question.tables), *(chain[-1].parent for chain in known.chains(base))]
    for name in dict.fromkeys(tables):
        for column in known.tables[name].columns:
            if column.kind == "date":
                return At(table=name, column=column.name)
    return None


def _grouped_by(question: Question, subject: str) -> tuple[str, Bound] | None:
    """``more than 5 books``: the table whose rows each thing has a number of."""
    for bound in question.bounds:
        for table in question.tables[1:]:
            if bound.operator == "more" and 0 <= table.at - bound.end <= 1 and table.table != subject:
                return table.table, bound
    return None


# ---- how the tables belong together


def _joined(known: Known, base: str, subject: str, tables: list[str], filters: list[Filter]) -> Plan | None:
    """A plan over the base, joined to all tables that are needed; None where one cannot be reached."""
    chains: list[tuple[Link, ...]] = []
    for table in dict.fromkeys((*tables, *(condition.at.table for condition in filters))):
        chain = link_path(known, base, table)
        if chain is None:
            return None
        chains.append(chain)
    links = reached(base, chains)
    if links is None:
        return None
    return Plan(kind="number", base=base, subject=subject, links=links, filters=tuple(dict.fromkeys(filters)))


def _over_children(known: Known, subject: str, filters: list[Filter]) -> Plan | None:
    """A plan over the table whose rows belong to the subject and to all that is filtered by; the subject counts once."""
    plans = [
        plan
        for name in known.tables
        if name != subject and (plan := _joined(known, name, name, [subject], filters)) is not None
    ]
    if not plans:
        return None
    return _counting_once(min(plans, key=lambda plan: len(plan.links)), known, subject)


def _counting_once(plan: Plan | None, known: Known, subject: str) -> Plan | None:
    """The plan, with each row of the subject counted once."""
    if plan is None:
        return None
    link = next(link for link in plan.links if link.parent == subject)
    if not any(condition.at.table == subject for condition in plan.filters) and not any(
        each.table == subject for each in plan.links
    ):
        plan = evolve(plan, links=tuple(each for each in plan.links if each != link))
    return evolve(plan, aggregate="distinct", measure=At(table=link.table, column=link.column))


def _is_number(known: Known, column: Named) -> bool:
    return known.tables[column.table].column(str(column.column)).kind == "number"


def _is_label(known: Known, value: Named) -> bool:
    label = known.tables[value.table].label
    return label is not None and label.name == value.column


def _order(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)
