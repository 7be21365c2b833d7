"""Collect what is wrong with a configuration, each with its place, into one error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mark", "Problems", "quote", "show_path", "twice"]

#: More characters of a value than this are not repeated in a message.
SHOWN = 60


@frozen
class Mark:
    """Where a value stands: a file (or ``--set key``) with line and column from 1, 0 where there are none.

    ``key`` is its path as it was written, where that is another one than the configuration's: in translated files.
    """

    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""


def quote(text: str) -> str:
    """The text for a message: quoted, escaped, cut."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def show_path(path: Iterable[str]) -> str:
    """``model.extra."a.b".0``: keys that are no plain words are quoted."""
    return ".".join(
        key if key.isprintable() and key and not any(char in key for char in ' ."=') else json.dumps(key)
        for key in (part if len(part) <= SHOWN else f"{part[:SHOWN]}…" for part in path)
    )


def twice(first: Mark) -> str:
    """What is wrong with a key that stood before."""
    return f"is written twice, first in line {first.line}" if first.line else "is written twice"


class Problems:
    """The problems found so far."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def copy(self) -> Problems:
        """The same problems, to go on from."""
        made = Problems()
        made._found = self._found.copy()
        return made

    def add(self, message: str, mark: Mark, path: Iterable[str] = ()) -> None:
        """Note one problem."""
        shown = mark.key or show_path(path)
        if mark.file == f"--set {shown}":
            shown = ""
        self._found.append(Problem(message, path=shown, file=mark.file, line=mark.line, column=mark.column))

    def raise_any(self) -> None:
        """Raise `ConfigError` with all problems in the order of the file, those of ``--set`` last; or do nothing."""
        if self._found:
            raise ConfigError(sorted(self._found, key=lambda p: (p.file.startswith("--set"), p.line, p.column)))
