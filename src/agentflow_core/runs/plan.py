"""``plan.jsonl``: every unit of work of a run, stage by stage, in the order in which it counts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from agentflow_core.errors import RunCorruptError, RunError
from agentflow_core.interfaces import Unit
from agentflow_core.runs.files import write_atomic
from agentflow_core.runs.lines import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Plan"]


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
        for line, row in self._rows():
            if row["stage"] == stage:
                value = encode_back(line, row)
                yield Unit(key=row["key"], id=row["id"], stage=stage, input=value)

    def stages(self) -> tuple[str, ...]:
        """The names of the planned stages, in file order."""
        return tuple(self._known())

    def _known(self) -> dict[str, str]:
        if self._digests is None:
            found: dict[str, Any] = {}
            for line, row in self._rows():
                found.setdefault(row["stage"], hashlib.sha256()).update(line)
            self._digests = {stage: digest.hexdigest() for stage, digest in found.items()}
        return self._digests
