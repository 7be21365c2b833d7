"""Background jobs of a session: commands that run beside its shell, with an input and an output of their own."""

from __future__ import annotations

import os
import select
import shlex
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio import CancelScope, ClosedResourceError

from agentflow_bash.outputs import unread
from agentflow_bash.spool import Spool
from agentflow_core.errors import SandboxError
from agentflow_core.names import did_you_mean
from agentflow_core.sandbox.launchers.streams import ByteWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import regex
    from anyio.abc import TaskGroup

    from agentflow_bash.shell import Shell

__all__ = ["Job", "Jobs"]

#: How many jobs a session may have had; those that have ended are forgotten first.
MOST_JOBS: Final = 64
#: Seconds in which a job takes what it is given, and in which it begins.
INPUT_S: Final = 5.0
START_S: Final = 10.0
#: How often a job is looked at that is not yet ready.
READY_S: Final = 0.1
_READ_BYTES: Final = 1 << 16
#: After so many bytes others have their turn, so that a job that floods its output costs little.
_PAUSE_BYTES: Final = 1 << 20
_PAUSE_S: Final = 0.02
#: Seconds in which the keeper of a job says how that ended, once nobody is left who could write.
_TOLD_S: Final = 5.0


class Job:
    """One job. ``pid`` is the leader of its process group, ``keeper`` the process that waits for it."""

    def __init__(self, number: int, name: str, command: str, spool: Spool) -> None:
        self.number = number
        self.name = name
        self.command = command
        self.spool = spool
        self.output = -1  # where it is read, while it is
        self.pid = self.keeper = 0
        self.exit_code: int | None = None
        self.is_running = True
        self.news = anyio.Event()  #: set and renewed when something came, or it ended

    @property
    def id(self) -> str:
        """What the agent calls it."""
        return self.name or str(self.number)

    def tell(self) -> None:
        """Wake who waits for news."""
        self.news.set()
        self.news = anyio.Event()

    def end(self, exit_code: int | None) -> None:
        """It runs no more."""
        if self.is_running:
            self.is_running, self.exit_code = False, exit_code
            self.tell()


