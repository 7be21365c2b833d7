"""Read YAML with the place of every value: PyYAML's events, the core schema of YAML 1.2, nothing that surprises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from agentflow_core.config.nodes import MAX_DEPTH, MAX_VALUES, TEXT_OF_A_VALUE, Lines, Node, Refused, encodable
from agentflow_core.config.problems import Mark, Problems, quote, twice
from agentflow_core.config.scalars import parse_scalar

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_yaml"]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?::-[^][{},\"'#\s]*)?)\}")
#: Stand for braces while PyYAML reads; a file that holds them itself is read as it is.
_HIDDEN: Final = "\uf8fe\uf8ff"
_TAKEN: Final = re.compile(r"[\uf8fe\uf8ff]|\\[uU]0*[fF]8[fF][eEfF]")


def read_yaml(text: str, lines: Lines, folder: Path | None, problems: Problems) -> Node | None:
    """The document's root, or None where it is empty.

    ``${VAR}`` may stand unquoted inside of ``{ }`` and ``[ ]`` too. Duplicate keys, tags, merge keys and numbers out
    of range are added to ``problems``.

    Raises:
        Refused: a syntax error, or a document that is too deep or too large.
    """
    import yaml  # 15 ms; only when there is a file

    loader = None
    hidden = _hide(text)
    try:
        loader = yaml.SafeLoader(hidden)
        return _Composer(loader, lines, folder, problems, hidden=hidden is not text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Refused(_explain(error, text), mark.index if mark else 0) from error
    except yaml.reader.ReaderError as error:
        raise Refused(f"the character U+{ord(text[error.position]):04X} is not allowed", error.position) from error
    except (ValueError, OverflowError) as error:  # PyYAML lets out what chr() and int() say of its escapes
        offset = loader.get_mark().index if loader is not None else 0
        raise Refused("an escape or directive with a number that is too large", offset) from error


def _hide(text: str) -> str:
    """The text with the braces of variables replaced, character by character, since in YAML they would end a scalar."""
    if _TAKEN.search(text):
        return text
    return _VARIABLE.sub(lambda match: f"${_HIDDEN[0]}{match.group(1)}{_HIDDEN[1]}", text)


def _show(text: str) -> str:
    """The text of a scalar with the braces that it was written with."""
    return text.replace(_HIDDEN[0], "{").replace(_HIDDEN[1], "}")


def _explain(error: Any, text: str) -> str:
    """PyYAML's two half sentences as one, with advice for the mistakes that people make."""
    mark = error.problem_mark
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "a tab; indent with spaces"
    said = ", ".join(part for part in (error.context, error.problem) if part)
    if "cannot start any token" in said and mark is not None:
        return f"text cannot start with {text[mark.index]!r}; put it in quotes"
    if error.problem == "mapping values are not allowed here":
        return "a ':' where none can stand; put text that holds ': ' in quotes, and check the indentation"
    return f"not YAML: {_show(said)}"


def _fault_of_key(event: Any, key: str) -> str:
    """What is wrong with a key that is a scalar, or nothing."""
    if event.anchor is not None or event.tag is not None:
        return "a key has no anchor and no tag"
    if not event.style and key == "<<":
        return "merge keys ('<<') are not part of YAML 1.2; write the keys out"
    if not event.style and not key:
        return "a ':' without a key before it"
    if not encodable(key):
        return "half of a surrogate pair, which UTF-8 cannot carry"
    return ""


@define
class _Composed:
    """A node, and what it weighs with its aliases expanded."""

    node: Node
    size: int = 1
    depth: int = 1


