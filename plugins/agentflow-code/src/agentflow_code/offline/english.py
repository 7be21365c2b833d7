"""Write the question that a plan answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.offline.plans import At, Filter, Plan, rounded
from agentflow_code.offline.words import article, is_plural, plural, singular

if TYPE_CHECKING:
    from agentflow_code.offline.tables import Known

__all__ = ["question_of", "shown"]

_UNQUOTED: Final = re.compile(r"[A-Z][\w.&/-]*(?: [A-Z&][\w.&/-]*)*")
_SUPERLATIVE: Final = {"avg": "average", "max": "highest", "min": "lowest", "median": "median"}


def question_of(plan: Plan, known: Known) -> str:
    """The question in plain English; it names all that the query rests on."""
    return _Speaker(plan, known).question()


def shown(value: Any) -> str:
    """A value as it stands in a question: a name as it is, any other text in quotation marks."""
    if not isinstance(value, str):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return value if _UNQUOTED.fullmatch(value) else f'"{value}"'


def _counted(value: Any, phrase: str) -> str:
    return f"{shown(value)} {singular(phrase) if value == 1 else phrase}"


class _Speaker:
    def __init__(self, plan: Plan, known: Known) -> None:
        self.plan = plan
        self.known = known

    def question(self) -> str:
        plan = self.plan
        if plan.kind == "lookup":
            return f"What is {self._lookup()}?"
        if plan.kind in ("top", "ranking"):
            return self._top()
        if plan.kind == "groups":
            return f"How many {plural(self._group())} have more than {plan.threshold} {self._rows(own=True)}?"
        own = [self._own(condition) for condition in plan.filters if condition.at.table == plan.subject]
        if plan.measure is None or plan.base != plan.subject:
            have = f" have {' and '.join(own)}" if own else " are there"
            return f"How many {self._rows(own=False)}{have}?"
        if plan.aggregate == "distinct":
            return f"How many different {plural(self._distinct())} have {self._rows(own=True)}?"
        rounding = ", rounded to two decimals" if rounded(plan, self.known) else ""
        return f"What is the {self._measure()} of {self._rows(own=True)}{rounding}?"

    def _measure(self) -> str:
        assert self.plan.measure is not None
        phrase = self._phrase(self.plan.measure)
        if is_plural(phrase):
            phrase = f"number of {phrase}"
        if self.plan.aggregate == "sum":
            return f"overall {phrase}" if "total" in phrase else f"total {phrase}"
        return f"{_SUPERLATIVE[self.plan.aggregate]} {phrase}"

    def _top(self) -> str:
        plan = self.plan
        rows = self._rows(own=True)
        if plan.measure is None:
            return f"Which {self._group()} has the most {rows}?"
        return f"Which {self._group()} has the highest {self._measure()} of {rows}?"

    def _lookup(self) -> str:
        """``the country of the publisher of the book X``."""
        plan = self.plan
        assert plan.by is not None
        nouns = [self._noun(link.parent) for link in reversed(plan.links)]
        parts = nouns if self._is_label(plan.by) else [self._phrase(plan.by), *nouns]
        said = " of ".join(f"the {noun}" for noun in parts)
        return f"{said} of the {self._noun(plan.base)} {shown(plan.filters[0].value)}"

    def _group(self) -> str:
        """What one value of the groups is: a genre, a country, the country of a customer."""
        assert self.plan.by is not None
        if self._is_label(self.plan.by):
            return self._noun(self.plan.by.table)
        phrase = self._phrase(self.plan.by)
        noun = self._noun(self.plan.by.table)
        return phrase if self.plan.by.table == self.plan.subject or noun in phrase else f"{noun} {phrase}"

    def _distinct(self) -> str:
        """What is counted once each: the rows of the table that a key leads to, or the values of a column."""
        measure = self.plan.measure
        assert measure is not None
        for link in self.known.parents(measure.table):
            if link.column == measure.column:
                return self._noun(link.parent)
        return self._phrase(measure)

    def _rows(self, *, own: bool) -> str:
        """The rows in words: ``tracks of albums of the artist AC/DC``, with what holds of them themselves or without."""
        plan = self.plan
        parts = self._belonging(plan.subject)
        if plan.base != plan.subject:
            parts += self._belonging(plan.base)
        said = plural(self._noun(plan.subject)) + " and".join(parts)
        conditions = [condition for condition in plan.filters if condition.at.table == plan.subject]
        return f"{said} with {' and '.join(map(self._own, conditions))}" if own and conditions else said

    def _belonging(self, table: str) -> list[str]:
        """What the rows of a table belong to, each after its ``of``."""
        parts = []
        for link in self.plan.links:
            if link.table != table or link.parent == self.plan.subject or not self._has_filter(link.parent):
                continue
            own = [condition for condition in self.plan.filters if condition.at.table == link.parent]
            deeper = " and".join(self._belonging(link.parent))
            if len(own) == 1 and not deeper and self._is_label(own[0].at) and own[0].operator == "is":
                parts.append(f" of the {self._noun(link.parent)} {shown(own[0].value)}")
                continue
            having = f" with {' and '.join(map(self._own, own))}" if own else ""
            parts.append(f" of {plural(self._noun(link.parent))}{having}{deeper}")
        return parts

    def _has_filter(self, table: str) -> bool:
        if any(condition.at.table == table for condition in self.plan.filters):
            return True
        return any(link.table == table and self._has_filter(link.parent) for link in self.plan.links)

    def _own(self, condition: Filter) -> str:
        """``a unit price of more than 0.99``, ``the composer Mozart``, ``an invoice date in 2010``."""
        phrase = self._phrase(condition.at)
        match condition.operator:
            case "is" if isinstance(condition.value, str):
                return f"the {phrase} {shown(condition.value)}"
            case "is" if is_plural(phrase):
                return f"{_counted(condition.value, phrase)}"
            case "more" | "less" if is_plural(phrase):
                return f"{condition.operator} than {_counted(condition.value, phrase)}"
            case "is":
                return f"{article(phrase)} of {shown(condition.value)}"
            case "more":
                return f"{article(phrase)} of more than {shown(condition.value)}"
            case "less":
                return f"{article(phrase)} of less than {shown(condition.value)}"
            case "year":
                return f"{article(phrase)} in {condition.value}"

    def _noun(self, table: str) -> str:
        return self.known.tables[table].noun

    def _phrase(self, at: At) -> str:
        return self.known.tables[at.table].column(at.column).phrase

    def _is_label(self, at: At) -> bool:
        label = self.known.tables[at.table].label
        return label is not None and label.name == at.column
