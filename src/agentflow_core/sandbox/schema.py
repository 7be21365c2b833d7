"""Turn a parameter's annotation into its JSON Schema and its check, both made once.

What a check accepts, and nothing else:

==================  =================================================================================
``int``             an integer of 64 bits; ``5.0`` is 5, as in JSON Schema; ``"5"`` and ``true`` are not
``float``           a finite number; an integer becomes a float
``bool``            ``true`` or ``false``
``str``             text that can be encoded as UTF-8
``Literal``, Enum   one of the listed values; an Enum's member reaches the tool
``list``, ``tuple``  a list; each item is checked, and its number counts in error messages
``dict``            an object with text keys; each value is checked
``X | None``        null, or what X accepts; other unions take the first member that accepts the value
``Any``             any JSON value
==================  =================================================================================
"""

from __future__ import annotations

import enum
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from attrs import frozen

from agentflow_core.names import did_you_mean

__all__ = ["Checked", "Invalid", "Range", "UnsupportedAnnotation", "compile_annotation"]

MAX_DEPTH = 64
_INT_LIMIT = 2**63


@frozen
class Range:
    """Bounds of a parameter: of a number's value, a text's characters, or a list's or object's items."""

    at_least: float | None = None
    at_most: float | None = None


class Invalid(Exception):
    """A value that a parameter does not accept: where, what is wrong, and what to send instead."""

    def __init__(self, message: str, hint: str = "", path: str = "") -> None:
        super().__init__(message)
        self.path = path  #: below the parameter: ``[2].name``
        self.message = message
        self.hint = hint

    def at(self, step: str) -> Invalid:
        """The same, seen from one level up."""
        return Invalid(self.message, self.hint, step + self.path)


class UnsupportedAnnotation(Exception):
    """An annotation that has no JSON Schema."""


Check = Callable[[Any], Any]


@frozen(kw_only=True)
class Checked:
    """A compiled annotation: its schema, its check, and the description that ``Annotated`` carried."""

    schema: dict[str, Any]
    check: Check
    description: str = ""


def compile_annotation(annotation: Any) -> Checked:
    """Compile an annotation whose names are resolved.

    Raises:
        UnsupportedAnnotation: it has no form in JSON.
    """
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        checked = compile_annotation(inner)
        description = checked.description
        for extra in extras:
            if isinstance(extra, str):
                description = extra
            elif isinstance(extra, Range):
                checked = _bounded(checked, extra)
        return Checked(schema=checked.schema, check=checked.check, description=description)
    if annotation in _SIMPLE:
        schema, check = _SIMPLE[annotation]
        return Checked(schema=dict(schema), check=check)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _choices({member.value: member for member in annotation})
    origin = get_origin(annotation)
    if origin is Literal:
        return _choices({value: value for value in get_args(annotation)})
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation))
    if annotation in (list, tuple, Sequence) or origin in (list, tuple, Sequence):
        return _list(annotation)
    if annotation in (dict, Mapping) or origin in (dict, Mapping):
        return _object(annotation)
    raise UnsupportedAnnotation(f"{annotation!r} has no form in JSON")


