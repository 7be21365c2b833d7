"""Read JSON (RFC 8259) with the place of every value."""

from __future__ import annotations

import re
from json import JSONDecodeError, decoder
from typing import TYPE_CHECKING, Final

from agentflow_core.config.nodes import MAX_DEPTH, MAX_VALUES, Lines, Node, Refused, encodable
from agentflow_core.config.problems import Mark, Problems, twice
from agentflow_core.config.scalars import parse_scalar

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_json"]

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD: Final = re.compile(r"-?[A-Za-z_]+|[-+.0-9][-+.0-9A-Za-z]*|'")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_ADVICE: Final = {
    "True": "write true",
    "False": "write false",
    "None": "write null",
    "'": "text stands in double quotes",
    "NaN": "NaN is not JSON",
    "Infinity": "Infinity is not JSON",
    "-Infinity": "-Infinity is not JSON",
}


def read_json(text: str, lines: Lines, folder: Path | None, problems: Problems) -> Node | None:
    """The document's root, or None where it is empty.

    Duplicate keys and numbers out of range are added to ``problems``.

    Raises:
        Refused: a syntax error, or a document that is too deep or too large.
    """
    return _Scanner(text, lines, folder, problems).document()


class _Scanner:
    def __init__(self, text: str, lines: Lines, folder: Path | None, problems: Problems) -> None:
        self._text = text
        self._at = 0
        self._lines = lines
        self._folder = folder
        self._problems = problems
        self._path: list[str] = []
        self._count = 0

    def document(self) -> Node | None:
        if not self._peek():
            return None
        root = self._value(1)
        if self._peek():
            raise Refused("something after the end of the document", self._at)
        return root

    def _peek(self) -> str:
        """The next character that is no space, or the empty string; ``_at`` stands before it."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Node:
        self._count += 1
        if depth > MAX_DEPTH:
            raise Refused(f"nested deeper than {MAX_DEPTH} levels", self._at)
        if self._count > MAX_VALUES:
            raise Refused(f"more than {MAX_VALUES} values", self._at)
        char = self._peek()
        at = self._at
        if char == "{":
            return self._object(at, depth)
        if char == "[":
            return self._array(at, depth)
        if char == '"':
            text = self._string()
            return Node(value=text, mark=self._lines.mark(at), folder=self._folder, broken=text is None)
        return self._scalar(at)

    def _scalar(self, at: int) -> Node:
        mark = self._lines.mark(at)
        number = _NUMBER.match(self._text, at)
        word = _WORD.match(self._text, at)
        written = word.group() if word else ""
        if written in _WORDS:
            self._at += len(written)
            return Node(value=_WORDS[written], mark=mark, written=written)
        if number and number.group() == written:
            self._at = number.end()
            try:
                return Node(value=parse_scalar(written), mark=mark, written=written)
            except ValueError as error:
                self._problems.add(str(error), mark, self._path)
                return Node(value=None, mark=mark, broken=True)
        raise self._unexpected("a value", _ADVICE.get(written, ""))

    def _string(self) -> str | None:
        """The string at ``_at``; None after a problem."""
        start = self._at
        try:
            text: str
            text, self._at = decoder.scanstring(self._text, start + 1, True)  # type: ignore[attr-defined]
        except JSONDecodeError as error:
            raise Refused(f"not JSON: {error.msg[0].lower()}{error.msg[1:].removesuffix(' at')}", error.pos) from error
        if encodable(text):
            return text
        self._problems.add("half of a surrogate pair, which UTF-8 cannot carry", self._lines.mark(start), self._path)
        return None

    def _array(self, at: int, depth: int) -> Node:
        parts: list[Node] = []
        self._at += 1
        while not self._closed("]", first=not parts):
            self._path.append(str(len(parts)))
            parts.append(self._value(depth + 1))
            self._path.pop()
        return Node(value=tuple(parts), mark=self._lines.mark(at), folder=self._folder)

    def _object(self, at: int, depth: int) -> Node:
        parts: dict[str, Node] = {}
        key_marks: dict[str, Mark] = {}
        first = True
        self._at += 1
        while not self._closed("}", first=first):
            first = False
            if self._peek() != '"':
                raise self._unexpected("a key in double quotes")
            mark = self._lines.mark(self._at)
            key = self._string()
            if self._peek() != ":":
                raise self._unexpected("a ':' after the key")
            self._at += 1
            self._path.append("?" if key is None else key)
            part = self._value(depth + 1)
            self._path.pop()
            if key is not None and key in parts:
                self._problems.add(twice(key_marks[key]), mark, (*self._path, key))
            elif key is not None:
                parts[key], key_marks[key] = part, mark
        return Node(value=parts, mark=self._lines.mark(at), key_marks=key_marks, folder=self._folder)

    def _closed(self, bracket: str, *, first: bool) -> bool:
        """Whether the bracket ends here; else the comma before the next part is passed."""
        char = self._peek()
        if char == bracket:
            self._at += 1
            return True
        if first:
            return False
        if char != ",":
            raise self._unexpected(f"',' or '{bracket}'")
        comma = self._at
        self._at += 1
        if self._peek() == bracket:
            raise Refused(f"a comma before '{bracket}'; JSON allows none after the last part", comma)
        return False

    def _unexpected(self, expected: str, advice: str = "") -> Refused:
        char = self._peek()
        came = repr(char) if char else "the end of the file"
        if char in ("/", "#"):
            advice = "JSON has no comments; a .yaml file may have them"
        return Refused(f"not JSON: expected {expected}, got {came}{f'; {advice}' if advice else ''}", self._at)
