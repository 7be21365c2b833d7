"""Part examples into training and validation so that nothing that hangs together stands on both sides."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from agentflow_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["SplitBy", "keys_of", "part"]

SplitBy = Literal["document", "seed", "task"]
#: What a source is located by, the most telling first; a page or a place within it does not part it.
_LOCATORS = ("doc_id", "url", "uri", "file", "path", "document", "database", "table")


def keys_of(record: Mapping[str, Any], by: SplitBy) -> tuple[str, ...]:
    """What a record hangs on: its task; its seed; or its seed and the documents that its evidence stands in.

    Results carry seed and evidence in their metadata if their tasks were synthesized. Empty where there is nothing.
    """
    if by == "task":
        return (f"task {record['task_id']}",) if record.get("task_id") else ()
    about = record if record.get("seed_id") else record.get("metadata") or {}
    seeds = (f"seed {about['seed_id']}",) if about.get("seed_id") else ()
    if by == "seed" or not seeds:
        return seeds
    return (*seeds, *dict.fromkeys(_sources(about)))


def _sources(about: Mapping[str, Any]) -> Iterator[str]:
    for step in about.get("reasoning_steps") or ():
        for evidence in step.get("evidence") or ():
            source = evidence.get("source") or {}
            where = next((source[name] for name in _LOCATORS if source.get(name)), None)
            if where is not None:
                yield f"source {where}"
            elif source:
                yield f"source {json.dumps(source, sort_keys=True)}"


def part(examples: Iterable[Sequence[str]], fraction: float) -> list[bool]:
    """Which of the examples, each given by what it hangs on, are for training; the rest is for validation.

    Examples that share a key, directly or through others, stay together. About ``fraction`` of the examples are for
    training: groups go to validation in the order of a hash, those that would make it too large are passed over. The
    same examples are always parted the same way, in whatever order they come.

    Raises:
        UsageError: all of them hang together.
    """
    groups = _Groups()
    firsts = [groups.join(keys) for keys in examples]
    roots = [groups.root(first) for first in firsts]
    sizes: dict[int, int] = {}
    for root in roots:
        sizes[root] = sizes.get(root, 0) + 1
    if len(sizes) < 2:
        raise UsageError(
            f"--split: the {len(roots)} examples hang together, so there is nothing to part",
            hint="--split-by seed parts them by their seeds alone, whatever documents they share",
        )
    wanted = min(len(roots) - 1, max(1, round(len(roots) * (1 - fraction))))
    validation: set[int] = set()
    held = 0
    order = sorted(sizes, key=lambda root: hashlib.sha256(groups.name(root).encode("utf-8", "replace")).digest())
    for root in order:
        if held + sizes[root] <= wanted:
            validation.add(root)
            held += sizes[root]
    if not validation:
        validation.add(min(order, key=lambda root: sizes[root]))
    return [root not in validation for root in roots]


class _Groups:
    """Keys that hang together; a group's name is its least key, so it does not depend on the order of joining."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._parent: list[int] = []
        self._names: list[str] = []

    def join(self, keys: Sequence[str]) -> int:
        """Put the keys into one group; returns a member of it."""
        first, *others = (self._member(key) for key in keys)
        for other in others:
            one, two = self.root(first), self.root(other)
            if one != two:
                self._parent[two] = one
                self._names[one] = min(self._names[one], self._names[two])
        return first

    def _member(self, key: str) -> int:
        number = self._number.setdefault(key, len(self._parent))
        if number == len(self._parent):
            self._parent.append(number)
            self._names.append(key)
        return number

    def root(self, member: int) -> int:
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def name(self, root: int) -> str:
        return self._names[root]
