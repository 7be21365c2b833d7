"""What was read so far: the names of the files, and the facts that their texts tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agentflow_vm.offline.keys import ACTIONS, opened_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentflow_core.records import Node, Observation, SolveStep

__all__ = ["Fact", "Seen", "Text", "named_in", "plain", "seen_in_steps", "seen_on_path"]

#: What is said of an empty clipboard.
EMPTY: Final = "The clipboard holds no text."
_FACT: Final = re.compile(r"^([A-Z][\w /-]{1,40}): +(\S.*?)\s*$")


@frozen(kw_only=True)
class Fact:
    """A line ``Name: value`` of a text whose first line names its subject."""

    subject: str
    name: str
    value: str
    line: str
    file: str
    node: str


@frozen(kw_only=True)
class Text:
    """A text that was read."""

    file: str
    node: str
    content: str

    @property
    def title(self) -> str:
        """Its first line."""
        return self.content.split("\n", 1)[0].strip()

    @property
    def facts(self) -> list[Fact]:
        """What its lines tell."""
        lines = self.content.split("\n")
        return [
            Fact(subject=self.title, name=match[1], value=match[2], line=line.strip(), file=self.file, node=self.node)
            for line in lines[1:]
            if (match := _FACT.match(line))
        ]


@define(kw_only=True)
class Seen:
    """All that was read, in order."""

    files: list[str] | None = None
    texts: dict[str, Text] = field(factory=dict)
    tried: list[Any] = field(factory=list)  #: the steps of each call

    @property
    def facts(self) -> list[Fact]:
        """Of all texts."""
        return [fact for text in self.texts.values() for fact in text.facts]

    def file_about(self, name: str) -> str | None:
        """The file whose name says what is named."""
        wanted = plain(name)
        return next((file for file in self.files or () if wanted and plain(_stem(file)) == wanted), None)

    def add(self, node: str, tool: str, params: Mapping[str, Any], observation: Observation | None) -> None:
        """One more call."""
        if tool != ACTIONS or observation is None:
            return
        steps = params.get("steps")
        self.tried.append(steps)
        file = opened_by(steps)
        if file is None or not observation.ok:
            return
        content = _copied(observation.text, len(steps) if isinstance(steps, list) else 0, 1 if file else 0)
        if content == EMPTY or (file and content.split("\n") == self.files):
            return  # the program was not ready yet
        if file:
            self.texts[file] = Text(file=file, node=node, content=content)
        else:
            self.files = [line for line in content.split("\n") if line.strip()]


def _copied(text: str, steps: int, after: int) -> str:
    """What the clipboard held: each step before it tells one line, and so does each after it."""
    lines = text.split("\n")
    return "\n".join(lines[steps - 1 - after : len(lines) - after])


def plain(text: str) -> str:
    """Words in small letters, with one hyphen between them."""
    return "-".join(re.findall(r"\w+", text.lower()))


def _stem(file: str) -> str:
    return file.rpartition(".")[0] or file


def named_in(text: str, seen: Seen) -> list[str]:
    """The files that a text names by their title, in the order in which it does."""
    words = f"-{plain(text)}-"
    found = [(words.find(f"-{plain(_stem(file))}-"), file) for file in seen.files or ()]
    return [file for at, file in sorted(found) if at >= 0]


def seen_on_path(path: Sequence[Node]) -> Seen:
    """What a path of a trajectory tree has read."""
    return _seen((node.id, node.tool or "", node.params, node.result) for node in path)


def seen_in_steps(steps: Sequence[SolveStep]) -> Seen:
    """What an agent has read."""
    return _seen((str(number), step.tool, step.params, step.result) for number, step in enumerate(steps))


def _seen(calls: Iterable[tuple[str, str, Mapping[str, Any], Observation | None]]) -> Seen:
    seen = Seen()
    for call in calls:
        seen.add(*call)
    return seen
