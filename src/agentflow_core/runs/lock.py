"""Let one process write a run directory; the lock goes with its holder, however that ends."""

from __future__ import annotations

import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from attrs import field, frozen

from agentflow_core.errors import RunLockedError
from agentflow_core.runs.files import storage_error

__all__ = ["Holder", "RunLock", "read_holder"]

LOCK_FILE = ".lock"
_LOCKED_BYTE = 1 << 30  # beyond the text, since a byte locked on Windows cannot be read


@frozen(kw_only=True)
class Holder:
    """The process that holds, or last held, a lock."""

    pid: int
    host: str
    started: str  #: when it took the lock, ISO 8601
    process: str = ""  #: the start time of the process as the system counts it; tells a reused pid apart

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs; a holder on another host is taken to."""
        return self.host != socket.gethostname() or _process(self.pid) == self.process


@frozen
class RunLock:
    """A lock that is held until ``release`` or the end of the process."""

    descriptor: int = field(repr=False)

    @classmethod
    def acquire(cls, directory: Path) -> RunLock:
        """Take the lock of a run directory.

        Raises:
            RunLockedError: another process has it; the message says which.
        """
        path = directory / LOCK_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(path, error) from error
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            holder = read_holder(directory)
            who = f"process {holder.pid} on {holder.host} (since {holder.started})" if holder else "another process"
            raise RunLockedError(
                f"{directory} is being written by {who}", hint="wait for it or stop it; or use another run directory"
            ) from error
        holder = Holder(
            pid=os.getpid(),
            host=socket.gethostname(),
            started=datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
            process=_process(os.getpid()),
        )
        text = orjson.dumps(
            {"pid": holder.pid, "host": holder.host, "started": holder.started, "process": holder.process}
        )
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back. Its file stays: removing it would let two processes lock two files of one name."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def read_holder(directory: Path) -> Holder | None:
    """Who holds the lock of a run directory, or held it when it was killed; None if it was given back."""
    try:
        value: dict[str, Any] = orjson.loads((directory / LOCK_FILE).read_bytes())
        return Holder(**value)
    except (OSError, TypeError, ValueError):
        return None


def _process(pid: int) -> str:
    """When the process began, in the system's own count; ``gone`` without one, empty where that cannot be known."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return "" if sys.platform == "win32" or _exists(pid) else "gone"
    try:
        # the name in parentheses may hold anything; the start time is the 20th field after it
        return stat.read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except OSError:
        return "gone"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
