"""Write a plan as Python that reads CSV files with pandas and prints one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_code.offline.plans import Filter, Plan, rounded
from agentflow_code.offline.words import words_of

if TYPE_CHECKING:
    from agentflow_code.offline.tables import Known, Table

__all__ = ["code_of"]

_METHODS = {"sum": "sum", "avg": "mean", "max": "max", "min": "min", "median": "median", "distinct": "nunique"}


def code_of(plan: Plan, known: Known) -> str:
    """The plan as a program; it reads each file that it needs, joins, filters, and prints."""
    lines = ["import pandas as pd", ""]
    lines += [f"{_variable(known.tables[name])} = pd.read_csv({known.tables[name].path!r})" for name in plan.tables]
    rows = _variable(known.tables[plan.base])
    for link in plan.links:
        needed = list(dict.fromkeys([link.parent_column, *_needed(plan, link.parent)]))
        parent = f"{_variable(known.tables[link.parent])}[{needed!r}]"
        lines.append(f"rows = {rows}.merge({parent}, on={link.column!r})")
        rows = "rows"
    for condition in plan.filters:
        lines.append(f"rows = {rows}[{_condition(rows, condition)}]")
        rows = "rows"
    lines.append(_last(rows, plan, known))
    return "\n".join(lines)


def _needed(plan: Plan, table: str) -> list[str]:
    """The columns of a joined table that something is done with."""
    places = [*(condition.at for condition in plan.filters), *filter(None, (plan.by, plan.measure))]
    return [at.column for at in places if at.table == table] + [
        link.column for link in plan.links if link.table == table
    ]


def _condition(rows: str, condition: Filter) -> str:
    column = f"{rows}[{condition.at.column!r}]"
    match condition.operator:
        case "is":
            return f"{column} == {condition.value!r}"
        case "more":
            return f"{column} > {condition.value!r}"
        case "less":
            return f"{column} < {condition.value!r}"
        case "year":
            return f"{column}.str[:4] == {str(condition.value)!r}"


def _last(rows: str, plan: Plan, known: Known) -> str:
    if plan.kind == "number":
        value = (
            f"len({rows})" if plan.measure is None else f"{rows}[{plan.measure.column!r}].{_METHODS[plan.aggregate]}()"
        )
        return f"print(round({value}, 2))" if rounded(plan, known) else f"print({value})"
    assert plan.by is not None
    if plan.kind == "lookup":
        return f"print({rows}[{plan.by.column!r}].item())"
    if plan.measure is None:
        grouped = f"{rows}.groupby({plan.by.column!r}).size()"
    else:
        grouped = f"{rows}.groupby({plan.by.column!r})[{plan.measure.column!r}].{_METHODS[plan.aggregate]}()"
    if plan.kind == "groups":
        return f"print(int(({grouped} > {plan.threshold}).sum()))"
    if plan.kind == "ranking":
        return f"print({grouped}.sort_values(ascending=False).head(5).to_string())"
    return f"print({grouped}.idxmax())"


def _variable(table: Table) -> str:
    return "_".join(words_of(table.name)) or "table"
