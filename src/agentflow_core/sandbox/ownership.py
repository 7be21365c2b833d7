"""The ownership journal: what an engine's sessions take of the machine, and the end of what a killed engine left."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import SandboxError
from agentflow_core.records.codec import dumps, loads
from agentflow_core.sandbox.folders import left_folders, own_folder, remove_folder
from agentflow_core.sandbox.launchers.ledger import Taken
from agentflow_core.sandbox.launchers.reaping import reap

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["OwnershipJournal", "reap_left"]

_log = logging.getLogger("agentflow_core.sandbox")
_FOLDER: Final = "ownership"
_PREFIX: Final = "engine-"
_ASIDE: Final = "unreadable-"
_FILE: Final = "taken.sqlite"


class OwnershipJournal:
    """One engine's journal, a `Ledger`, in a folder of its own below the state directory.

    A row is committed before what it names is taken and removed after that was given back. A commit outlives the
    process, not the machine: what the machine's end leaves is no process and no group, and its folders are new.

    Args:
        state_dir: under which it stands beside those of other engines.
    """

    def __init__(self, state_dir: Path) -> None:
        self._parent = state_dir / _FOLDER
        self._folder = Path()
        self._database: sqlite3.Connection | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin the journal.

        Raises:
            SandboxError: ``provider_unavailable``: it cannot be written there.
        """
        try:
            with ExitStack() as stack:
                self._parent.mkdir(parents=True, exist_ok=True)
                self._folder = stack.enter_context(own_folder(self._parent, _PREFIX))
                stack.callback(remove_folder, self._folder)
                database = sqlite3.connect(self._folder / _FILE, isolation_level=None)
                stack.callback(database.close)
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute("CREATE TABLE taken (session TEXT PRIMARY KEY, what BLOB NOT NULL) WITHOUT ROWID")
                self._stack = stack.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise _unwritable(self._parent, error) from error
        self._database = database
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it. What was not given back by now is left to `reap_left` of a later engine."""
        database, self._database = self._database, None
        if database is None:
            return
        left = database.execute("SELECT session FROM taken").fetchall()
        if left:
            _log.warning("not given back, and left for the next start: %s", ", ".join(row[0] for row in left))
            database.close()
            return  # the folder stays; its lock goes with the process
        self._stack.close()

    def take(self, taken: Taken) -> None:
        """Write it down before this returns.

        Raises:
            SandboxError: ``provider_unavailable``: the disk is full, or refuses to be written; nothing may be taken.
        """
        try:
            self._open().execute("INSERT INTO taken VALUES (?, ?)", (taken.session, dumps(taken)))
        except sqlite3.Error as error:
            raise _unwritable(self._folder, error) from error

    def give_back(self, session: str) -> None:
        """Cross it out. Where that cannot be written the row stays, and is looked after at the next start, in vain."""
        try:
            self._open().execute("DELETE FROM taken WHERE session = ?", (session,))
        except sqlite3.Error as error:
            _log.warning("the ownership journal in %s cannot be written: %s", self._folder, error)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise SandboxError("the sandbox is closed", code="not_ready")
        return self._database


async def reap_left(state_dir: Path) -> int:
    """Remove all that engines of this state directory have left whose process is gone; how many sessions that were.

    A journal that cannot be read is told and kept under another name: what it named has to be removed by hand.
    """
    count = 0
    for folder in left_folders(state_dir / _FOLDER, _PREFIX):
        try:
            rows, problem = _read(folder)
        except sqlite3.OperationalError as error:  # the disk or the rights to it; what is written may be whole
            _log.warning("the ownership journal in %s is left to the next start: %s", folder, error)
            continue
        kept = False
        for taken in rows:
            try:
                await reap(taken)
            except (OSError, SandboxError) as error:  # a container, and Docker does not answer: the next start may
                kept = True
                _log.warning("session %s of an engine that is gone is left: %s", taken.session, error)
            else:
                count += 1
        if problem:
            aside = folder.rename(folder.with_name(f"{_ASIDE}{folder.name}"))
            _log.warning(
                "the ownership journal of an engine that is gone cannot be read (%s) and is kept as %s: remove by hand "
                "what that engine's sessions left in %s, control groups named agentflow-* and containers labelled "
                "agentflow.session",
                problem,
                aside,
                state_dir / "workspaces",
            )
        elif not kept:
            remove_folder(folder)
    if count:
        _log.info("removed what %d sessions of an engine that is gone had left", count)
    return count


def _read(folder: Path) -> tuple[list[Taken], str]:
    """What a journal says is still taken, and what is wrong with the rest; nothing where its process never began it.

    Raises:
        sqlite3.OperationalError: it cannot be opened, whatever is in it.
    """
    if not (folder / _FILE).exists():
        return [], ""
    found: list[Taken] = []
    problem = ""
    try:
        with closing(sqlite3.connect(folder / _FILE)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'taken'").fetchone():
                return [], ""
            for session, what in database.execute("SELECT session, what FROM taken"):
                try:
                    found.append(loads(Taken, what))
                except Exception as error:  # noqa: BLE001 - a row of whatever bytes
                    problem = f"row {session!r}: {error}"
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        problem = str(error)
    return found, problem


def _unwritable(where: Path, error: Exception) -> SandboxError:
    return SandboxError(
        f"the ownership journal cannot be written: {error}",
        code="provider_unavailable",
        hint=f"free some space in {where}, or set state_dir to a folder that can be written",
    )