def shown(value: Any) -> str:
    """What an error message says a value is: its JSON type, and the value where that is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        safe = value[:40].encode("ascii", "backslashreplace").decode()
        return f'the text "{safe}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, int):
        return f"the integer {value}" if -_INT_LIMIT <= value < _INT_LIMIT else "an integer of more than 64 bits"
    if isinstance(value, float):
        return f"the number {value}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "a list"
    return f"a {type(value).__name__}, which is not JSON"


# ---- simple values


def _integer(value: Any) -> int:
    if type(value) is int and -_INT_LIMIT <= value < _INT_LIMIT:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    hint = f"send {value.strip()} without quotes" if isinstance(value, str) and _is_digits(value) else ""
    raise Invalid(f"expected an integer, got {shown(value)}", hint)


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and -_INT_LIMIT <= value < _INT_LIMIT:
        return float(value)
    hint = f"send {value.strip()} without quotes" if isinstance(value, str) and _is_digits(value) else ""
    raise Invalid(f"expected a finite number, got {shown(value)}", hint)


def _is_digits(text: str) -> bool:
    return len(text) < 40 and text.strip().lstrip("+-").replace(".", "", 1).isdecimal() and text.isascii()


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    hint = "send true or false without quotes" if isinstance(value, str | int) else ""
    raise Invalid(f"expected true or false, got {shown(value)}", hint)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(f"expected a text, got {shown(value)}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Invalid(
                f"character {error.start} is a lone surrogate, which is not text",
                "send the whole character, or leave it out",
            ) from None
    return value


def _none(value: Any) -> None:
    if value is not None:
        raise Invalid(f"expected null, got {shown(value)}")


def _any(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    if depth >= MAX_DEPTH:
        raise Invalid(f"nested more than {MAX_DEPTH} levels deep", "send a flatter value")
    if isinstance(value, Mapping):
        return _each_value(value, lambda item: _any(item, depth + 1))
    if isinstance(value, list | tuple):
        return _each_item(value, lambda item: _any(item, depth + 1))
    raise Invalid(f"expected a JSON value, got {shown(value)}")


def _each_item(value: Sequence[Any], check: Check) -> list[Any]:
    checked: list[Any] = []
    try:
        for item in value:
            checked.append(check(item))  # noqa: PERF401 - its length tells which item is wrong
    except Invalid as error:
        raise error.at(f"[{len(checked)}]") from None
    return checked


def _each_value(value: Mapping[Any, Any], check: Check) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    name = ""
    try:
        for key, item in value.items():
            name = _key(key)
            checked[name] = check(item)
    except Invalid as error:
        raise error.at(f".{name}") if name else error from None
    return checked


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise Invalid(f"expected text keys, got {shown(key)}")
    return _text(key)


_SIMPLE: dict[Any, tuple[dict[str, Any], Check]] = {
    int: ({"type": "integer"}, _integer),
    float: ({"type": "number"}, _number),
    bool: ({"type": "boolean"}, _boolean),
    str: ({"type": "string"}, _text),
    type(None): ({"type": "null"}, _none),
    None: ({"type": "null"}, _none),
    Any: ({}, _any),
    object: ({}, _any),
}


# ---- composed values


def _choices(by_value: dict[Any, Any]) -> Checked:
    types_of = {bool: "boolean", int: "integer", str: "string", float: "number", type(None): "null"}
    if not by_value or not all(type(value) in types_of for value in by_value):
        raise UnsupportedAnnotation("choices are texts, numbers, true, false or null")
    by_key = {(type(value), value): member for value, member in by_value.items()}
    names = [value for value in by_value if isinstance(value, str)]
    listed = ", ".join(repr(value) for value in by_value)
    found_types = sorted({types_of[type(value)] for value in by_value})

    def check(value: Any) -> Any:
        try:
            return by_key[type(value), value]
        except (KeyError, TypeError):
            guess = did_you_mean(value, names) if isinstance(value, str) and len(value) < 100 else ""
            raise Invalid(f"expected one of {listed}, got {shown(value)}{guess}") from None

    schema = {"type": found_types[0] if len(found_types) == 1 else found_types, "enum": list(by_value)}
    return Checked(schema=schema, check=check)


def _union(members: tuple[Any, ...]) -> Checked:
    compiled = [compile_annotation(member) for member in members if member not in (None, type(None))]
    nullable = len(compiled) < len(members)
    description = next((one.description for one in compiled if one.description), "")
    if len(compiled) == 1:
        only = compiled[0]

        def check_optional(value: Any) -> Any:
            return None if value is None else only.check(value)

        return Checked(schema=_nullable(only.schema), check=check_optional, description=description)

    def check(value: Any) -> Any:
        if value is None and nullable:
            return None
        failures = []
        for one in compiled:
            try:
                return one.check(value)
            except Invalid as error:
                failures.append(error)
        deepest = max(failures, key=lambda error: len(error.path))
        if deepest.path:  # an item of a list or object is wrong: that says more than "none of these"
            raise deepest
        wanted = " or ".join(dict.fromkeys(error.message.partition(", got ")[0] for error in failures))
        hint = next((error.hint for error in failures if error.hint), "")
        raise Invalid(f"{wanted}, got {shown(value)}", hint)

    options = [one.schema for one in compiled] + ([{"type": "null"}] if nullable else [])
    return Checked(schema={"anyOf": options}, check=check, description=description)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    made = dict(schema)
    if "type" in made:
        kinds = made["type"] if isinstance(made["type"], list) else [made["type"]]
        made["type"] = [*kinds, "null"]
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    return made


def _list(annotation: Any) -> Checked:
    arguments = get_args(annotation)
    as_tuple = annotation is tuple or get_origin(annotation) is tuple
    if as_tuple and arguments and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        raise UnsupportedAnnotation(f"{annotation!r}: write tuple[X, ...] or list[X]")
    item = compile_annotation(arguments[0] if arguments else Any)
    check_item = item.check

    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            hint = "send a list, even for one item" if isinstance(value, str) else ""
            raise Invalid(f"expected a list, got {shown(value)}", hint)
        checked = _each_item(value, check_item)
        return tuple(checked) if as_tuple else checked

    return Checked(schema={"type": "array", "items": _described(item)}, check=check)


def _object(annotation: Any) -> Checked:
    key, value_type = get_args(annotation) or (str, Any)
    if key is not str:
        raise UnsupportedAnnotation(f"{annotation!r}: the keys of a JSON object are texts")
    item = compile_annotation(value_type)
    check_item = item.check

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Invalid(f"expected an object, got {shown(value)}")
        return _each_value(value, check_item)

    schema: dict[str, Any] = {"type": "object"}
    if item.schema:
        schema["additionalProperties"] = _described(item)
    return Checked(schema=schema, check=check)


def _described(item: Checked) -> dict[str, Any]:
    return {**item.schema, "description": item.description} if item.description else item.schema


_BOUNDS = {
    "integer": ("minimum", "maximum", ""),
    "number": ("minimum", "maximum", ""),
    "string": ("minLength", "maxLength", " characters"),
    "array": ("minItems", "maxItems", " items"),
    "object": ("minProperties", "maxProperties", " items"),
}


def _bounded(checked: Checked, bounds: Range) -> Checked:
    kinds = checked.schema.get("type")
    named = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in _BOUNDS]
    if len(named) != 1 or "enum" in checked.schema:
        raise UnsupportedAnnotation("Range bounds numbers, texts, lists and objects")
    low_key, high_key, unit = _BOUNDS[named[0]]
    inner, low, high = checked.check, bounds.at_least, bounds.at_most
    schema = dict(checked.schema)
    if low is not None:
        schema[low_key] = low
    if high is not None:
        schema[high_key] = high

    def check(value: Any) -> Any:
        accepted = inner(value)
        if accepted is None:
            return accepted
        size = len(accepted) if unit else accepted
        if low is not None and size < low:
            raise Invalid(f"expected at least {low}{unit}, got {size}", f"send {low} or more{unit}")
        if high is not None and size > high:
            raise Invalid(f"expected at most {high}{unit}, got {size}", f"send {high} or fewer{unit}")
        return accepted

    return Checked(schema=schema, check=check, description=checked.description)
