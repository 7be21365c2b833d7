"""Lend each session a uid of the host that no other session of any process on this machine has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from attrs import field, frozen

from agentflow_core.errors import SandboxError

__all__ = ["LentUid", "UidRange"]

#: Outside of what distributions, systemd (61184-65519) and container tools (from 100000 and 524288) give away.
FIRST_UID: Final = 1_879_048_192


@frozen(kw_only=True)
class LentUid:
    """A uid, ours until `give_back`, or until this process ends."""

    uid: int
    _lock: int = field(repr=False)

    def give_back(self) -> None:
        """Let others have it."""
        os.close(self._lock)


@frozen(kw_only=True)
class UidRange:
    """Uids for sessions, and the folder with a lock file for each that is taken."""

    first: int = FIRST_UID
    count: int = 4096
    locks: Path = Path("/run/agentflow/uids")

    def lend(self, start: int = 0) -> LentUid:
        """A free uid, looked for from the ``start``-th on, so that one just given back is not the next.

        Raises:
            SandboxError: ``overloaded``: all are taken.
        """
        self.locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        for step in range(self.count):
            uid = self.first + (start + step) % self.count
            lock = os.open(self.locks / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            except BaseException:
                os.close(lock)
                raise
            else:
                return LentUid(uid=uid, lock=lock)
        raise SandboxError(
            f"all {self.count} uids from {self.first} on are taken by sessions",
            code="overloaded",
            hint="widen the launcher's uids, or run fewer sessions at once",
        )
