"""Processes of the host: start one with pipes, wait for it by its pidfd, find and signal those below it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from attrs import frozen

from agentflow_core.sandbox.launchers.streams import ByteReader, ByteWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentflow_core.sandbox.launchers.spec import Limits

__all__ = ["MARK", "Spawned", "below", "kill_marked", "marked", "rlimits", "signal_inside", "spawn", "wait_for"]

PROC: Final = Path("/proc")
OPEN_FILES: Final = 4096
#: The variable by which processes of an unconfined session are found, wherever they have gone.
MARK: Final = "AGENTFLOW_SESSION_ID"


@frozen(kw_only=True)
class Spawned:
    """A process of ours with its pipes."""

    process: subprocess.Popen[bytes]
    stdin: ByteWriter
    stdout: ByteReader
    stderr: ByteReader

    def close(self) -> None:
        """Close our ends of the pipes."""
        self.stdin.close()
        self.stdout.close()
        self.stderr.close()


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None, pass_fds: Sequence[int] = ()
) -> Spawned:
    """Start a process, as leader of a session and a process group.

    It is started on the thread that calls, which must be the event loop's: ``PR_SET_PDEATHSIG`` fires when the
    *thread* that started a process ends.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=env,
        cwd=cwd,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
    )
    return Spawned(
        process=process,
        stdin=ByteWriter(_detached(process.stdin)),
        stdout=ByteReader(_detached(process.stdout)),
        stderr=ByteReader(_detached(process.stderr)),
    )


def _detached(stream: object) -> int:
    """Take a pipe's descriptor from the object that would close it."""
    fd = os.dup(stream.fileno())  # type: ignore[attr-defined]
    stream.close()  # type: ignore[attr-defined]
    return fd


async def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait until the process has ended, and reap it; its return code, ``-n`` after signal n. Cancelled, it waits on."""
    if process.poll() is None:
        if hasattr(os, "pidfd_open"):
            pidfd = os.pidfd_open(process.pid)
            try:
                await anyio.wait_readable(pidfd)
            finally:
                os.close(pidfd)
        else:
            await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    return process.wait()


def rlimits(limits: Limits, held: Mapping[str, str]) -> dict[str, int]:
    """What rlimits hold, the floor that needs no rights, by the names that ``prlimit`` knows.

    Memory and processes only where nothing in ``held`` holds them: a limit of processes that is reached here is not
    counted by the control group. Memory is not the address space, which would break numpy and DuckDB, but the data of
    each process, which is what it can write.
    """
    wanted = {
        "core": 0,
        "fsize": limits.file_bytes or limits.disk_bytes,
        "nofile": OPEN_FILES,
    }
    if held.get("memory", "none") == "none":
        wanted["data"] = limits.memory_bytes
    if held.get("pids", "none") == "none":
        wanted["nproc"] = limits.pids
    floor: dict[str, int] = {}
    for name, value in wanted.items():
        _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        floor[name] = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return floor


def below(pid: int) -> Iterator[int]:
    """A process and all that descend from it, parents first."""
    pending = [pid]
    while pending:
        current = pending.pop()
        yield current
        with suppress(OSError):
            for task in os.listdir(PROC / str(current) / "task"):
                children = (PROC / str(current) / "task" / task / "children").read_text()
                pending += [int(child) for child in children.split()]


def marked(session: str) -> Iterator[int]:
    """The processes, of those that we may look into, whose environment began with the mark of the session."""
    wanted = f"{MARK}={session}".encode()
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def kill_marked(session: str, root: int | None = None) -> None:
    """Kill what bears the mark of a session, until two looks find nothing more.

    Two, since a process that is just becoming another program has no environment to look into. ``root``, its first
    process unless that has been waited for, is killed too, with its group and what descends from it.
    """
    quiet = 0
    for _ in range(200):  # a tree that grows faster than it is killed was not for a launcher that confines nothing
        found = set(marked(session))
        if root is not None:
            found |= set(below(root))
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(root, signal.SIGKILL)
        found.discard(root or 0)
        for each in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        if quiet == 2:
            return


def _status(pid: int, name: str) -> list[int]:
    """The numbers of a line of ``/proc/PID/status``."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return [int(part) for part in line.split()[1:]]
    return []


def signal_inside(init: int, pid: int, signum: int, *, group: bool) -> bool:
    """Signal the process, or the group, that has this number in the pid namespace of ``init``; False if none has."""
    line = "NSpgid" if group else "NSpid"
    for candidate in below(init):
        numbers = _status(candidate, line)
        if len(numbers) < 2 or numbers[-1] != pid:
            continue
        try:
            pidfd = os.pidfd_open(candidate)
        except OSError:  # it ended meanwhile
            continue
        try:
            if _status(candidate, line) != numbers:  # its number was given to another process
                continue
            with suppress(ProcessLookupError):
                if group:
                    os.killpg(numbers[0], signum)
                else:
                    signal.pidfd_send_signal(pidfd, signum)
                return True
        finally:
            os.close(pidfd)
    return False
