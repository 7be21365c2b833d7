"""The values of a document, each with the place where it was written."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Final

from attrs import field, frozen

from agentflow_core.config.problems import Mark, Problems, quote
from agentflow_core.config.scalars import check_number

__all__ = [
    "MAX_DEPTH",
    "MAX_VALUES",
    "TEXT_OF_A_VALUE",
    "Lines",
    "Node",
    "Refused",
    "Settings",
    "describe",
    "encodable",
    "from_python",
    "plain",
]

MAX_DEPTH: Final = 64
#: Values of one document, aliases expanded: more is a bomb, not a configuration.
MAX_VALUES: Final = 50_000
#: Characters that count as one more value.
TEXT_OF_A_VALUE: Final = 100

Value = bool | int | float | str | tuple["Node", ...] | dict[str, "Node"] | None


class Refused(Exception):
    """A document that cannot be read on from here; ends parsing, becomes a problem."""

    def __init__(self, message: str, offset: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@frozen(kw_only=True, eq=False)
class Node:
    """One value of a document."""

    value: Value
    mark: Mark = Mark()
    written: str = ""  #: as it stands in the file: of numbers, booleans, nulls, and of text before expansion
    key_marks: Mapping[str, Mark] = field(factory=dict)
    folder: Path | None = None  #: what relative paths start from; None: the working directory
    variables: tuple[str, ...] = ()  #: that the text came from
    broken: bool = False  #: a problem was reported already
    expanded: bool = False  #: variables below it are expanded already


class Settings(dict[str, Any]):
    """The settings of a plugin as plain data where no registry typed them, with the nodes that they came from.

    Loading them later into the plugin's class expands nothing twice and keeps file, line and folder.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(plain(node))
        self.node = node


class Lines:
    """Offsets of a text to marks."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]

    def mark(self, offset: int) -> Mark:
        """The mark of a character."""
        if self._file.startswith("--set"):
            return Mark(self._file)
        line = bisect_right(self._starts, offset)
        return Mark(self._file, line, offset - self._starts[line - 1] + 1)


def encodable(text: str) -> bool:
    """Whether UTF-8 can carry the text: it holds no lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def plain(node: Node) -> Any:
    """The value as plain Python data."""
    if isinstance(node.value, dict):
        return {key: plain(part) for key, part in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(part) for part in node.value]
    return node.value


def describe(node: Node, *, secret: bool = False) -> str:
    """What came, for messages: no secret and no expanded variable is repeated."""
    value = node.value
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return "a list"
    kind = "text" if isinstance(value, str) else "the boolean" if isinstance(value, bool) else "the number"
    if node.variables:
        return f"{kind} from {quote(node.written)[1:-1]}"
    if secret:
        return kind.replace("the ", "a ")
    if isinstance(value, str):
        return f"{kind} {quote(value)}"
    return f"{kind} {quote(node.written or _json(value))[1:-1]}"


def _json(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def from_python(value: object, problems: Problems) -> Node:
    """The node of plain Python data: mappings with text keys, lists, text, numbers, booleans, None, paths, enums."""
    return _PythonReader(problems).read(value, ())


class _PythonReader:
    """Counts what it reads, so that data that holds itself ends as a problem."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._count = 0

    def read(self, value: object, path: tuple[str, ...]) -> Node:
        if isinstance(value, Settings):
            return value.node
        self._count += 1
        if len(path) > MAX_DEPTH or self._count > MAX_VALUES:
            return self._refuse("nested too deep or too large for a configuration", path)
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return Node(value=value)
        if isinstance(value, (int, float)):
            try:
                return Node(value=check_number(value))
            except ValueError as error:
                return self._refuse(str(error), path)
        if isinstance(value, (str, PurePath)):
            text = str(value)
            return Node(value=text) if encodable(text) else self._refuse("text that UTF-8 cannot carry", path)
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, (list, tuple)):
            return Node(value=tuple(self.read(part, (*path, str(index))) for index, part in enumerate(value)))
        return self._refuse(f"{type(value).__name__} is not plain data", path)

    def _mapping(self, value: Mapping[Any, Any], path: tuple[str, ...]) -> Node:
        parts: dict[str, Node] = {}
        for key, part in value.items():
            if isinstance(key, str) and encodable(key):
                parts[str(key)] = self.read(part, (*path, str(key)))
            else:
                self._refuse(f"the key {quote(str(key))} is not text", path)
        return Node(value=parts)

    def _refuse(self, message: str, path: tuple[str, ...]) -> Node:
        self._problems.add(message, Mark(), path)
        return Node(value=None, broken=True)
