"""Think of questions that the known tables can answer: joins along keys, filters on values that were seen, aggregates."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_code.offline.plans import At, Filter, Plan, adds_up, reached
from agentflow_code.offline.words import stem, words_of
from agentflow_core.text import hash64

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_code.offline.tables import Column, Known, Link, Table

__all__ = ["compose", "link_path"]

_CATEGORY: Final = 60  # different texts by which rows are still grouped sensibly
_FAMILY: Final = 60  # plans of one family that are kept
_FEWEST_ROWS: Final = 2  # that a plan should leave, or there is nothing to count
_FEWEST_VALUES: Final = 3  # of a number that is summed or compared
_FEW: Final = 3  # values of a column that are tried


def compose(known: Known, topic: str, salt: str = "") -> list[Plan]:
    """Plans over the known tables, each family in turn.

    Args:
        known: what was seen of the data.
        topic: what the exploration is about; plans over a table that it names go first.
        salt: decides the order, not which plans there are.
    """
    families = (_filtered_counts, _measures, _two_filters, _tops, _distincts, _groups, _lookups)
    first = hash64(salt) % len(families)
    rows = [_kept(family(known), known, topic, salt) for family in (*families[first:], *families[:first])]
    longest = max(map(len, rows), default=0)
    turns = [plan for turn in range(longest) for row in rows if turn < len(row) for plan in [row[turn]]]
    return sorted(turns, key=lambda plan: not _is_about(plan, known, topic))


def _kept(plans: Iterator[Plan], known: Known, topic: str, salt: str) -> list[Plan]:
    found = dict.fromkeys(
        plan
        for plan in plans
        if (known.dialect or _is_unmistakable(plan, known))
        and (plan.kind == "lookup" or _expected(plan, known) >= _FEWEST_ROWS)
    )
    ordered = sorted(found, key=lambda plan: (not _is_about(plan, known, topic), hash64(f"{topic}\n{plan}")))
    return sorted(islice(ordered, _FAMILY), key=lambda plan: hash64(f"{salt}\n{plan}"))


def _is_about(plan: Plan, known: Known, topic: str) -> bool:
    wanted = set(map(stem, words_of(topic)))
    return any(set(map(stem, words_of(known.tables[name].noun))) <= wanted for name in (plan.subject, *plan.tables))


def _is_unmistakable(plan: Plan, known: Known) -> bool:
    """Whether joined frames have no two columns of one name, but for the keys that they are joined on."""
    keys = {link.column for link in plan.links}
    used = [at for at in (*(each.at for each in plan.filters), plan.by, plan.measure) if at is not None]
    base = {column.name for column in known.tables[plan.base].columns}
    return all(at.table == plan.base or (at.column not in base and at.column not in keys) for at in used) and len(
        {at.column for at in used}
    ) == len({(at.table, at.column) for at in used})


# ---- families


def _filtered_counts(known: Known) -> Iterator[Plan]:
    """How many rows belong to something, or to something of which something holds."""
    for base, subject in _bases(known):
        for chain in known.chains(base):
            for condition in _conditions(known, chain[-1].parent, subject):
                plan = Plan(kind="number", base=base, subject=subject, links=chain, filters=(condition,))
                yield from _with_subject(plan, known)


def _measures(known: Known) -> Iterator[Plan]:
    """The sum, average, greatest or least of a number over the rows that belong to something."""
    for base, subject in _bases(known):
        if base != subject:
            continue
        for column in known.tables[base].columns:
            if column.kind != "number" or column.distinct < _FEWEST_VALUES:
                continue
            for chain in known.chains(base):
                for condition in _conditions(known, chain[-1].parent, subject):
                    plan = Plan(kind="number", base=base, subject=subject, links=chain, filters=(condition,))
                    for aggregate in ("sum", "avg", "max", "min"):
                        if aggregate != "sum" or adds_up(column.phrase):
                            yield evolve(plan, aggregate=aggregate, measure=At(table=base, column=column.name))


def _two_filters(known: Known) -> Iterator[Plan]:
    """How many rows belong to two things at once, or to one while something holds of themselves."""
    for base, subject in _bases(known):
        chains = list(known.chains(base, 2))
        for at, chain in enumerate(chains):
            for condition in islice(_conditions(known, chain[-1].parent, subject), 4):
                plan = Plan(kind="number", base=base, subject=subject, links=chain, filters=(condition,))
                if base == subject:
                    for own in _own_conditions(known.tables[base]):
                        yield evolve(plan, filters=(condition, own))
                for other in chains[at + 1 :]:
                    links = reached(base, [chain, other])
                    if links is None or other[-1] in chain or chain[-1] in other:
                        continue
                    for second in islice(_conditions(known, other[-1].parent, subject), 4):
                        joined = evolve(plan, links=links, filters=(condition, second))
                        yield from _with_subject(joined, known)


def _tops(known: Known) -> Iterator[Plan]:
    """Which value of a column has the most rows, or the greatest sum or average of a number: first the ranking."""
    for base, subject in _bases(known):
        for chain in known.chains(base):
            for by in _groupings(known, chain[-1].parent):
                ranking = Plan(kind="ranking", base=base, subject=subject, links=chain, by=by)
                if base != subject:
                    if len(chain) == 1 and chain[0].parent != subject and _is_named_by(known, by):
                        yield ranking
                    continue
                yield ranking
                for column in known.tables[base].columns:
                    if column.kind == "number" and column.distinct >= _FEWEST_VALUES:
                        at = At(table=base, column=column.name)
                        for aggregate in ("sum", "avg"):
                            if aggregate != "sum" or adds_up(column.phrase):
                                yield evolve(ranking, aggregate=aggregate, measure=at)
                for own in _own_conditions(known.tables[base]):
                    yield evolve(ranking, filters=(own,))


def _distincts(known: Known) -> Iterator[Plan]:
    """How many different things have rows of which something holds."""
    for base, subject in _bases(known):
        if base != subject:
            continue
        parents = known.parents(base)
        for link in parents:
            counted = At(table=base, column=link.column)
            plan = Plan(kind="number", base=base, subject=subject, aggregate="distinct", measure=counted)
            for chain in known.chains(base, 2):
                if chain[0] == link:
                    continue
                for condition in islice(_conditions(known, chain[-1].parent, subject), 4):
                    yield evolve(plan, links=chain, filters=(condition,))
            for own in _own_conditions(known.tables[base]):
                yield evolve(plan, filters=(own,))


def _groups(known: Known) -> Iterator[Plan]:
    """How many things have more rows than things have on average."""
    for base, subject in _bases(known):
        for chain in known.chains(base, 2):
            parent = known.tables[chain[-1].parent]
            if parent.name == subject or not parent.row_count or (base != subject and len(chain) > 1):
                continue
            mean = known.tables[base].row_count // parent.row_count
            for by in _groupings(known, parent.name):
                if not _is_named_by(known, by):
                    continue
                for threshold in dict.fromkeys((max(1, mean), 2 * mean + 1, 3 * mean + 2)):
                    yield Plan(kind="groups", base=base, subject=subject, links=chain, by=by, threshold=threshold)


def _lookups(known: Known) -> Iterator[Plan]:
    """What is told of the thing that a row belongs to, the row given by its name."""
    for base, subject in _bases(known):
        table = known.tables[base]
        if base != subject or table.label is None:
            continue
        names = [value for value in table.label.samples if isinstance(value, str)]
        for chain in known.chains(base):
            parent = known.tables[chain[-1].parent]
            for column in parent.columns:
                is_label = parent.label is not None and column.name == parent.label.name
                if not is_label and (column.kind not in ("text", "number") or column.nulls):
                    continue
                for name in names:
                    condition = Filter(at=At(table=base, column=table.label.name), operator="is", value=name)
                    by = At(table=parent.name, column=column.name)
                    yield Plan(kind="lookup", base=base, subject=base, links=chain, filters=(condition,), by=by)


# ---- what they are made of


def _is_named_by(known: Known, at: At) -> bool:
    label = known.tables[at.table].label
    return label is not None and label.name == at.column


def _expected(plan: Plan, known: Known) -> float:
    """About how many rows a plan leaves, if its filters have nothing to do with one another."""
    left = float(known.tables[plan.base].row_count)
    for condition in plan.filters:
        column = known.tables[condition.at.table].column(condition.at.column)
        left *= 1 / max(1, column.distinct) if condition.operator == "is" else 0.4
    return left


def _bases(known: Known) -> Iterator[tuple[str, str]]:
    """The tables whose rows are counted, and what the rows are called: a bridge counts what it leads to."""
    for name in known.tables:
        if known.is_bridge(name):
            for link in known.parents(name):
                yield name, link.parent
        elif known.tables[name].row_count:
            yield name, name


def _with_subject(plan: Plan, known: Known) -> Iterator[Plan]:
    """The plan; over a bridge, if it says more than of its subject alone, with each row of the subject counted once."""
    if plan.base == plan.subject:
        yield plan
    elif any(link.table == plan.base and link.parent != plan.subject for link in plan.links):
        column = next(link.column for link in known.parents(plan.base) if link.parent == plan.subject)
        yield evolve(plan, aggregate="distinct", measure=At(table=plan.base, column=column))


def _conditions(known: Known, table: str, subject: str) -> Iterator[Filter]:
    """What can hold of the row that is joined: that it is the one of a name, or what holds of its other columns."""
    if table == subject:
        return
    found = known.tables[table]
    label = found.label
    if label is not None:
        for value in _texts(label):
            yield Filter(at=At(table=table, column=label.name), operator="is", value=value)
    yield from _own_conditions(found)


def _own_conditions(table: Table) -> Iterator[Filter]:
    """What can hold of the columns of a table, but for its label."""
    for column in table.columns:
        at = At(table=table.name, column=column.name)
        if column.kind == "text" and column is not table.label and 1 < column.distinct <= _CATEGORY:
            for value in _texts(column):
                yield Filter(at=at, operator="is", value=value)
        elif column.kind == "number" and column.distinct > 1:
            for threshold in _thresholds(column):
                yield Filter(at=at, operator="more", value=threshold)
        elif column.kind == "date":
            first, last = int(str(column.low)[:4]), int(str(column.high)[:4])
            if first < last:
                for year in range(first, min(last, first + 5) + 1):
                    yield Filter(at=at, operator="year", value=year)


def _texts(column: Column) -> list[str]:
    return [value for value in column.samples if isinstance(value, str) and value.strip() == value and value][:5]


def _thresholds(column: Column) -> list[Any]:
    """Values that were seen and are not the greatest; of many different ones a round one in the middle too."""
    seen = [value for value in column.samples if isinstance(value, int | float) and column.low <= value < column.high]
    if column.distinct <= 12:
        return sorted(set(seen))[:_FEW]
    middle = (column.low + column.high) / 2
    digits = len(str(abs(int(middle)))) - 1
    value = round(middle, -max(0, digits - 1)) if abs(middle) >= 10 else round(middle, 1)
    return [int(value) if column.is_whole else value]


def _groupings(known: Known, table: str) -> Iterator[At]:
    """By what the rows that belong to rows of the table are grouped: the name of those, or a kind that they are of."""
    found = known.tables[table]
    for column in found.columns:
        is_label = found.label is not None and column.name == found.label.name
        if is_label or (column.kind == "text" and 2 < column.distinct <= _CATEGORY and not column.nulls):
            yield At(table=table, column=column.name)


def link_path(known: Known, base: str, table: str) -> tuple[Link, ...] | None:
    """The shortest way up from a table to another one, () to itself, None where there is none."""
    if base == table:
        return ()
    return next((chain for chain in known.chains(base) if chain[-1].parent == table), None)
