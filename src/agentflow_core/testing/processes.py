"""A session backend that keeps every law under each launcher: a confined shell with files. To read before writing one.

A session is a folder (`BackendContext.workspace`) and in it a small shell script, the driver (`BackendContext.launch`).
It is told what to do over the control FIFOs and answers there, so that nothing a command prints is taken for an answer.
The driver also stops what runs, from inside, where alone it is seen whole. The host opens no path that a command may
have put there, but to copy files for a fork.
"""

from __future__ import annotations

import re
import secrets
import shlex
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import anyio
import anyio.to_thread
from anyio import BrokenResourceError, CancelScope, ClosedResourceError, EndOfStream
from attrs import define, evolve, field, frozen

from agentflow_core.errors import SandboxError
from agentflow_core.records import TextContent, ToolResult
from agentflow_core.sandbox import Backend, Range, Session, tool
from agentflow_core.sandbox.copying import copy_folder
from agentflow_core.sandbox.launchers import Confined, LaunchSpec, Limits, Usage

__all__ = ["ProcessBackend", "Shell"]

#: Seconds that the driver has to stop what runs; then the session is killed.
STOP_S: Final = 3.0

_DRIVER: Final = Path(__file__).with_name("processes_driver.sh").read_text(encoding="utf-8")
_ANSWER: Final = re.compile(rb"([0-9a-f]{16}) (\d{1,3}) (\d{1,15}) (\d{1,9})\n")
_LONGEST_ANSWER: Final = 64

Text = Annotated[str, Range(0, 20_000)]


@frozen(kw_only=True)
class Answer:
    """What the driver answered: the exit code of a command, and its output up to the cap."""

    status: int
    output: str
    is_cut: bool  #: was there more?


@define
class Shell:
    """The state of a session: a folder, the confined shell in it, and the variables that it was given.

    One caller at a time: no tool is ``read_only``, so the engine keeps the calls of a session in a row.
    """

    folder: Path
    confined: Confined
    output_bytes: int
    variables: dict[str, str] = field(factory=dict)
    stack: AsyncExitStack = field(factory=AsyncExitStack)
    counted: Usage = field(factory=Usage)
    replies: bytearray = field(factory=bytearray)
    is_over: bool = False

    @property
    def is_alone(self) -> bool:
        """Does the session see only processes of its own?"""
        return self.confined.enforced["processes"] == "pid-namespace"

    async def ask(self, verb: str, text: str = "", name: str = "-") -> Answer:
        """Tell the driver something and wait for its answer.

        Raises:
            SandboxError: the session has ended: ``memory_limit``, ``disk_limit`` or ``session_lost``.
        """
        token = secrets.token_hex(8)
        sent = text.encode(errors="replace")
        try:
            await self.confined.control.commands.send(f"{verb} {token} {len(sent)} {name}\n".encode() + sent)
            while b"\n" not in self.replies and len(self.replies) < _LONGEST_ANSWER:
                self.replies += await self.confined.control.replies.receive()
            found = _ANSWER.match(bytes(self.replies))
            if found is None or found[1] != token.encode() or int(found[4]) > self.output_bytes:
                await self.confined.kill()  # a command wrote there: nothing that is said can be relied on any more
                await self.ended()
            status, total, size = map(int, found.groups()[1:])
            end = found.end() + size
            while len(self.replies) < end:
                self.replies += await self.confined.control.replies.receive()
        except (EndOfStream, ClosedResourceError):
            await self.ended()
        output = self.replies[found.end() : end].decode(errors="replace")
        del self.replies[:end]
        return Answer(status=status, output=output, is_cut=total > self.output_bytes)

    async def ended(self) -> NoReturn:
        """Wait for the end and raise by what it came; told once, it is only that the session is lost."""
        ended = await self.confined.wait()
        code = {"oom": "memory_limit", "disk": "disk_limit"}.get(ended.reason, "session_lost")
        is_told, self.is_over = self.is_over, True
        raise SandboxError(
            f"the session has ended ({ended.reason}, {ended.returncode}), and with it its variables and files",
            code="session_lost" if is_told else code,
            hint="a new session starts from the beginning",
        )

    async def run(self, command: str) -> Answer:
        """Run a command line; when this is cancelled, it is killed with all that it started.

        Raises:
            SandboxError: as `ask`; ``memory_limit`` or ``pids_limit``: something took more than it may, so that all
                that ran was killed. The session lives.
        """
        try:
            await self._stay_within()  # what earlier ones have left in the background
            answer = await self.ask("run", command, str(self.output_bytes))
            await self._stay_within()
        except anyio.get_cancelled_exc_class():
            await self.stop()
            raise
        return answer

    async def _stay_within(self) -> None:
        before, self.counted = self.counted, await self.confined.usage()
        for code, what, more in (
            ("memory_limit", "memory", self.counted.oom_kills - before.oom_kills),
            ("pids_limit", "processes", self.counted.forks_denied - before.forks_denied),
        ):
            if more > 0:
                await self.stop()
                raise SandboxError(f"the session's limit of {what} was hit; all that ran was killed", code=code)

    async def stop(self) -> None:
        """Kill all that runs beside the driver; where that is not alone, what the last command started."""
        await (self.signal("KILL") if self.is_alone else self._obeyed("end"))
        with CancelScope(shield=True):
            self.counted = await self.confined.usage()  # so that the next command is not blamed for this one

    async def signal(self, name: str) -> None:
        """Send a signal to all that runs beside the driver."""
        await self._obeyed("signal", name)

    async def _obeyed(self, verb: str, name: str = "-") -> None:
        """Tell the driver something, and drop what it answers before that.

        Where it does not answer, since a command stopped it or reads what it is told, the session is killed.
        """
        end = (token := secrets.token_hex(8)).encode() + b" 0 0 0\n"
        with anyio.move_on_after(STOP_S, shield=True) as limit, suppress(EndOfStream, ClosedResourceError):
            await self.confined.control.commands.send(f"{verb} {token} 0 {name}\n".encode())
            while end not in self.replies:
                self.replies += await self.confined.control.replies.receive()
            del self.replies[: self.replies.index(end) + len(end)]
        if limit.cancelled_caught:
            with CancelScope(shield=True):
                await self.confined.kill()


