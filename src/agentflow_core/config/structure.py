"""Build configuration objects out of nodes, strictly, and note every problem on the way."""

from __future__ import annotations

import enum
import typing
from pathlib import Path, PurePath
from types import NoneType
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.config.choices import Choices
from agentflow_core.config.defaults import complete
from agentflow_core.config.failure import FAILED
from agentflow_core.config.fields import (
    fields_of,
    fits,
    is_section,
    item_type,
    mapping_types,
    members,
    name_of,
    same,
    words,
)
from agentflow_core.config.nodes import Node, describe, plain
from agentflow_core.config.options import Option, PluginChoice, violation
from agentflow_core.config.paths import absolute
from agentflow_core.config.scalars import parse_scalar
from agentflow_core.errors import ConfigError, UsageError
from agentflow_core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.config.choices import Plugins
    from agentflow_core.config.origins import Origins
    from agentflow_core.config.problems import Problems

__all__ = ["Structurer"]

Where = tuple[str, ...]


class Structurer:
    """Turns nodes into values of the types that a configuration class declares.

    ``origins`` learns which values came from variables. A value that cannot be built is `FAILED`, its problem noted.
    """

    def __init__(self, problems: Problems, origins: Origins, plugins: Plugins | None) -> None:
        self.problems = problems
        self._origins = origins
        self._choices = Choices(self, plugins)

    # ---- sections

    def section(self, node: Node, cls: type, path: Where) -> Any:
        """An instance of the class; an empty section is one with all defaults."""
        if node.broken:
            return FAILED
        given = {} if node.value is None else node.value
        if not isinstance(given, dict):
            return self.refuse(f"expected a mapping (key: value), got {describe(node)}", node, path)
        known = fields_of(cls)
        failed = False
        for key in (key for key in given if key not in known):
            close = did_you_mean(key, known)
            self.problems.add(f"unknown key{close}", node.key_marks.get(key, node.mark), (*path, key))
            failed = True
        values: dict[str, Any] = {}
        for key, field in known.items():
            if key in given:
                values[key] = self.build(given[key], field.type, field.option, (*path, key))
                if field.required and values[key] == "":
                    values[key] = self.refuse("is empty", given[key], (*path, key))
            elif field.required:
                about = f": {field.option.help}" if field.option.help else ""
                values[key] = self.refuse(f"is missing{about}", node, (*path, key))
            else:
                values[key] = complete(field.make_default(), field.option, node, (*path, key), self._choices)
        if failed or any(value is FAILED for value in values.values()):
            return FAILED
        return self._construct(cls, values, node, path)

    def _construct(self, cls: type, values: dict[str, Any], node: Node, path: Where) -> Any:
        try:
            return cls(**values)
        except ConfigError as error:
            for problem in error.problems:
                said = self.redact(problem.message)
                self.problems.add(said, self._mark(node, problem.path), (*path, *_split(problem.path)))
        except UsageError as error:
            said = "; ".join(part for part in (error.message, error.hint) if part)
            self.refuse(said, node, path, foreign=True)
        except (ValueError, TypeError) as error:
            self.refuse(str(error), node, path, foreign=True)
        return FAILED

    @staticmethod
    def _mark(node: Node, path: str) -> Any:
        """Where the value below the node stands, or the nearest one around it."""
        for key in _split(path):
            if isinstance(node.value, dict) and key in node.value:
                node = node.value[key]
            elif isinstance(node.value, tuple) and key.isdecimal() and int(key) < len(node.value):
                node = node.value[int(key)]
        return node.mark

    # ---- values

    def build(self, node: Node, expected: Any, option: Option, path: Where) -> Any:
        """The value of a node as the type asks for it."""
        if node.broken:
            return FAILED
        if expected in (Any, object):
            self.note_untyped(node, path, secret=option.secret)
            return plain(node)
        member = self._member(node, expected)
        if member is None:
            if isinstance(node.value, str) and node.variables and (read := _reread(node)) is not node:
                return self.build(read, expected, option, path)
            return self._wrong_type(node, expected, option, path)
        if member is PluginChoice:
            return self._choices.one(node, option, path)
        if is_section(member):
            return self.section(node, member, path)
        if (pair := mapping_types(member)) is not None:
            return self._mapping(node, pair, option, path)
        if item_type(member) is not None:
            return self._list(node, member, option, path)
        return self._scalar(node, member, option, path)

    def _member(self, node: Node, expected: Any) -> Any:
        """The type of a union that this kind of value is for."""
        candidates = members(expected)
        fitting = [one for one in candidates if fits(node.value, one)]
        if fitting:
            return int if int in fitting else fitting[0]
        if node.value is None and len(candidates) == 1 and (is_section(expected) or mapping_types(expected)):
            return expected
        return None

    def _wrong_type(self, node: Node, expected: Any, option: Option, path: Where) -> Any:
        wanted = " or ".join(name_of(one, option.plugin) for one in members(expected))
        advice = ""
        listed = [one for one in members(expected) if item_type(one) is not None]
        if listed and not isinstance(node.value, dict):
            advice = "; write it as a list: [ … ]"
        elif str in members(expected) and isinstance(node.value, (bool, int, float)) and not option.secret:
            advice = f'; quote it if it is text: "{node.written or plain(node)}"'
        elif bool in members(expected) and str(node.value).lower() in ("yes", "no", "on", "off", "true", "false"):
            advice = "; write true or false, without quotes"
        close = ""
        if isinstance(node.value, str) and not option.secret and not node.variables:
            close = did_you_mean(node.value, [one for one in words(expected) if isinstance(one, str)])
        return self.refuse(f"expected {wanted}, got {describe(node, secret=option.secret)}{advice}{close}", node, path)

    def _mapping(self, node: Node, pair: tuple[Any, Any], option: Option, path: Where) -> Any:
        given = {} if node.value is None else node.value
        assert isinstance(given, dict)  # _member saw to it
        key_type, value_type = pair
        built: dict[Any, Any] = {}
        for key, part in given.items():
            here = (*path, key)
            mark = node.key_marks.get(key, node.mark)
            made_key = self.build(Node(value=key, mark=mark), key_type, Option(choices=option.choices), here)
            if value_type is PluginChoice and option.plugin not in (None, "model"):
                made = self._choices.named(key, mark, part, option, here)
            else:
                made = self.build(part, value_type, evolve(option, choices=None), here)
            built[made_key] = made
        failed = any(key is FAILED or value is FAILED for key, value in built.items())
        return FAILED if failed else built

    def _list(self, node: Node, member: Any, option: Option, path: Where) -> Any:
        assert isinstance(node.value, tuple)  # _member saw to it
        types = item_type(member)
        if isinstance(types, tuple):
            if len(types) != len(node.value):
                return self.refuse(f"expected a list of {len(types)}, got one of {len(node.value)}", node, path)
        else:
            types = (types,) * len(node.value)
        pairs = enumerate(zip(node.value, types, strict=True))
        built = [self.build(part, kind, option, (*path, str(index))) for index, (part, kind) in pairs]
        if any(value is FAILED for value in built):
            return FAILED
        return built if typing.get_origin(member) is list else tuple(built)

    def _scalar(self, node: Node, member: Any, option: Option, path: Where) -> Any:
        self._origins.note(path, node, secret=option.secret)
        value = node.value
        if member is NoneType:
            return None
        if member is float and isinstance(value, int):
            value = float(value)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            return next(one for one in member if same(one.value, value))
        if node.variables and (wrong := violation(value, evolve(option, secret=True))):
            return self.refuse(f"{wrong}, got {describe(node)}", node, path)
        if wrong := violation(value, option):
            return self.refuse(wrong, node, path)
        if isinstance(value, str) and (option.path or (isinstance(member, type) and issubclass(member, PurePath))):
            return self._path(value, member, node, path)
        return value

    def _path(self, text: str, member: Any, node: Node, path: Where) -> Any:
        try:
            found = absolute(text, node.folder, pattern=member is str)
        except ValueError as error:
            return self.refuse(str(error), node, path)
        return found if member is str else Path(found)

    # ---- shared with choices

    def refuse(self, message: str, node: Node, path: Where, *, foreign: bool = False) -> Any:
        """Note a problem; the value is `FAILED`. A ``foreign`` message may repeat what came from variables."""
        self.problems.add(self.redact(message) if foreign else message, node.mark, path)
        return FAILED

    def redact(self, message: str) -> str:
        """The message of somebody else without what came from variables or is secret."""
        return self._origins.redact(message)

    def note(self, node: Node, path: Where) -> None:
        """Remember what came from variables."""
        self._origins.note(path, node)

    def note_untyped(self, node: Node, path: Where, *, secret: bool = False) -> None:
        """Remember what came from variables below a node where no type says which values are secret."""
        for here, scalar in _scalars(node, path):
            self._origins.note(here, scalar, secret=secret, untyped=True)


def _scalars(node: Node, path: Where) -> Iterator[tuple[Where, Node]]:
    if isinstance(node.value, dict):
        for key, part in node.value.items():
            yield from _scalars(part, (*path, key))
    elif isinstance(node.value, tuple):
        for index, part in enumerate(node.value):
            yield from _scalars(part, (*path, str(index)))
    else:
        yield path, node


def _split(path: str) -> Where:
    return tuple(path.split(".")) if path else ()


def _reread(node: Node) -> Node:
    """The node with its expanded text read as a number or boolean; the node itself where it is text."""
    assert isinstance(node.value, str)  # the caller saw to it
    try:
        value = parse_scalar(node.value)
    except ValueError:
        return node
    return node if isinstance(value, str) else evolve(node, value=value)
