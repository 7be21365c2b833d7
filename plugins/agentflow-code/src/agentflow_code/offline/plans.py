"""What can be asked of tables that belong together: the structure that a query and its question are both made from."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from attrs import frozen

from agentflow_code.offline.tables import Known, Link

__all__ = ["Aggregate", "At", "Filter", "Plan", "adds_up", "reached", "rounded"]

#: ``is``, ``more``, ``less``: than a value; ``year``: a date in it.
Operator = Literal["is", "more", "less", "year"]
Aggregate = Literal["count", "distinct", "sum", "avg", "max", "min", "median"]

#: Numbers whose sum means nothing, by a word of their name.
_NOT_ADDED: Final = re.compile(
    r"\b(?:price|year|rate|rating|score|stars?|age|percent|share|temperature|latitude|longitude|elevation|height)\b"
)


@frozen(kw_only=True, order=True)
class At:
    """A column of a table."""

    table: str
    column: str


@frozen(kw_only=True)
class Filter:
    """Only rows of which this holds; of a number or year the value, of a text the text itself."""

    at: At
    operator: Operator
    value: Any


@frozen(kw_only=True)
class Plan:
    """A query over the rows of ``base``, each with the rows that it belongs to.

    ``number``: the aggregate of all rows. ``top``: for which value of ``by`` the aggregate is greatest. ``ranking``: the
    same, and the next ones, to see whether that is one value alone. ``groups``: how many values of ``by`` have more than
    ``threshold`` rows. ``lookup``: the value of ``by`` in the one row that the filter leaves.
    """

    kind: Literal["number", "top", "ranking", "groups", "lookup"]
    base: str
    subject: str  #: what the rows are called: the base, or the table that a bridge leads to
    links: tuple[Link, ...] = ()  #: up from the base, each from a table that is reached already
    filters: tuple[Filter, ...] = ()
    aggregate: Aggregate = "count"
    measure: At | None = None  #: what the aggregate is taken of; None counts rows
    by: At | None = None
    threshold: int | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it reads, the base first."""
        return (self.base, *(link.parent for link in self.links))


def reached(base: str, chains: list[tuple[Link, ...]]) -> tuple[Link, ...] | None:
    """The links of the chains, each once, or None if they lead to one table in two ways."""
    links = tuple(dict.fromkeys(link for chain in chains for link in chain))
    tables = [base, *(link.parent for link in links)]
    return links if len(set(tables)) == len(tables) else None


def adds_up(phrase: str) -> bool:
    """Whether numbers that are called so can be added: quantities can, prices and years cannot."""
    return _NOT_ADDED.search(phrase) is None


def rounded(plan: Plan, known: Known) -> bool:
    """Whether its number is rounded to two decimals: averages, and what adds up numbers that are not whole."""
    if plan.aggregate in ("avg", "median"):
        return True
    if plan.measure is None or plan.aggregate != "sum":
        return False
    return not known.tables[plan.measure.table].column(plan.measure.column).is_whole
