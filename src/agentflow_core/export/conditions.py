"""Conditions over the fields of a record: what they are made of, whether one holds, and how it is written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

__all__ = [
    "COMPARISONS",
    "MISSING",
    "STEP",
    "All",
    "Compare",
    "Condition",
    "Either",
    "Field",
    "Items",
    "Not",
    "Operand",
    "Operator",
    "Value",
    "fields_of",
    "holds",
    "look_up",
    "to_text",
]

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
#: One step of a field, as it is written.
STEP = re.compile(r"""\.?([\w-]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_UNQUOTED = re.compile(r"[\w-]+")


class _Missing:
    """What a field has that a record does not have."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


@frozen
class Value:
    """A text, a number, true, false or null."""

    value: str | int | float | bool | None = field(eq=lambda value: (type(value), value))  #: so that 1 is not true


@frozen
class Items:
    """A list of values."""

    items: tuple[Operand, ...]


@frozen
class Field:
    """A field of the record, by its steps."""

    steps: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(step if _UNQUOTED.fullmatch(step) else _quoted(step) for step in self.steps)


Operand: TypeAlias = Value | Items | Field


@frozen
class Compare:
    """A test of two values, or of one alone, which holds where it is true."""

    left: Operand
    operator: Operator | None = None
    right: Operand | None = None


@frozen
class Not:
    """Holds where the other does not."""

    condition: Condition


@frozen
class All:
    """Holds where all do."""

    conditions: tuple[Condition, ...]


@frozen
class Either:
    """Holds where one does."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Compare | Not | All | Either


def holds(condition: Condition, record: Mapping[str, Any]) -> bool:
    """Whether a condition holds for a record as JSON."""
    match condition:
        case All(conditions):
            return all(holds(inner, record) for inner in conditions)
        case Either(conditions):
            return any(holds(inner, record) for inner in conditions)
        case Not(inner):
            return not holds(inner, record)
        case Compare(left, operator, right):
            value = _value(left, record)
            if operator is None or right is None:
                return value is True
            return _TESTS[operator](value, _value(right, record))


def fields_of(condition: Condition) -> Iterator[Field]:
    """The fields that a condition names, in order, each as often as it does."""
    pending: list[Condition | Operand | None] = [condition]
    while pending:
        match pending.pop(0):
            case All(conditions) | Either(conditions):
                pending[:0] = conditions
            case Not(inner):
                pending.insert(0, inner)
            case Compare(left, _, right):
                pending[:0] = [left, right]
            case Items(items):
                pending[:0] = items
            case Field() as field:
                yield field


def look_up(record: Any, steps: Sequence[str]) -> Any:
    """The value at a path of a record, or `MISSING`."""
    value = record
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(step, MISSING)
        elif isinstance(value, list):
            value = _item(value, step)
        else:
            return MISSING
    return value


def _item(items: list[Any], step: str) -> Any:
    if step.isascii() and step.isdecimal():
        return items[int(step)] if len(step) < 10 and int(step) < len(items) else MISSING
    return next((item for item in items if isinstance(item, Mapping) and item.get("name") == step), MISSING)


def to_text(condition: Condition) -> str:
    """The condition as a text that `parse_where` reads back."""
    match condition:
        case All(conditions):
            return " and ".join(map(_inner, conditions))
        case Either(conditions):
            return " or ".join(map(_inner, conditions))
        case Not(inner):
            return f"not {_inner(inner)}"
        case Compare(left, operator, right):
            if operator is None or right is None:
                return _operand(left)
            return f"{_operand(left)} {operator} {_operand(right)}"


def _inner(condition: Condition) -> str:
    text = to_text(condition)
    return text if isinstance(condition, Compare) else f"({text})"


def _operand(operand: Operand) -> str:
    match operand:
        case Items(items):
            return f"[{', '.join(map(_operand, items))}]"
        case Field():
            return str(operand)
        case Value(str() as text):
            return _quoted(text)
        case Value(float() as number) if not math.isfinite(number):
            return "1e999" if number > 0 else "-1e999"
        case Value(value):
            return json.dumps(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# ---- values


def _value(operand: Operand, record: Mapping[str, Any]) -> Any:
    match operand:
        case Value(value):
            return value
        case Items(items):
            return [_value(item, record) for item in items]
        case Field(steps):
            found = look_up(record, steps)
            return None if found is MISSING else found


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return test(left, right)
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (left, right))
        return numbers and test(left, right)

    return compare


def _contains(item: Any, whole: Any) -> bool:
    if isinstance(whole, str):
        return isinstance(item, str) and item in whole
    if isinstance(whole, Mapping):
        return isinstance(item, str) and item in whole
    return isinstance(whole, list) and any(_equal(item, other) for other in whole)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": _contains,
    "not in": lambda item, whole: not _contains(item, whole),
}

#: The operators that are signs.
COMPARISONS = tuple(name for name in _TESTS if not name.isalpha() and " " not in name)
