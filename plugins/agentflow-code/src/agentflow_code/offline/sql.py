"""Write a plan as SQL that SQLite and DuckDB both read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.offline.plans import At, Filter, Plan, rounded

if TYPE_CHECKING:
    from agentflow_code.offline.tables import Known

__all__ = ["literal", "name_of", "query_of"]

_PLAIN: Final = re.compile(r"[A-Za-z_]\w*")
_RESERVED: Final = re.compile(
    r"all|and|as|asc|between|by|case|check|cross|default|desc|distinct|else|end|except|exists|from|full|group|having|in"
    r"|index|inner|intersect|into|is|join|left|like|limit|natural|not|null|offset|on|or|order|outer|primary|references"
    r"|right|select|set|table|then|to|transaction|union|unique|using|values|when|where|with",
    re.IGNORECASE,
)
_FUNCTIONS: Final = {"avg": "AVG", "sum": "SUM", "max": "MAX", "min": "MIN", "median": "MEDIAN"}
RANKED: Final = 5


def query_of(plan: Plan, known: Known) -> str:
    """The plan as one SELECT statement."""
    source = _source(plan)
    value = _value(plan, known)
    if plan.kind == "number":
        return f"SELECT {value} {source}"
    assert plan.by is not None
    by = _at(plan.by)
    if plan.kind == "lookup":
        return f"SELECT {by} {source}"
    key = _group_key(plan, known)
    if plan.kind == "groups":
        groups = f"SELECT {key} {source} GROUP BY {key} HAVING COUNT(*) > {plan.threshold}"
        return f"SELECT COUNT(*) FROM ({groups}) AS kept"
    if plan.kind == "ranking":
        return f"SELECT {by}, {value} AS value {source} GROUP BY {key} ORDER BY value DESC, {by} LIMIT {RANKED}"
    return f"SELECT {by} {source} GROUP BY {key} ORDER BY {value} DESC LIMIT 1"


def _source(plan: Plan) -> str:
    parts = [f"FROM {name_of(plan.base)}"]
    for link in plan.links:
        on = f"{name_of(link.table)}.{name_of(link.column)} = {name_of(link.parent)}.{name_of(link.parent_column)}"
        parts.append(f"JOIN {name_of(link.parent)} ON {on}")
    if plan.filters:
        parts.append(f"WHERE {' AND '.join(map(_condition, plan.filters))}")
    return " ".join(parts)


def _value(plan: Plan, known: Known) -> str:
    if plan.measure is None:
        return "COUNT(*)"
    column = _at(plan.measure)
    if plan.aggregate == "distinct":
        return f"COUNT(DISTINCT {column})"
    value = f"{_FUNCTIONS[plan.aggregate]}({column})"
    return f"ROUND({value}, 2)" if rounded(plan, known) else value


def _group_key(plan: Plan, known: Known) -> str:
    """What tells groups apart: the key of the table where its label stands for its rows, else the value itself."""
    assert plan.by is not None
    table = known.tables[plan.by.table]
    is_label = table.label is not None and table.label.name == plan.by.column
    if is_label and len(table.primary_key) == 1:
        return _at(At(table=table.name, column=table.primary_key[0]))
    return _at(plan.by)


def _condition(condition: Filter) -> str:
    column = _at(condition.at)
    value = condition.value
    match condition.operator:
        case "is":
            return f"{column} = {literal(value)}"
        case "more":
            return f"{column} > {literal(value)}"
        case "less":
            return f"{column} < {literal(value)}"
        case "year":
            return f"{column} >= '{value}-01-01' AND {column} < '{int(value) + 1}-01-01'"


def _at(at: At) -> str:
    return f"{name_of(at.table)}.{name_of(at.column)}"


def name_of(name: str) -> str:
    """The name, quoted where SQL would not take it as one."""
    if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(value: Any) -> str:
    """A text or number as SQL writes it."""
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return repr(value)
