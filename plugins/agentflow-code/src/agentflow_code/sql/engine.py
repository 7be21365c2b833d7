"""What the engines have in common: a connection to one database that runs one statement at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from agentflow_code.inside.calls import Refused

if TYPE_CHECKING:
    from agentflow_code.sql.running import TimedOut

__all__ = ["Connection", "Database", "Params", "Rows", "Table", "own_copy", "refused_by_time", "too_large"]

T = TypeVar("T")
Params = Sequence[Any] | Mapping[str, Any] | None
#: A table as the catalogue describes it: name, kind, columns, primary_key, foreign_keys, unique.
Table = dict[str, Any]

READ_ONLY = "the database is read-only: code:run can work on a copy of the data"


class Rows:
    """The result of a statement while it is read: the columns, and the rows in batches as the engine gives them."""

    def __init__(
        self, names: Sequence[str], types: Sequence[str] | None, fetch: Callable[[int], Sequence[Sequence[Any]]]
    ) -> None:
        self.names = names
        self.types = types
        self._fetch = fetch

    def batches(self, most: int | None = None) -> Iterator[Sequence[Sequence[Any]]]:
        """The rows in batches of growing size; no more than ``most`` of them are read."""
        size, read = 256, 0
        while most is None or read < most:
            batch = self._fetch(size if most is None else min(size, most - read))
            if not batch:
                return
            yield batch
            read += len(batch)
            size = min(4096, size * 2)

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for batch in self.batches():
            yield from batch


class Connection(Protocol):
    """One open database."""

    dialect: str  #: ``sqlite``, ``duckdb`` or ``postgres``: which SQL it speaks

    def run(self, query: str, params: Params, seconds: float, take: Callable[[Rows], T]) -> T:
        """Run one statement and read its result with ``take``, all of it within the time.

        Raises:
            Refused: the statement is wrong, not allowed, or takes too much.
            KeyboardInterrupt: a signal came; the connection is still good.
        """
        ...

    def catalogue(self) -> list[Table]:
        """The tables and views with their columns and keys, sorted by name; without what needs their rows."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Database:
    """A database by name: the path of its file, or its URL, and whether it may be changed."""

    def __init__(self, name: str, path: str, *, url: str | None = None, writable: bool = False) -> None:
        self.name = name
        self.path = path
        self.url = url
        self.writable = writable


def own_copy(database: Database, workspace: str, suffix: str) -> str:
    """The session's own copy of a database that may be changed; made at first use."""
    folder = os.path.join(workspace, ".databases")
    path = os.path.join(folder, f"{database.name}.{suffix}")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        part = f"{path}.part"
        try:
            shutil.copyfile(database.path, part)
            os.replace(part, path)
        except OSError as error:
            raise Refused("disk_limit", f"the session's copy of {database.name!r} cannot be made: {error}") from None
    return path


def refused_by_time(error: TimedOut, seconds: float) -> Refused:
    """The refusal of a statement whose time was over."""
    refused = Refused(
        "timeout",
        f"the statement was interrupted after {seconds:g} s; the session is as it was",
        hint="join on keys, filter earlier, look at fewer rows, or end a recursion by a condition",
    )
    refused.__cause__ = error
    return refused


def too_large(detail: str) -> Refused:
    """The refusal of a statement that takes more memory than the session has."""
    return Refused(
        "memory_limit",
        f"the statement needs more memory than the session has: {detail}",
        hint="aggregate or filter in SQL, or make smaller values",
    )
