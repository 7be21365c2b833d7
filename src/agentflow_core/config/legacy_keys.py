"""Read the keys of a file of the earlier AgentFlow: each is taken once, and what nobody takes is ignored and named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from agentflow_core.config.expansion import escape, expand
from agentflow_core.config.nodes import Node, describe
from agentflow_core.config.problems import Mark, Problems, show_path
from agentflow_core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Ignored", "New", "Old", "Translator", "items", "listed"]

Where = tuple[str, ...]

#: Values that say nothing: the earlier AgentFlow took them as if the key were not there.
_NOTHING: Final[tuple[object, ...]] = (None, "", ())


@frozen(kw_only=True)
class Ignored:
    """A key of the file that has no place in the new configuration, and why."""

    mark: Mark  #: with the key as it was written
    reason: str

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.mark.file, self.mark.line, self.mark.column) if part)
        return "  ".join(part for part in (where, self.mark.key, f"is ignored: {self.reason}") if part)


@frozen(kw_only=True)
class Translator:
    """What a translation notes on its way, and how it writes paths."""

    problems: Problems
    read: Callable[[Path], Node]  #: the root of another file; raises `ConfigError`
    beside: Path | None = None  #: write paths such that they mean the same in a file of this folder
    ignored: list[Ignored] = field(factory=list)

    def ignore(self, node: Node, reason: str) -> None:
        """Name a key that has no place in the new configuration."""
        self.ignored.append(Ignored(mark=node.mark, reason=reason))

    def refuse(self, node: Node, message: str) -> None:
        """Note a problem of a value that cannot be translated."""
        self.problems.add(message, node.mark)

    def flag(self, node: Node | None) -> bool | None:
        """What a switch says; None where it is not there or, with a problem, is no boolean."""
        if node is None:
            return None
        if isinstance(node.value, bool):
            return node.value
        self.refuse(node, f"expected true or false, got {describe(node)}")
        return None

    def text(self, node: Node) -> Node:
        """A text for a model, as it stands: lists of lines are joined, and a ``$`` means nothing."""
        if isinstance(node.value, tuple) and not any(_is_group(line) for line in node.value):
            node = evolve(node, value="\n".join(_line(line) for line in node.value))
        return evolve(node, expanded=True)

    def path(self, node: Node) -> Node:
        """A path of something that is there: looked for in the working directory, as it was, then beside the file."""
        if isinstance(node.value, str) and node.folder and "$" not in node.value:
            return self._placed(node, None if os.path.lexists(Path.cwd() / node.value) else node.folder)
        return self._placed(node, None)

    def paths(self, node: Node) -> Node:
        """Such a path, or a mapping of names to them."""
        if isinstance(node.value, dict):
            return evolve(node, value={name: self.path(part) for name, part in node.value.items()})
        return self.path(node)

    def made_path(self, node: Node) -> Node:
        """A path that a run makes: as it was, relative to the working directory."""
        return self._placed(node, None)

    def _placed(self, node: Node, folder: Path | None) -> Node:
        if not isinstance(node.value, str) or Path(node.value).is_absolute() or node.value[:1] in ("~", "-"):
            return node
        if self.beside is None:
            return evolve(node, folder=folder)
        return evolve(node, value=self._rewritten(node.value, folder or Path.cwd(), self.beside))

    @staticmethod
    def _rewritten(text: str, base: Path, beside: Path) -> str:
        """The text for a file in another folder; one that begins with a variable is relative to no file."""
        if base == beside or text.startswith("${"):
            return text
        if "$" in text:
            return f"{escape(str(base))}/{text}"
        whole = base / text
        return str(whole.relative_to(beside)) if whole.is_relative_to(beside) else str(whole)

    def found(self, node: Node) -> Path | None:
        """The file that a path of the old file names; None, with a problem, where there is none."""
        named = expand(node, os.environ, self.problems)
        if named.broken or not isinstance(named.value, str):
            return None
        text = os.path.expanduser(named.value)
        for folder in (Path.cwd(), node.folder or Path.cwd()):
            if (folder / text).is_file():
                return folder / text
        self.refuse(node, f"no such file: {text}")
        return None


def _is_group(node: Node) -> bool:
    return isinstance(node.value, (dict, tuple))


def _line(node: Node) -> str:
    return node.value if isinstance(node.value, str) else node.written if node.value is not None else ""


class Old:
    """The keys of one mapping of the old file that say something; comments and empty values are not among them."""

    def __init__(self, node: Node, translator: Translator, below: str = "") -> None:
        self.mark = node.mark
        self._translator = translator
        self._left: dict[str, Node] = {}
        given = node.value if isinstance(node.value, dict) else {}
        for key, part in given.items():
            if not _is_comment(key) and (part.broken or part.value not in _NOTHING):
                label = f"{below}{show_path([key])}"
                self._left[key] = _labelled(part, label, node.key_marks.get(key, part.mark))

    def take(self, key: str, read: Callable[[Node], Node] | None = None) -> Node | None:
        """The value of a key, marked with where it stood, as ``read`` reads it; None where it says nothing."""
        node = self._left.pop(key, None)
        return node if node is None or read is None else read(node)

    def section(self, key: str) -> Old:
        """The keys below a key; none where it is no mapping, which is a problem."""
        node = self.take(key)
        if node is None:
            return Old(Node(value={}, mark=self.mark), self._translator)
        if not isinstance(node.value, dict):
            self._translator.refuse(node, f"expected a mapping (key: value), got {describe(node)}")
        return Old(node, self._translator, f"{node.mark.key}.")

    @property
    def left(self) -> tuple[str, ...]:
        """The keys that nobody took yet."""
        return tuple(self._left)

    def texts(self, key: str) -> list[str]:
        """The texts of a list that somebody else takes."""
        found = self._left.get(key)
        return [] if found is None else [part.value for part in listed(found) if isinstance(part.value, str)]

    def ignore(self, keys: Iterable[str], reason: str) -> None:
        """Name those of the keys that are there as ignored."""
        for key in keys:
            if (node := self.take(key)) is not None:
                self._translator.ignore(node, reason)

    def ignore_rest(self, known: Iterable[str], reason: str = "no key of AgentFlow") -> None:
        """Name what is left as ignored."""
        names = tuple(known)
        for key in self.left:
            self.ignore([key], f"{reason}{did_you_mean(key, names)}")


def _is_comment(key: str) -> bool:
    return key.startswith(("_comment", "$schema"))


def _labelled(node: Node, label: str, key_mark: Mark) -> Node:
    """The node with its old path on every mark, without the comments in it."""
    mark = evolve(node.mark if node.mark.line else key_mark, key=label)
    if isinstance(node.value, dict):
        kept = {key: part for key, part in node.value.items() if not _is_comment(key)}
        labels = {key: f"{label}.{show_path([key])}" for key in kept}
        marks = {key: evolve(node.key_marks.get(key, part.mark), key=labels[key]) for key, part in kept.items()}
        parts = {key: _labelled(part, labels[key], marks[key]) for key, part in kept.items()}
        return evolve(node, value=parts, mark=mark, key_marks=marks)
    if isinstance(node.value, tuple):
        parts_of = (_labelled(part, f"{label}.{index}", part.mark) for index, part in enumerate(node.value))
        return evolve(node, value=tuple(parts_of), mark=mark)
    return evolve(node, mark=mark)


class New:
    """The new document while it is made: sections of nodes."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._parts: dict[str, Node | New] = {}

    def put(self, path: Where, node: Node | None) -> None:
        """Set a value; None sets nothing, so that the default counts."""
        if node is None:
            return
        if len(path) == 1:
            self._parts[path[0]] = node
        else:
            self.at(path[0]).put(path[1:], node)

    def at(self, key: str, *, was: str = "") -> New:
        """The section of a key, made if it is not there; ``was`` is the old key that it is known by."""
        found = self._parts.get(key)
        if not isinstance(found, New):
            found = self._parts[key] = New(evolve(self._mark, key=was or self._mark.key))
        return found

    def get(self, key: str) -> Node | None:
        """A value that was set."""
        found = self._parts.get(key)
        return found if isinstance(found, Node) else None

    def constant(self, path: Where, value: Any) -> None:
        """Set a value that the old file did not write."""
        self.put(path, Node(value=value, mark=self._mark))

    def node(self) -> Node:
        """The document."""
        parts: dict[str, Node] = {
            key: part.node() if isinstance(part, New) else part for key, part in self._parts.items()
        }
        return Node(value=parts, mark=self._mark, key_marks={key: part.mark for key, part in parts.items()})


def items(old: Old) -> Iterator[tuple[str, Node]]:
    """The keys that nobody took yet with their values, each taken."""
    for key in old.left:
        node = old.take(key)
        assert node is not None  # it is left
        yield key, node


def listed(node: Node) -> tuple[Node, ...]:
    """The elements of a list; a single value is a list of one."""
    return node.value if isinstance(node.value, tuple) else (node,)