class _Composer:
    def __init__(self, loader: Any, lines: Lines, folder: Path | None, problems: Problems, *, hidden: bool) -> None:
        from yaml import events

        self._events = events
        self._next = loader.get_event
        self._lines = lines
        self._folder = folder
        self._hidden = hidden
        self._problems = problems
        self._anchors: dict[str, _Composed] = {}
        self._open: set[str] = set()
        self._path: list[str] = []
        self._at = 0

    def document(self) -> Node | None:
        self._next()  # stream start
        event = self._next()
        if isinstance(event, self._events.StreamEndEvent):
            return None
        root = self._compose(self._next(), 1).node
        self._next()  # document end
        event = self._next()
        if not isinstance(event, self._events.StreamEndEvent):
            raise Refused("a second document; a configuration is one", event.start_mark.index)
        return root

    def _compose(self, event: Any, depth: int) -> _Composed:
        at: int = event.start_mark.index
        self._at = at
        if isinstance(event, self._events.AliasEvent):
            return self._alias(event.anchor, at, depth)
        if depth > MAX_DEPTH:
            raise Refused(f"nested deeper than {MAX_DEPTH} levels", at)
        anchor: str | None = event.anchor
        if anchor is not None:
            self._open.add(anchor)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._problem(f"the tag {quote(tag)}: a configuration has no tags; leave it out", at)
        if isinstance(event, self._events.ScalarEvent):
            made = _Composed(self._scalar(event, at), size=1 + len(event.value) // TEXT_OF_A_VALUE)
        elif isinstance(event, self._events.SequenceStartEvent):
            made = self._sequence(at, depth)
        else:
            made = self._mapping(at, depth)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = made
        return made

    def _grown(self, size: int, part: _Composed) -> int:
        """What a collection weighs with one more part."""
        if size + part.size > MAX_VALUES:
            raise Refused(f"more than {MAX_VALUES} values or too much text, counting each use of an alias", self._at)
        return size + part.size

    def _alias(self, anchor: Any, at: int, depth: int) -> _Composed:
        if anchor in self._open:
            raise Refused(f"the alias *{anchor} stands inside what it names", at)
        if anchor not in self._anchors:
            raise Refused(f"the alias *{anchor} has no anchor &{anchor} before it", at)
        found = self._anchors[anchor]
        if depth + found.depth - 1 > MAX_DEPTH:
            raise Refused(f"nested deeper than {MAX_DEPTH} levels", at)
        return found

    def _scalar(self, event: Any, at: int) -> Node:
        mark, text = self._lines.mark(at), self._text(event)
        if not encodable(text):
            self._problem("half of a surrogate pair, which UTF-8 cannot carry", at)
            return Node(value=None, mark=mark, broken=True)
        if event.style:  # quoted or a block: text as it stands
            return Node(value=text, mark=mark, folder=self._folder)
        try:
            value = parse_scalar(text)
        except ValueError as error:
            self._problem(str(error), at)
            return Node(value=None, mark=mark, broken=True)
        return Node(value=value, mark=mark, written="" if isinstance(value, str) else text, folder=self._folder)

    def _sequence(self, at: int, depth: int) -> _Composed:
        parts: list[Node] = []
        size, deepest = 1, 0
        while not isinstance(event := self._next(), self._events.SequenceEndEvent):
            self._path.append(str(len(parts)))
            made = self._compose(event, depth + 1)
            self._path.pop()
            parts.append(made.node)
            size, deepest = self._grown(size, made), max(deepest, made.depth)
        node = Node(value=tuple(parts), mark=self._lines.mark(at), folder=self._folder)
        return _Composed(node, size, deepest + 1)

    def _mapping(self, at: int, depth: int) -> _Composed:
        parts: dict[str, Node] = {}
        key_marks: dict[str, Mark] = {}
        size, deepest = 1, 0
        while not isinstance(event := self._next(), self._events.MappingEndEvent):
            key_at = event.start_mark.index
            key = self._key(event, key_marks, depth)
            self._path.append("?" if key is None else key)
            made = self._compose(self._next(), depth + 1)
            self._path.pop()
            if key is not None:
                parts[key] = made.node
                key_marks[key] = self._lines.mark(key_at)
            size, deepest = self._grown(size, made), max(deepest, made.depth)
        node = Node(value=parts, mark=self._lines.mark(at), key_marks=key_marks, folder=self._folder)
        return _Composed(node, size, deepest + 1)

    def _key(self, event: Any, key_marks: dict[str, Mark], depth: int) -> str | None:
        """The key as text, or None after a problem."""
        at = event.start_mark.index
        if not isinstance(event, self._events.ScalarEvent):
            self._compose(event, depth + 1)
            key, fault = "", "a key must be text"
        else:
            key = self._text(event)
            fault = _fault_of_key(event, key)
            if not fault and key in key_marks:
                self._problems.add(twice(key_marks[key]), self._lines.mark(at), (*self._path, key))
                return None
        if fault:
            self._problem(fault, at)
            return None
        return key

    def _text(self, event: Any) -> str:
        text: str = event.value
        return _show(text) if self._hidden else text

    def _problem(self, message: str, at: int) -> None:
        self._problems.add(message, self._lines.mark(at), self._path)
