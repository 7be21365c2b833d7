"""The environment ``bash``: a confined shell with a workspace for each session."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import anyio.lowlevel
import anyio.to_thread

from agentflow_bash import files, filling, finding
from agentflow_bash.comparing import same_job, same_run, the_command, the_path
from agentflow_bash.config import MAX_TIMEOUT_S, BashConfig, check_env, session_settings
from agentflow_bash.layout import failed, job_data, lines_result, listing_result, matches_result, run_result
from agentflow_bash.session import BashSession, before, opened
from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, FileSlice, Range, Session, tool
from agentflow_core.sandbox.copying import copy_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentflow_bash.shell import Ran

__all__ = ["BashBackend"]

T = TypeVar("T")

#: Seconds beyond its own limit in which a command is stopped.
_STOPPING_S: Final = 60
_FILE_SIZE_EXCEEDED: Final = 128 + 25
#: The exit code from which on it may have been a limit.
_MAYBE_LIMIT: Final = 126

Command = Annotated[str, Range(1, 1 << 20)]
Text = Annotated[str, Range(0, 8 << 20)]
PathText = Annotated[str, Range(1, 4096)]
Name = Annotated[str, Range(1, 60)]
SignalName = Literal["INT", "TERM", "KILL", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT"]


class BashBackend(Backend):
    """Run commands in a shell that keeps its state, and work on files, in a confined workspace."""

    sharing = "session"

    def __init__(self, config: BashConfig | None = None) -> None:
        self._config = config or BashConfig()

    # ---- the life of a session

    async def warmup(self) -> None:
        """Open the launcher: what it lacks is told now, and not by the first session."""
        await self.context.launcher()

    async def initialize(self, session: Session) -> BashSession:
        """A shell in a workspace with the configured files, in which the setup has succeeded."""
        config, settings = self._config, session_settings(session.settings)
        check_env(config.env, "env")

        async def fill(folder: Path) -> None:
            if config.files or settings.files:
                await anyio.to_thread.run_sync(filling.put_files, folder, config.files, settings.files)

        state = await opened(self.context, config, session.id, {**config.env, **settings.env}, fill)
        try:
            if config.setup:
                await self._prepare(state, config.setup, "setup failed")
            if settings.cwd:
                what = f"cwd: there is no folder {settings.cwd[:200]!r}"
                await self._prepare(state, "builtin :", what, settings.cwd)
            if settings.setup:
                await self._prepare(state, settings.setup, "setup failed")
            await anyio.lowlevel.checkpoint()  # as in `opened`
        except BaseException:
            await state.stack.aclose()
            raise
        return state

    async def _prepare(self, state: BashSession, command: str, what: str, cwd: str | None = None) -> None:
        """Run something that has to succeed before a session is there."""
        at = before(cwd, None, state.workspace).partition("; __agentflow_undo=")[0]
        ran = await state.shell.run(command, before=at, timeout_s=MAX_TIMEOUT_S)
        ran.close()
        if ran.exit_code or ran.trouble or ran.timed_out:
            said = f"{ran.stdout.shown()}{ran.stderr.shown()}".strip()[-1000:]
            raise SandboxError(
                f"{what}: exit code {ran.exit_code}: {said}" if not ran.trouble else what, code="invalid_argument"
            )

    async def fork(self, state: BashSession, session: Session) -> BashSession:
        """A copy of the workspace and of the shell; what runs in the background and what is open is not copied."""
        shell = state.shell
        await shell.ready()
        if shell.is_too_large:
            raise SandboxError(
                "the variables and functions of the shell are too large to be copied", code="unsupported"
            )
        snapshot = shell.snapshot

        async def fill(folder: Path) -> None:
            copy = partial(copy_folder, state.folder, folder, limit_bytes=self._config.limits.disk_bytes)
            async with shell.held():
                await anyio.to_thread.run_sync(copy)

        return await opened(self.context, self._config, session.id, state.env, fill, snapshot, parent=state.workspace)

    async def cleanup(self, state: BashSession) -> None:
        """End everything in the session and remove its workspace."""
        await state.stack.aclose()

    # ---- files of the session, for clients

    async def read_file(self, state: BashSession, path: str, start: int, end: int | None) -> FileSlice:
        """See `Backend.read_file`."""
        length = files.LARGEST_EDIT_BYTES if end is None else max(0, end - start)
        found = await _blocking(files.read_span, state.root(), path, start, length)
        return FileSlice(data=found.data, size=found.size)

    async def write_file(self, state: BashSession, path: str, data: bytes) -> None:
        """See `Backend.write_file`."""
        await self._put(state, path, data)

    async def _put(self, state: BashSession, path: str, data: bytes) -> None:
        if len(data) > await state.room():
            raise SandboxError(
                f"there is no room for {path[:200]!r}", code="disk_limit", hint="delete some files first"
            )
        await _blocking(state.root().write, path, data)

    # ---- commands

    @tool(timeout_s=MAX_TIMEOUT_S + _STOPPING_S, canonicalize=the_command, compare=same_run)
    async def run(
        self,
        state: BashSession,
        command: Command,
        timeout_s: Annotated[int, Range(1, MAX_TIMEOUT_S)] | None = None,
        cwd: PathText | None = None,
        env: dict[str, str] | None = None,
        stdin: Text | None = None,
    ) -> ToolResult:
        """Run a command line in the session's bash. Folder, variables, functions and options stay for the next one.

        What runs on in the background (with &) goes on; its later output is dropped, so redirect it, or use start.

        Args:
            command: the command line, of one line or many.
            timeout_s: seconds after which it is stopped with all that it started; default: 60, or as configured.
            cwd: a folder in which it begins; afterwards the shell is where it was. Relative to the workspace.
            env: environment variables for this command alone.
            stdin: what it reads; default: nothing.
        """
        _check_text("command", command)
        _check_text("stdin", stdin or "")
        _check_text("cwd", cwd or "")
        check_env(env or {}, "env")
        seconds = timeout_s or self._config.timeout_s
        notes = await self._cleared(state)
        at = before(cwd, env, state.workspace)
        ran = await state.shell.run(command, before=at, stdin=stdin, timeout_s=seconds)
        if ran.trouble:
            return _troubled(ran, cwd)
        code = await self._code(state, ran)
        return run_result(ran, timeout_s=seconds, code=code, kept=state.keep(ran), notes=notes)

    async def _cleared(self, state: BashSession) -> list[str]:
        """Kill what hits the limit of processes in the background: the next command could start nothing."""
        await state.shell.ready()
        if state.shell.outputs.has_left and "processes" in await state.shell.taken():
            await state.shell.clear()
            return [
                "what ran in the background hit the session's limit of processes, and was killed before this command"
            ]
        return []

    async def _code(self, state: BashSession, ran: Ran) -> str:
        """By which code to answer: what limit ended the command, if one did."""
        if ran.ended == "disk" or ran.exit_code == _FILE_SIZE_EXCEEDED:
            return "disk_limit"
        if ran.timed_out or ran.ended or ran.exit_code >= _MAYBE_LIMIT or (ran.exit_code and ran.stderr.total):
            hits = await state.shell.taken()
            if "processes" in hits:
                await state.shell.clear()
                return "pids_limit"
            if "memory" in hits:
                return "memory_limit"
        if ran.timed_out:
            return "timeout"
        return "process_died" if ran.ended else "ok"

    @tool
    async def restart(self, state: BashSession) -> ToolResult:
        """Begin a new shell that knows nothing of the last one, and kill what that left behind. Files and jobs stay."""
        await state.shell.restart()
        return ToolResult.success({"cwd": state.shell.cwd}, text="a new shell, in the workspace")

    # ---- jobs

    @tool(timeout_s=MAX_TIMEOUT_S + _STOPPING_S, canonicalize=the_command, compare=same_job)
    async def start(
        self,
        state: BashSession,
        command: Command,
        name: Name | None = None,
        pty: bool = False,
        ready_regex: Annotated[str, Range(1, 1000)] | None = None,
        ready_port: Annotated[int, Range(1, 65535)] | None = None,
        ready_s: Annotated[int, Range(1, MAX_TIMEOUT_S)] = 30,
        cwd: PathText | None = None,
        env: dict[str, str] | None = None,
    ) -> ToolResult:
        """Start a command that goes on beside the shell, such as a server or a program that is talked to.

        It begins with the shell's folder, variables and functions. Read it by output, talk to it by input.

        Args:
            command: the command line.
            name: what to call the job; default: a number.
            pty: give it a terminal of 80 by 24, for programs that want one; then functions of the shell are not known.
            ready_regex: wait until this regular expression is found in its output.
            ready_port: wait until something listens at this port inside.
            ready_s: seconds to wait for that at most.
            cwd: a folder in which it begins, relative to the workspace; default: the shell's.
            env: environment variables for it alone.
        """
        for what, text in (("command", command), ("name", name or ""), ("cwd", cwd or "")):
            _check_text(what, text)
        check_env(env or {}, "env")
        pattern = finding.pattern_of(ready_regex, name="ready_regex") if ready_regex else None
        await self._cleared(state)
        at = before(cwd, env, state.workspace)
        job = await state.jobs.start(command, name or "", before=at, pty=pty)
        is_ready = None
        if pattern is not None or ready_port is not None:
            is_ready = await state.jobs.wait_ready(job, pattern, ready_port, ready_s)
        else:
            await state.jobs.wait(job, 0, 0.1)
        text, cursor = _told(job.spool.read(job.spool.start, 16_384), job.spool.start)
        data = {**job_data(job), "ready": is_ready, "output": text, "next_cursor": cursor}
        said = f"job {job.id} runs" if job.is_running else f"job {job.id} has ended with exit code {job.exit_code}"
        if is_ready is not None:
            said += ", and is ready" if is_ready else f", and did not become ready within {ready_s} s"
        shown = f"{said}\n{text}" if text else said
        if is_ready is False:
            failure = ToolResult.failure(
                "process_died" if not job.is_running else "timeout", said, hint="output shows what it says", data=data
            )
            return failed(failure, text)
        return ToolResult.success(data, text=shown)

    @tool(read_only=True, timeout_s=MAX_TIMEOUT_S + _STOPPING_S, compare=same_job)
    async def output(
        self,
        state: BashSession,
        job_id: Name,
        cursor: Annotated[int, Range(0, 2**53)] = 0,
        wait_s: Annotated[int, Range(0, MAX_TIMEOUT_S)] = 0,
        max_bytes: Annotated[int, Range(1, 1 << 20)] = 16_384,
        grep: Annotated[str, Range(1, 1000)] | None = None,
    ) -> ToolResult:
        """Read what a job has printed, or the rest of a long output of run.

        Args:
            job_id: the job's id or name, or the id of an output that run gave.
            cursor: where to begin, in bytes: 0, then next_cursor of the last call.
            wait_s: seconds to wait for something new, where there is nothing behind the cursor.
            max_bytes: how much to read.
            grep: only lines in which this regular expression is found.
        """
        await anyio.lowlevel.checkpoint()  # who asks again and again lets the job's output come in
        pattern = finding.pattern_of(grep, name="grep") if grep else None
        if job_id in state.long:
            capture = state.long[job_id]
            raw = await _blocking(capture.read, cursor, max_bytes)
            text, reached = _told(raw, cursor)
            data: dict[str, Any] = {
                "running": False,
                "exit_code": None,
                "output_bytes": capture.stored,
                "missed_bytes": 0,
            }
            end = reached >= capture.stored
        else:
            job = state.jobs.find(job_id)
            if wait_s:
                await state.jobs.wait(job, cursor, wait_s)
            begin = max(cursor, job.spool.start)
            if begin > job.spool.total:
                raise SandboxError(
                    f"cursor={cursor} is behind the end: there are {job.spool.total} bytes", code="invalid_argument"
                )
            raw = job.spool.read(begin, max_bytes)
            text, reached = _told(raw, begin, is_all=not job.is_running)
            data = {**job_data(job), "missed_bytes": begin - cursor}
            end = reached >= job.spool.total
        if pattern is not None:
            text = await _blocking(_matching, text, pattern)
        data |= {"next_cursor": reached, "more": not end}
        said = text.removesuffix("\n") or "(nothing new)"
        if data["missed_bytes"]:
            said = f"[{data['missed_bytes']} bytes are not kept any more]\n{said}"
        if not data["running"] and end and job_id not in state.long:
            said += f"\n[ended, exit code {data['exit_code']}]"
        return ToolResult.success(data, text=said)

    @tool(timeout_s=60)
    async def input(self, state: BashSession, job_id: Name, text: Text, end: bool = False) -> ToolResult:
        """Give a job something to read. A line ends with a newline; on a terminal, control characters are keys.

        Args:
            job_id: the job's id or name.
            text: what it reads.
            end: nothing more comes after this.
        """
        job = state.jobs.find(job_id)
        data = text.encode()
        sent = await state.jobs.put(job, data, is_end=end)
        if sent < len(data):
            return ToolResult.failure(
                "conflict",
                f"job {job.id!r} took only {sent} of {len(data)} bytes: it is not reading",
                hint="wait, then send the rest",
                data={"sent_bytes": sent},
            )
        return ToolResult.success({"sent_bytes": sent}, text=f"{sent} bytes sent")

    @tool
    async def signal(self, state: BashSession, job_id: Name, signal: SignalName = "TERM") -> ToolResult:
        """Send a signal to all processes of a job.

        Args:
            job_id: the job's id or name.
            signal: INT interrupts, TERM ends, KILL ends at once, STOP and CONT hold and go on.
        """
        job = state.jobs.find(job_id)
        await state.shell.ready()
        await state.jobs.signal(job, signal)
        if signal not in ("STOP", "CONT", "USR1", "USR2"):
            await state.jobs.wait_ended(job, 1.0)
        return ToolResult.success(job_data(job), text=f"{signal} sent to job {job.id}")

    @tool(read_only=True, compare=same_job)
    async def jobs(self, state: BashSession) -> ToolResult:
        """List the jobs of this session, those that have ended too."""
        await anyio.lowlevel.checkpoint()
        found = [job_data(job) for job in state.jobs]
        lines = [
            f"{each['job_id']}: {'running' if each['running'] else 'ended, exit code ' + str(each['exit_code'])}: "
            f"{each['command'][:200]}"
            for each in found
        ]
        return ToolResult.success({"jobs": found}, text="\n".join(lines) or "no jobs")

    # ---- files

    @tool(name="read_file", read_only=True, canonicalize=the_path)
    async def read_text(
        self,
        state: BashSession,
        path: PathText,
        line: Annotated[int, Range(1, 2**40)] = 1,
        lines: Annotated[int, Range(1, 100_000)] = 2000,
        offset: Annotated[int, Range(0, 2**53)] | None = None,
        length: Annotated[int, Range(1, 1 << 20)] = 65536,
    ) -> ToolResult:
        """Read a text file of the workspace, or a part of it.

        Args:
            path: of the file, from the workspace on.
            line: the line to begin with, from 1.
            lines: how many lines.
            offset: read bytes instead of lines: the byte to begin with, from 0.
            length: how many bytes, with offset.
        """
        if offset is not None:
            found = await _blocking(files.read_span, state.root(), path, offset, length)
            return lines_result(path, found, "bytes")
        found = await _blocking(files.read_lines, state.root(), path, line, lines)
        return lines_result(path, found, "lines")

    @tool(name="write_file", canonicalize=the_path)
    async def write_text(self, state: BashSession, path: PathText, content: Text) -> ToolResult:
        """Write a text file in the workspace, whole or not at all, with the folders that it needs.

        Args:
            path: of the file, from the workspace on.
            content: all that it is to hold.
        """
        data = content.encode()
        await self._put(state, path, data)
        return ToolResult.success({"path": path, "size_bytes": len(data)}, text=f"{path}: {len(data)} bytes written")

    @tool(canonicalize=the_path)
    async def edit_file(
        self,
        state: BashSession,
        path: PathText,
        old: Annotated[str, Range(1, 1 << 20)],
        new: Annotated[str, Range(0, 1 << 20)],
        count: Annotated[int, Range(1, 1_000_000)] | None = None,
    ) -> ToolResult:
        """Replace a text in a file of the workspace. It must stand there exactly once, or as often as count says.

        Args:
            path: of the file, from the workspace on.
            old: the text to replace, with its spaces and line ends.
            new: what stands there then.
            count: how often the old text stands there; all of them are replaced.
        """
        room = await state.room()
        edited = await _blocking(files.edit, state.root(), path, old, new, count, room)
        at = ", ".join(map(str, edited.lines[:20])) + (" …" if edited.count > 20 else "")
        data = {"path": path, "replaced": edited.count, "lines": list(edited.lines)}
        return ToolResult.success(data, text=f"{path}: {edited.count} replaced, in line {at}")

    @tool(read_only=True, canonicalize=the_path)
    async def list_files(
        self,
        state: BashSession,
        path: PathText = ".",
        depth: Annotated[int, Range(1, 20)] = 1,
        hidden: bool = False,
        limit: Annotated[int, Range(1, 10_000)] = 500,
    ) -> ToolResult:
        """List a folder of the workspace.

        Args:
            path: of the folder, from the workspace on.
            depth: how many levels of folders.
            hidden: also names that begin with a dot.
            limit: how many entries at most.
        """
        entries, is_cut = await _blocking(finding.listed, state.root(), path, depth, hidden, limit)
        return listing_result(path, entries, is_cut)

    @tool(read_only=True, canonicalize=the_path)
    async def glob(
        self,
        state: BashSession,
        pattern: Annotated[str, Range(1, 1000)],
        path: PathText = ".",
        limit: Annotated[int, Range(1, 10_000)] = 500,
    ) -> ToolResult:
        """Find files and folders of the workspace by their path.

        Args:
            pattern: such as *.py, src/**/test_*.py or *.{js,ts}; ** stands for any folders.
            path: the folder to look in, from the workspace on.
            limit: how many at most.
        """
        found, is_cut = await _blocking(finding.glob, state.root(), pattern, path, limit)
        text = "\n".join([*found, *(["[there are more]"] if is_cut else [])])
        return ToolResult.success({"paths": found, "truncated": is_cut}, text=text or "nothing found")

    @tool(read_only=True, canonicalize=the_path)
    async def grep(
        self,
        state: BashSession,
        pattern: Annotated[str, Range(1, 1000)],
        path: PathText = ".",
        include: Annotated[str, Range(1, 1000)] | None = None,
        ignore_case: bool = False,
        context: Annotated[int, Range(0, 20)] = 0,
        limit: Annotated[int, Range(1, 2000)] = 200,
    ) -> ToolResult:
        """Search the text files of the workspace line by line.

        Args:
            pattern: a regular expression.
            path: the folder or file to search, from the workspace on.
            include: only files whose path is that of this glob, such as *.py.
            ignore_case: upper and lower case are the same.
            context: lines to show before and after each match.
            limit: how many matches at most.
        """
        wanted = finding.pattern_of(pattern, ignore_case=ignore_case)
        search: Callable[[], Any] = partial(finding.grep, state.root(), wanted, path, include, context, limit)
        matches, searched, is_cut = await _blocking(search)
        return matches_result(matches, searched, is_cut)


async def _blocking(function: Callable[..., T], *arguments: Any) -> T:
    """Run what reads and writes files in a thread."""
    return await anyio.to_thread.run_sync(partial(function, *arguments))


def _check_text(name: str, text: str) -> None:
    if "\0" in text:
        raise SandboxError(f"{name}: holds a NUL character", code="invalid_argument", hint="leave it out")


def _troubled(ran: Ran, cwd: str | None) -> ToolResult:
    """A command that was not run, since what it wanted before could not be had."""
    if ran.trouble == "cwd":
        return ToolResult.failure("not_found", f"cwd: there is no folder {cwd!r}, or it cannot be entered")
    return ToolResult.failure("invalid_argument", f"{ran.trouble[:100]}: this variable cannot be set")


def _told(raw: bytes, begin: int, *, is_all: bool = True) -> tuple[str, int]:
    """Bytes as text, and the offset behind it; a character that is cut in two is left for the next time."""
    end = len(raw)
    if not is_all or len(raw) > 4:
        for back in range(1, min(4, len(raw)) + 1):
            lead = raw[-back]
            if lead >= 0xC0:
                width = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
                if width > back and back < len(raw):
                    end = len(raw) - back
                break
            if lead < 0x80:
                break
    return raw[:end].decode("utf-8", "replace"), begin + end


def _matching(text: str, pattern: Any) -> str:
    until = perf_counter() + finding.SEARCH_S
    kept = []
    for line in text.splitlines():
        try:
            if pattern.search(line, timeout=max(0.01, until - perf_counter()), concurrent=True):
                kept.append(line)
        except TimeoutError:
            raise SandboxError("grep: the search took too long", code="timeout", hint="make it simpler") from None
    return "\n".join(kept)
