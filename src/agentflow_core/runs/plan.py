"""``plan.jsonl``: every unit of work of a run, stage by stage, in the order in which it counts."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from agentflow_core.errors import RunCorruptError, RunError
from agentflow_core.interfaces import Unit
from agentflow_core.runs.files import write_atomic
from agentflow_core.runs.lines import STRING, decode, encode, quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Plan"]

_HEAD = re.compile(rb'\{"stage":' + STRING + rb',"key":' + STRING + rb',"id":' + STRING + rb',"input":')


class Plan:
    """The plan file of one run; lines are ``{stage, key, id, input}``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: dict[str, str] | None = None

    def write(self, stage: str, units: Sequence[Unit]) -> None:
        """Plan a stage; one that was planned before is replaced. Planning the same units again writes nothing.

        Raises:
            RunError: two units have one key, so one would stand for both.
            StorageError: the disk refuses.
        """
        _check(stage, units)
        digest = hashlib.sha256()
        for unit in units:
            digest.update(_line(unit))
        if self._known().get(stage) == digest.hexdigest():
            return
        write_atomic(self.path, self._replaced(stage, units))
        self._known()[stage] = digest.hexdigest()

    def units(self, stage: str) -> Iterator[Unit]:
        """The units of a stage in plan order, read as they are asked for."""
        wanted = quoted(stage)
        for line, head in self._lines():
            if head[1] == wanted:
                key, id_ = unquoted(head[2]), unquoted(head[3])
                yield Unit(key=key, id=id_, stage=stage, input=decode(line[head.end() : -2]))

    def stages(self) -> tuple[str, ...]:
        """The names of the planned stages, in file order."""
        return tuple(self._known())

    def _known(self) -> dict[str, str]:
        if self._digests is None:
            found: dict[bytes, Any] = {}
            for line, head in self._lines():
                found.setdefault(head[1], hashlib.sha256()).update(line)
            self._digests = {unquoted(stage): digest.hexdigest() for stage, digest in found.items()}
        return self._digests

    def _lines(self) -> Iterator[tuple[bytes, re.Match[bytes]]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                head = _HEAD.match(line)
                if head is None or not line.endswith(b"}\n"):
                    raise RunCorruptError(f"{self.path}:{number}: not a line of a plan")
                yield line, head

    def _replaced(self, stage: str, units: Sequence[Unit]) -> Iterator[bytes]:
        own = quoted(stage)
        written = False
        for line, head in self._lines():
            if head[1] != own:
                yield line
            elif not written:
                written = True
                yield from map(_line, units)
        if not written:
            yield from map(_line, units)


def _line(unit: Unit) -> bytes:
    head = (quoted(unit.stage), quoted(unit.key), quoted(unit.id), encode(unit.input))
    return b'{"stage":%b,"key":%b,"id":%b,"input":%b}\n' % head


def _check(stage: str, units: Iterable[Unit]) -> None:
    ids: dict[str, str] = {}
    for unit in units:
        if unit.stage != stage:
            raise RunError(f"unit {unit.id} is of stage {unit.stage!r}, not {stage!r}")
        if unit.key in ids:
            raise RunError(
                f"units {ids[unit.key]} and {unit.id} of stage {stage!r} are the same work",
                hint="what tells them apart (an id) belongs into the input of the unit",
            )
        ids[unit.key] = unit.id