class Jobs:
    """The jobs of one session. One task at a time starts them."""

    def __init__(self, shell: Shell, tasks: TaskGroup, *, folder: Path, job_bytes: int) -> None:
        self._shell = shell
        self._tasks = tasks
        self._folder = folder
        self._job_bytes = job_bytes
        self._jobs: dict[int, Job] = {}
        self._inputs: dict[int, ByteWriter] = {}
        self._watching: CancelScope | None = None
        self._made = 0

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def keepers(self) -> tuple[int, ...]:
        """The processes of jobs that run, with all that they have begun."""
        return tuple(job.keeper for job in self._jobs.values() if job.is_running)

    def find(self, name: str) -> Job:
        """The job of that id or name; raises `SandboxError` where there is none."""
        for job in reversed(self._jobs.values()):
            if name in (job.name, str(job.number)):
                return job
        there = [job.id for job in self._jobs.values()]
        hint = f"there is: {', '.join(there)}" if there else "there is none; start gives ids"
        raise SandboxError(f"no job {name[:60]!r}{did_you_mean(name[:60], there)}", code="not_found", hint=hint)

    async def start(self, command: str, name: str, *, before: str = "", pty: bool = False) -> Job:
        """Start a job as a copy of the shell; a name that a running job has is refused."""
        if name and any(name in (job.name, str(job.number)) and job.is_running for job in self._jobs.values()):
            raise SandboxError(f"a job {name!r} runs already", code="conflict", hint="choose another name")
        self._make_room()
        await self._shell.ready()
        self._made += 1
        number = self._made
        control = self._shell.control
        if self._watching is None:
            self._watching = CancelScope()
            events = control.open_fifo("events", os.O_RDWR)
            self._tasks.start_soon(self._watch, events, self._watching)
        job = Job(number, name, command, Spool(self._folder, self._job_bytes))
        output = control.open_fifo(f"job.{number}", os.O_RDONLY)
        ours = control.open_fifo(f"job.{number}", os.O_WRONLY)
        self._inputs[number] = ByteWriter(control.open_fifo(f"input.{number}", os.O_RDWR))
        self._jobs[number] = job
        self._tasks.start_soon(self._read, job, output)
        try:
            ran = await self._shell.run(
                f"__agentflow_start {number} {shlex.quote(_on_terminal(command) if pty else command)}",
                before=before,
                timeout_s=START_S,
            )
            ran.close()
            with anyio.move_on_after(START_S):
                while job.is_running and not job.pid:
                    await job.news.wait()
        finally:
            os.close(ours)
            control.remove(f"job.{number}")
            control.remove(f"input.{number}")
            if not job.pid:
                self._forget(job)
        if not job.pid:
            said = ran.stderr.shown().strip()[:500] or ran.trouble
            raise SandboxError(f"the job could not start: {said}", code="pids_limit" if "fork" in said else "conflict")
        return job

    async def _watch(self, events: int, scope: CancelScope) -> None:
        """Take what the keepers say: that a job has begun, that it has ended."""
        pending = b""
        with suppress(OSError):
            os.set_blocking(events, False)
        try:
            with scope:
                while True:
                    await anyio.wait_readable(events)
                    with suppress(BlockingIOError):
                        pending += os.read(events, 65536)
                    *fields, pending = pending.split(b"\0")
                    while len(fields) >= 4:
                        self._heard(*fields[:4])
                        fields = fields[4:]
                    pending = b"".join(field + b"\0" for field in fields) + pending
                    if len(pending) > 65536:  # no keeper wrote that
                        pending = b""
        finally:
            os.close(events)

    def _heard(self, kind: bytes, number: bytes, first: bytes, second: bytes) -> None:
        job = self._jobs.get(int(number)) if number.isdigit() else None
        if job is None or not first.isdigit() or len(first) > 9:
            return
        if kind == b"p" and not job.pid and second.isdigit():
            job.keeper, job.pid = int(first), int(second)
            job.tell()
        elif kind == b"e":
            self._tasks.start_soon(self._over, job, int(first))

    async def _over(self, job: Job, exit_code: int) -> None:
        """A job has ended; what it wrote before comes first."""
        written = job.spool.total + (unread(job.output) if job.output >= 0 else 0)
        while job.spool.total < written and job.output >= 0 and job.is_running:
            await job.news.wait()
        self._end(job, exit_code)

    async def _read(self, job: Job, output: int) -> None:
        """Take what a job writes until nobody is left who could."""
        job.output = output
        since = 0
        try:
            while True:
                await anyio.wait_readable(output)
                try:
                    data = os.read(output, _READ_BYTES)
                except BlockingIOError:
                    continue
                if not data:
                    break
                job.spool.add(data)
                job.tell()
                since += len(data)
                if since > _PAUSE_BYTES:
                    since = 0
                    await anyio.sleep(_PAUSE_S)
        finally:
            job.output = -1
            job.tell()
            os.close(output)
        with anyio.move_on_after(_TOLD_S):  # its keeper tells how it ended, unless that was killed too
            while job.is_running:
                await job.news.wait()
        self._end(job, None)

    async def put(self, job: Job, text: bytes, *, is_end: bool) -> int:
        """Give a job something to read; how many bytes it took."""
        writer = self._inputs.get(job.number)
        if writer is None:
            raise SandboxError(f"job {job.id!r} reads nothing any more", code="conflict")
        sent = 0
        with anyio.move_on_after(INPUT_S), suppress(ClosedResourceError):
            while sent < len(text):
                part = text[sent : sent + select.PIPE_BUF]  # so much is written at once, or not at all
                await writer.send(part)
                sent += len(part)
        if is_end and sent == len(text):
            self._inputs.pop(job.number, writer).close()
        return sent

    async def signal(self, job: Job, name: str) -> None:
        """Send a signal to all processes of a job."""
        if not job.is_running:
            raise SandboxError(f"job {job.id!r} has ended", code="conflict")
        said = await self._shell.control.order("signal", name, job.pid)
        if said != "y":
            raise SandboxError(f"job {job.id!r} has just ended", code="conflict")

    async def wait_ended(self, job: Job, seconds: float) -> None:
        """Wait until the job has ended, or the time is over."""
        with anyio.move_on_after(seconds):
            while job.is_running:
                await job.news.wait()

    async def wait(self, job: Job, cursor: int, seconds: float) -> None:
        """Wait until there is something behind the cursor, or the job has ended, or the time is over."""
        with anyio.move_on_after(seconds):
            while job.is_running and job.spool.total <= cursor:
                await job.news.wait()

    async def wait_ready(self, job: Job, pattern: regex.Pattern[str] | None, port: int | None, seconds: float) -> bool:
        """Wait until the pattern has come in the output of the job, and something listens at the port."""
        with anyio.move_on_after(seconds):
            while True:
                is_over = not job.is_running
                shows = pattern is None or await anyio.to_thread.run_sync(partial(_shows, job.spool, pattern))
                if shows and (port is None or await self._shell.control.order("port", port) == "y"):
                    return True
                if is_over:
                    return False
                with anyio.move_on_after(READY_S):
                    await job.news.wait()
        return False

    def lose(self) -> None:
        """All processes of the session have ended."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        for job in self._jobs.values():
            self._end(job, 137)

    def _make_room(self) -> None:
        if len(self._jobs) >= MOST_JOBS:
            over = next((job for job in self._jobs.values() if not job.is_running), None)
            if over is None:
                raise SandboxError(f"{MOST_JOBS} jobs run already", code="quota_exceeded", hint="end some by signal")
            self._forget(over)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.number, None)
        self._end(job, None)
        job.spool.close()

    def _end(self, job: Job, exit_code: int | None) -> None:
        job.end(exit_code)
        if (writer := self._inputs.pop(job.number, None)) is not None:
            writer.close()

    def close(self) -> None:
        """Close what is open."""
        for job in list(self._jobs.values()):
            self._forget(job)


def _on_terminal(command: str) -> str:
    """A command line that runs another one on a terminal, by what there is: Python, else the program ``script``."""
    quoted = shlex.quote(command)
    return (
        f'if builtin type -P python3 >/dev/null; then builtin exec python3 -I "$__agentflow/terminal.py" "$BASH" -c {quoted}\n'
        f"elif builtin type -P script >/dev/null; then builtin exec script -qefc {quoted} /dev/null\n"
        "else builtin echo 'a terminal needs python3 or script' >&2; builtin exit 127; fi"
    )


def _shows(spool: Spool, pattern: regex.Pattern[str]) -> bool:
    text = spool.read(spool.start, 1 << 20).decode("utf-8", "replace")
    try:
        return pattern.search(text, timeout=2.0, concurrent=True) is not None
    except TimeoutError:
        return False
