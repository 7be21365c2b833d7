"""Say how a number follows from the numbers in the evidence, if it does."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING

from agentflow_core.gates.reading import Hop, list_items
from agentflow_core.text import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["computation"]

#: Beyond so many numbers in the evidence, some pair of them makes almost any number.
_MOST_NUMBERS = 40
_DECIMALS = re.compile(r"\d[.](\d+)")


def computation(value: Decimal, answer: str, hops: Sequence[Hop]) -> str | None:
    """How ``value`` is computed from the evidence of ``hops``, as words for a reason; None if it is not.

    Tried in this order: how many quotes, lines or listed items there are; the greatest, least, sum and average of all
    numbers in the evidence; difference, sum, ratio and percentage of two of them. Ratios and averages count when they
    are equal after rounding to the decimals of the answer. With more than 40 numbers pairs are not tried.

    Args:
        value: the number that the answer is.
        answer: the answer as written, for its decimals.
        hops: the hops with their evidence.
    """
    quotes = [evidence.quote for hop in hops for evidence in hop.evidence]
    if counted := _counted(value, quotes):
        return counted
    found = [number.value for quote in quotes for number in numbers(quote)]
    if not found:
        return None
    rounding = _rounding(answer)
    if len(found) > 1:
        total = sum(found, Decimal(0))
        for name, result in (("greatest", max(found)), ("least", min(found)), ("sum", total)):
            if result == value:
                return f"the {name} of {len(found)} numbers in the evidence"
        if abs(total / len(found) - value) <= rounding:
            return f"the average of {len(found)} numbers in the evidence"
    if len(found) > _MOST_NUMBERS:
        return None
    for left, right in combinations(found, 2):
        if how := _of_two(value, left, right, rounding):
            return how
    return None


def _counted(value: Decimal, quotes: Sequence[str]) -> str | None:
    if value != value.to_integral_value() or value < 2:
        return None
    lines = sum(len([line for line in quote.splitlines() if line.strip()]) for quote in quotes)
    if value == len(quotes):
        return f"the number of quotes in the evidence ({value})"
    if value == lines:
        return f"the number of lines in the evidence ({value})"
    for quote in quotes:
        if value > 2 and value == len(list_items(quote)):
            return f"the number of items in {quote[:60]!r}"
    return None


def _of_two(value: Decimal, left: Decimal, right: Decimal, rounding: Decimal) -> str | None:
    if abs(left - right) == abs(value):
        return f"the difference of {left:f} and {right:f}"
    if left + right == value:
        return f"the sum of {left:f} and {right:f}"
    for over, under in ((left, right), (right, left)):
        if under:
            ratio = over / under
            if abs(ratio - value) <= rounding:
                return f"the ratio of {over:f} to {under:f}"
            if abs(ratio * 100 - value) <= rounding:
                return f"{over:f} as a percentage of {under:f}"
    return None


def _rounding(answer: str) -> Decimal:
    """Half a unit of the answer's last decimal; an answer without decimals must be met exactly."""
    decimals = _DECIMALS.search(answer)
    return Decimal(5).scaleb(-len(decimals[1]) - 1) if decimals else Decimal(0)
