"""Look into a configuration class: its fields, their types and what `option` was told."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Final

import attrs
from attrs import NOTHING, frozen

from agentflow_core.config.options import Option, PluginChoice, option_of

__all__ = [
    "ConfigField",
    "fields_of",
    "fits",
    "is_section",
    "item_type",
    "mapping_types",
    "members",
    "name_of",
    "same",
    "words",
]

_SCALARS: Final[dict[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    types.NoneType: "null",
}


@frozen(kw_only=True)
class ConfigField:
    """One key of a section."""

    key: str
    type: Any
    option: Option
    default: Any = NOTHING  #: or an ``attrs.Factory``

    @property
    def required(self) -> bool:
        """Whether the key must be written."""
        return self.default is NOTHING

    def make_default(self) -> Any:
        """The value where the key is missing."""
        return self.default.factory() if isinstance(self.default, attrs.Factory) else self.default  # type: ignore[arg-type]


@cache
def fields_of(cls: type) -> Mapping[str, ConfigField]:
    """The keys that the class can be configured by.

    Raises:
        TypeError: a type that cannot be found at run time.
    """
    try:
        hints = typing.get_type_hints(cls)
    except NameError as error:
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__}: the type {error.name!r} is not there at run time; "
            "import it outside of TYPE_CHECKING"
        ) from error
    return {
        attribute.alias: ConfigField(
            key=attribute.alias,
            type=hints.get(attribute.name, Any),
            option=option_of(attribute),
            default=attribute.default,
        )
        for attribute in attrs.fields(cls)
        if attribute.init
    }


def is_section(expected: Any) -> bool:
    """Whether the type is a configuration class, which a mapping of keys describes."""
    return isinstance(expected, type) and attrs.has(expected) and expected is not PluginChoice


def members(expected: Any) -> tuple[Any, ...]:
    """The types of a union, null last; of any other type the type itself."""
    if typing.get_origin(expected) not in (typing.Union, types.UnionType):
        return (expected,)
    found = typing.get_args(expected)
    return (*(one for one in found if one is not types.NoneType), *(one for one in found if one is types.NoneType))


def item_type(expected: Any) -> Any:
    """The element type of a list-like type, a tuple of them for a fixed tuple, None for any other type."""
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if origin is tuple:
        return args[0] if len(args) == 2 and args[1] is Ellipsis else args
    if origin in (list, Sequence):
        return args[0]
    return None


def mapping_types(expected: Any) -> tuple[Any, Any] | None:
    """Key and value type of a mapping type."""
    if expected in (dict, Mapping):
        return str, Any
    if typing.get_origin(expected) in (dict, Mapping):
        key, value = typing.get_args(expected)
        return key, value
    return None


def name_of(expected: Any, plugin: str | None = None) -> str:
    """What messages call the type; of a choice, that of a ``plugin`` of this kind."""
    if expected in _SCALARS:
        return _SCALARS[expected]
    if typing.get_origin(expected) is typing.Literal:
        return "one of " + ", ".join(repr(value) for value in typing.get_args(expected))
    if _is_a(expected, enum.Enum):
        return "one of " + ", ".join(repr(member.value) for member in expected)
    if _is_a(expected, PurePath):
        return "a path"
    if expected is PluginChoice:
        return "offline, openai/NAME or {provider: …}" if plugin == "model" else "a name, or {name: {settings}}"
    return "a list" if item_type(expected) is not None else "a mapping (key: value)"


def words(expected: Any) -> list[Any]:
    """The values of the literals and enums among the members."""
    found: list[Any] = []
    for one in members(expected):
        if typing.get_origin(one) is typing.Literal:
            found += typing.get_args(one)
        elif _is_a(one, enum.Enum):
            found += [each.value for each in one]
    return found


def same(one: object, other: object) -> bool:
    """Equal, and not as True equals 1."""
    return one == other and type(one) is type(other)


def fits(value: Any, member: Any) -> bool:
    """Whether the kind of value is what the type is written as."""
    if typing.get_origin(member) is typing.Literal:
        return any(same(one, value) for one in typing.get_args(member))
    if _is_a(member, enum.Enum):
        return any(same(one.value, value) for one in member)
    if member is PluginChoice:
        return isinstance(value, (str, dict))
    if is_section(member) or mapping_types(member) is not None:
        return isinstance(value, dict)
    if item_type(member) is not None:
        return isinstance(value, tuple)
    if member is bool:
        return isinstance(value, bool)
    if member in (int, float):
        return not isinstance(value, bool) and isinstance(value, (int, float) if member is float else int)
    if member is str or _is_a(member, PurePath):
        return isinstance(value, str)
    if member is types.NoneType:
        return value is None
    if member in (Any, object):
        return True
    raise TypeError(f"a configuration field cannot have the type {member!r}")


def _is_a(expected: Any, base: type) -> bool:
    return isinstance(expected, type) and issubclass(expected, base)
