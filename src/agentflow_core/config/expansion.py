"""Expand ``${VAR}`` and ``${VAR:-default}`` in text; ``$$`` is a dollar sign."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from agentflow_core.config.nodes import Node, encodable
from agentflow_core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.config.problems import Problems

__all__ = ["escape", "expand"]

_OPEN: Final = re.compile(r"\$(?:\$|\{)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_NESTING: Final = 16
_MAX_LENGTH: Final = 1 << 20


class _Unexpandable(Exception):
    """Why a text cannot be expanded."""


@frozen
class _Expanded:
    text: str
    variables: tuple[str, ...] = ()
    from_environment: bool = False  #: its first character came out of a variable
    end: int = 0


def expand(node: Node, environ: Mapping[str, str], problems: Problems, path: tuple[str, ...] = ()) -> Node:
    """The node with every text below it expanded; what cannot be is a problem, and its node broken."""
    return _Expander(environ, problems).expand(node, path)


class _Expander:
    """Expands each node once, however many aliases name it."""

    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self._problems = problems
        self._done: dict[int, Node] = {}

    def expand(self, node: Node, path: tuple[str, ...]) -> Node:
        if node.expanded:
            return node
        if id(node) not in self._done:
            self._done[id(node)] = self._expanded(evolve(node, expanded=True), path)
        return self._done[id(node)]

    def _expanded(self, node: Node, path: tuple[str, ...]) -> Node:
        value = node.value
        if isinstance(value, dict):
            return evolve(node, value={key: self.expand(part, (*path, key)) for key, part in value.items()})
        if isinstance(value, tuple):
            return evolve(node, value=tuple(self.expand(part, (*path, str(i))) for i, part in enumerate(value)))
        if not isinstance(value, str) or "$" not in value:
            return node
        try:
            found = _expand(value, 0, self._environ, nesting=0)
        except _Unexpandable as reason:
            self._problems.add(str(reason), node.mark, path)
            return evolve(node, broken=True)
        if not found.variables:
            return evolve(node, value=found.text)
        folder = None if found.from_environment else node.folder
        return evolve(node, value=found.text, written=value, variables=found.variables, folder=folder)


def _expand(text: str, start: int, environ: Mapping[str, str], *, nesting: int) -> _Expanded:
    """Expand from ``start`` to the end, or where nested to the brace that closes it."""
    if nesting > _MAX_NESTING:
        raise _Unexpandable("variables nested too deep")
    pieces: list[str] = []
    variables: list[str] = []
    from_environment = False
    at, length = start, 0
    while at < len(text):
        char = text[at]
        if char == "}" and nesting:
            return _Expanded("".join(pieces), tuple(variables), from_environment, at)
        match = _OPEN.match(text, at)
        if match is None:
            pieces.append(char)
            length += 1
            at += 1
        elif match.group() == "$$":
            pieces.append("$")
            length += 1
            at += 2
        else:
            found = _variable(text, match.end(), environ, nesting=nesting)
            from_environment = from_environment or (length == 0 and found.from_environment)
            pieces.append(found.text)
            length += len(found.text)
            if length > _MAX_LENGTH:
                raise _Unexpandable(f"expands to more than {_MAX_LENGTH} characters")
            variables.extend(found.variables)
            at = found.end
    if nesting:
        raise _Unexpandable("'${' without '}'; a literal '${' is written '$${'")
    return _Expanded("".join(pieces), tuple(dict.fromkeys(variables)), from_environment, at)


def _variable(text: str, at: int, environ: Mapping[str, str], *, nesting: int) -> _Expanded:
    """The variable whose name starts at ``at``; ``end`` is after its closing brace."""
    name_match = _NAME.match(text, at)
    if name_match is None:
        raise _Unexpandable("write ${NAME} or ${NAME:-default}; a literal '${' is written '$${'")
    name, at = name_match.group(), name_match.end()
    default: _Expanded | None = None
    if text.startswith(":-", at):
        default = _expand(text, at + 2, environ, nesting=nesting + 1)
        at = default.end
    if not text.startswith("}", at):
        raise _Unexpandable(f"write ${{{name}}} or ${{{name}:-default}}; a literal '${{' is written '$${{'")
    value = environ.get(name)
    if default is not None and not value:
        return _Expanded(default.text, (name, *default.variables), default.from_environment, at + 1)
    if value is None:
        known = [other for other in environ if other.isupper()]
        raise _Unexpandable(f"the variable {name} is not set{did_you_mean(name, known)}")
    if not encodable(value):
        raise _Unexpandable(f"the variable {name} holds bytes that are not UTF-8")
    return _Expanded(value, (name,), True, at + 1)


def escape(text: str) -> str:
    """The text such that expanding gives it back."""
    return re.sub(r"\$(?=[${])", "$$", text)