class ProcessBackend(Backend):
    """Run commands in a confined shell with variables and a folder of its own."""

    sharing = "session"

    def __init__(self, limits: Limits | None = None, output_bytes: int = 1 << 20) -> None:
        self._limits = limits or Limits()
        self._output_bytes = output_bytes

    async def warmup(self) -> None:
        """Open the launcher: what it lacks is told now, and not by the first session."""
        await self.context.launcher()

    async def initialize(self, session: Session) -> Shell:
        """A shell, in which the setting ``setup``, a command line, has succeeded."""
        return await self._opened(session)

    async def fork(self, state: Shell, session: Session) -> Shell:
        """A shell with copies of the files and variables. What runs in the background is not copied."""
        return await self._opened(session, state)

    async def cleanup(self, state: Shell) -> None:
        """End the shell with all that it started, and remove the folder."""
        await state.stack.aclose()

    async def _opened(self, session: Session, parent: Shell | None = None) -> Shell:
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.context.workspace(session.id))
            if parent is not None:
                await _copy_files(parent, folder, self._limits.disk_bytes)
            argv = ("/bin/sh", "-c", _DRIVER)
            spec = LaunchSpec(argv=argv, workspace=folder, limits=self._limits, label=session.id)
            confined = await stack.enter_async_context(await self.context.launch(spec))
            shell = Shell(folder=folder, confined=confined, output_bytes=self._output_bytes)
            await _begin(shell)
            if parent is not None:
                for name, value in parent.variables.items():
                    await self.set_variable(shell, name, value)
            elif setup := session.settings.get("setup"):
                done = await shell.run(str(setup))
                if done.status:
                    raise SandboxError(
                        f"setup failed with {done.status}: {done.output[:1000]}", code="invalid_argument"
                    )
            shell.stack = stack.pop_all()
        return shell

    @tool
    async def run(self, state: Shell, command: Text) -> ToolResult:
        """Run a command line with sh in the session's folder. What it leaves in the background goes on.

        Args:
            command: the command line.
        """
        return _told(await state.run(_sendable("command", command)))

    @tool(name="set")
    async def set_variable(self, state: Shell, name: str, value: Text) -> ToolResult:
        """Set an environment variable for the commands to come.

        Args:
            name: of letters, digits and underscores.
            value: its value.
        """
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise SandboxError("argument 'name' is no name of a variable", code="invalid_argument")
        await state.ask("set", _sendable("value", value), name)
        state.variables[name] = value
        return ToolResult.success({"name": name})

    @tool
    async def write(self, state: Shell, path: Text, text: Text) -> ToolResult:
        """Write a text file, with the folders that it needs.

        Args:
            path: of the file, from the session's folder on.
            text: what it says.
        """
        place, quoted = shlex.quote(_sendable("path", path)), shlex.quote(_sendable("text", text))
        done = await state.run(f'mkdir -p -- "$(dirname -- {place})" && printf %s {quoted} > {place}')
        return ToolResult.success({"characters": len(text)}) if not done.status else _refused("conflict", done)

    @tool
    async def read(self, state: Shell, path: Text) -> ToolResult:
        """Read a text file.

        Args:
            path: of the file, from the session's folder on.
        """
        done = await state.run(f"cat -- {shlex.quote(_sendable('path', path))}")
        return _told(done) if not done.status else _refused("not_found", done)


async def _begin(shell: Shell) -> None:
    """Tell the driver where its FIFOs are, and wait until it answers there."""
    try:
        await shell.confined.stdin.send(f"{shell.confined.control.inside}\n".encode())
        await shell.ask("hello")
    except (SandboxError, BrokenResourceError) as error:
        said = (await shell.confined.stderr.read_all()).decode(errors="replace").strip()
        raise SandboxError(f"the shell could not start: {said or error}", code="internal") from error


async def _copy_files(parent: Shell, folder: Path, limit_bytes: int) -> None:
    """Copy the files of a session while nothing in it moves."""
    if parent.is_alone:
        await parent.signal("STOP")
    try:
        if parent.confined.ended is not None:
            await parent.ended()
        await anyio.to_thread.run_sync(partial(copy_folder, parent.folder, folder, limit_bytes=limit_bytes))
    finally:
        if parent.is_alone:
            await parent.signal("CONT")


def _sendable(name: str, text: str) -> str:
    if "\0" in text:
        raise SandboxError(f"argument {name!r} holds a NUL character", code="invalid_argument")
    return text


def _told(answer: Answer) -> ToolResult:
    """What a command line came to. Its exit code is data; only an output beyond the cap is a failure."""
    if answer.is_cut:
        cut = ToolResult.failure("output_limit", "this is the beginning of the output", hint="write it to a file")
        return evolve(cut, content=(TextContent(answer.output),))
    text = answer.output if not answer.status else f"{answer.output}\nexit code {answer.status}".lstrip("\n")
    return ToolResult.success({"exit_code": answer.status}, text=text)


def _refused(code: str, answer: Answer) -> ToolResult:
    return ToolResult.failure(code, answer.output.strip()[:1000] or f"exit code {answer.status}")
