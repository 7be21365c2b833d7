"""The shell of a session: run commands in it, stop them, and begin it anew as it was."""

from __future__ import annotations

import re
import secrets
import shlex
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Final

import anyio
from anyio import BrokenResourceError, CancelScope, ClosedResourceError, EndOfStream
from attrs import define, field, frozen

from agentflow_bash.control import START_S, Control, Garbled, Message
from agentflow_bash.outputs import Capture, Outputs
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import Usage
from agentflow_core.sandbox.launchers.processes import MARK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.launchers import Confined

__all__ = ["Ran", "Shell", "Snapshot"]

#: Seconds that a command has to end after an interrupt, and the shell to answer once the command was killed.
INTERRUPT_S: Final = 1.0
KILLED_S: Final = 1.0
#: Seconds for all steps of stopping a command; then everything in the session is killed.
STOP_S: Final = 6.0
#: The first of them, where nobody waits for the output.
CANCELLED_S: Final = 0.2
#: Hundredths of a second: whatever was begun since then was begun in this session.
_ALWAYS: Final = 0
#: What is raised where nobody answers any more, or what comes is no answer.
_NOBODY: Final = (TimeoutError, EndOfStream, Garbled, BrokenResourceError, ClosedResourceError)

#: Options that would leave nobody there to be told anything.
_NOT_KEPT: Final = re.compile(rb"^set -o (?:noexec|onecmd)$", re.MULTILINE)


@frozen(kw_only=True)
class Snapshot:
    """All that makes up a shell, as texts that a shell evaluates, and where it is."""

    cwd: str
    parts: tuple[bytes, ...] = field(repr=False)

    def moved(self, old: str, new: str) -> Snapshot:
        """The same in another workspace: where it is, and the home folder."""
        if old == new:
            return self
        cwd = new + self.cwd[len(old) :] if self.cwd == old or self.cwd.startswith(old + "/") else self.cwd
        home = f"\n[[ ${{HOME-}} != {shlex.quote(old)} ]] || HOME={shlex.quote(new)}".encode()
        return Snapshot(cwd=cwd, parts=(self.parts[0], self.parts[1] + home, *self.parts[2:]))


@define(kw_only=True)
class Ran:
    """What became of one command."""

    stdout: Capture
    stderr: Capture
    exit_code: int = 0
    trouble: str = ""  #: what kept the command from being run
    cwd: str = ""
    background: tuple[int, ...] = ()
    timed_out: bool = False
    shell_restarted: bool = False
    ended: str = ""  #: how everything in the session has ended, if it has

    def close(self) -> None:
        """Forget the outputs."""
        self.stdout.close()
        self.stderr.close()


class Shell:
    """See the module. One task at a time uses it.

    Args:
        launch: starts the session's first process, in the same workspace each time.
        tasks: where its outputs are read.
        folder: where long outputs are kept.
    """

    def __init__(
        self, launch: Callable[[], Awaitable[Confined]], tasks: TaskGroup, *, folder: Path, stored_bytes: int
    ) -> None:
        self._launch = launch
        self._tasks = tasks
        self._folder = folder
        self._stored_bytes = stored_bytes
        self._token = ""  # of the command whose state is still to be read
        self.snapshot: Snapshot | None = None
        self.is_too_large = False  # is there more than a snapshot holds?
        self.cwd = ""
        self.is_over = ""  # why the session cannot go on
        self.was_restarted = False  # since the last command was told so
        self.counted = Usage()
        self.hits: set[str] = set()
        self.jobs: Callable[[], tuple[int, ...]] = tuple  # the processes that are left alone
        self.lost: Callable[[], None] = lambda: None  # called when everything has ended
        self._began = 0.0
        self._before: tuple[int, ...] = ()  # what ran in the background before the command
        self.confined: Confined
        self.control: Control
        self.outputs: Outputs

    async def open(self, snapshot: Snapshot | None = None, workspace: str = "") -> None:
        """Start the first shell, as the snapshot says, which was made where the workspace was seen as ``workspace``."""
        await self._begin()
        if snapshot is not None:
            self.snapshot = snapshot.moved(workspace, self.confined.workspace)
        try:
            await self._restore()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End everything."""
        self.control.close()
        await self.confined.aclose()

    async def _begin(self) -> None:
        self.confined = await self._launch()
        self.control = Control(self.confined)
        try:
            await self.control.open()
            self.outputs = Outputs(self.control, self._tasks)
        except BaseException:
            await self.close()
            raise
        self.cwd = self.cwd or self.confined.workspace

    @property
    def is_alone(self) -> bool:
        """Does the session see only processes of its own?"""
        return self.confined.enforced.get("processes") == "pid-namespace"

    # ---- commands

    async def run(self, command: str, *, before: str = "", stdin: str | None = None, timeout_s: float) -> Ran:
        """Run a command line. When its time is over, or this is cancelled, it is stopped with what it started.

        Raises:
            SandboxError: the session has ended for good: ``disk_limit``, ``session_lost``.
        """
        await self.ready()
        ran = Ran(stdout=Capture(self._folder, self._stored_bytes), stderr=Capture(self._folder, self._stored_bytes))
        token = secrets.token_hex(4)
        outputs = self.outputs
        pair = outputs.take()
        pair.out.capture, pair.err.capture = ran.stdout, ran.stderr
        if stdin is not None:
            self.control.put(f"in.{token}", stdin.encode())
        frame = _frame(token, pair.number, "" if stdin is None else "i", before.encode(), command.encode())
        self._began = perf_counter()
        try:
            with anyio.move_on_after(timeout_s) as limit:
                await self.control.send(frame)
                await self._finish(ran, token)
            if limit.cancelled_caught:
                ran.timed_out = True
                with CancelScope(shield=True):
                    await self._stop(ran, token, INTERRUPT_S)
        except anyio.get_cancelled_exc_class():
            with CancelScope(shield=True):
                await self._stop(ran, token, CANCELLED_S)
            self.was_restarted |= ran.shell_restarted
            ran.close()
            raise
        except _NOBODY:
            await self.confined.kill()
            await self._ended(ran)
        finally:
            outputs.finish(pair)
            if stdin is not None:
                self.control.remove(f"in.{token}")
        ran.shell_restarted |= self.was_restarted
        self.was_restarted = False
        return ran

    async def _finish(self, ran: Ran, token: str) -> None:
        """Wait until the command has ended, or the shell has."""
        while True:
            message = await self.control.message()
            kind = message[0]
            if kind == b"r" and message[1] == token.encode():
                self._token = token
                ran.exit_code = int(message[2])
                ran.trouble = message[3].decode(errors="replace")
                self.cwd, ran.background = self.control.place()
                ran.cwd, self._before = self.cwd, ran.background
                return
            if kind == b"x":
                await self._exits(message)
            elif kind == b"g":
                ran.exit_code = int(message[1])
                ran.shell_restarted = True
                with CancelScope(shield=True):
                    await self._again()
                ran.cwd = self.cwd
                return

    async def _exits(self, message: Message) -> None:
        """The shell has been told to exit, and says how it is at its end."""
        with suppress(TimeoutError):
            self.cwd, _ = self.control.place()
            self._keep(await self.control.state(message[1].decode(errors="replace")))

    def _keep(self, state: bytes | None) -> None:
        self.is_too_large = state is None
        if state is not None:
            self.snapshot = Snapshot(cwd=self.cwd, parts=tuple(state.split(b"\0")))

    async def ready(self) -> None:
        """Have a shell that waits for a command; begin anew where it ended meanwhile.

        Raises:
            SandboxError: the session has ended for good.
        """
        if self.is_over:
            raise SandboxError(self.is_over, code="session_lost", hint="a new session starts from the beginning")
        try:
            if not self.control.is_alive:
                raise EndOfStream
            if self._token:
                with suppress(TimeoutError):
                    self._keep(await self.control.state(self._token))
                self._token = ""
            while (message := self.control.message_nowait()) is not None:
                if message[0] == b"x":
                    await self._exits(message)
                elif message[0] == b"g":
                    self.was_restarted = True
                    with CancelScope(shield=True):
                        await self._again()
        except _NOBODY:
            with CancelScope(shield=True):
                await self.confined.kill()
                await self._anew()

    # ---- endings

    async def _stop(self, ran: Ran, token: str, interrupt_s: float) -> None:
        """Stop what runs: by an interrupt, else by killing what the command started, else the shell, else everything."""
        before = (*self.jobs(), *self._before)
        try:
            with anyio.fail_after(STOP_S):
                since = self._since(await self.control.order("interrupt"))
                is_done = await self._finishes(ran, token, interrupt_s)
                await self.control.order("finish", since, *before)
                ran.background = self._before = tuple(pid for pid in self._before if pid in before)
                if is_done or await self._finishes(ran, token, KILLED_S):
                    return
                await self.control.order("end", since, *before)
                await self._finish(ran, token)
                return
        except _NOBODY:
            pass  # nobody is left who could be asked
        await self.confined.kill()
        await self._ended(ran)

    def _since(self, uptime: str) -> int:
        """When the command began or a little earlier, on the clock of its machine, which has just shown ``uptime``."""
        if not uptime.isdigit():
            raise Garbled
        return max(0, int(uptime) - int((perf_counter() - self._began) * 100) - 1)

    async def _finishes(self, ran: Ran, token: str, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._finish(ran, token)
            return True
        return False

    async def _ended(self, ran: Ran) -> None:
        """Everything has ended: say how, and begin anew where that makes sense."""
        with CancelScope(shield=True):
            ended = await self.confined.wait()
            ran.ended, ran.exit_code, ran.shell_restarted = ended.reason, ended.returncode, True
            await self._anew()
            ran.cwd = self.cwd

    async def _again(self) -> None:
        """Begin a new shell, as the last one was, beside the processes that it has left."""
        self._token = ""
        await self.control.start()
        await self._restore()

    async def _anew(self) -> None:
        """Begin with new processes in the same workspace, as the last shell was."""
        ended = await self.confined.wait()
        self.lost()
        self.hits |= await self._newly_hit()
        self.outputs.close()
        await self.close()
        self.was_restarted = True
        if ended.reason == "disk":
            self.is_over = "the files of the session grew beyond its limit, and it was ended"
            return
        try:
            await self._begin_as_before()
        except SandboxError as error:
            self.is_over = f"the session has ended ({ended.reason}), and could not begin anew: {error.message}"

    async def _begin_as_before(self) -> None:
        """Begin as the last shell was; if that cannot be had, with nothing but the files."""
        self._token = ""
        self.counted = Usage()
        await self._begin()
        try:
            await self._restore()
        except _NOBODY:
            self.snapshot = None
            self.outputs.close()
            await self.close()
            self.cwd = ""
            await self._begin()

    async def restart(self) -> None:
        """Kill the shell and what it has left behind, and begin a new one that knows nothing."""
        await self.ready()
        self.snapshot = None
        self.cwd = self.confined.workspace
        with CancelScope(shield=True):
            try:
                await self.control.order("end", _ALWAYS, *self.jobs())
                while (await self.control.message())[0] != b"g":
                    pass
                await self._again()
            except _NOBODY:
                await self.confined.kill()
                await self._anew()

    async def _restore(self) -> None:
        """Make a new shell what the last one was."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        shopt, variables, functions, other, options = snapshot.parts[:5]
        own = f"__agentflow={shlex.quote(self.confined.control.inside)}"
        if not self.is_alone:
            own += f" {MARK}={shlex.quote(self.confined.id)}"
        for part in (
            shopt,
            variables + b"\n" + own.encode(),
            functions,
            other,
            f"builtin cd -- {shlex.quote(snapshot.cwd)}".encode(errors="surrogateescape"),
            _NOT_KEPT.sub(b"", options),
        ):
            await self._tell(part)
        self.snapshot, self.cwd = snapshot, snapshot.cwd

    async def _tell(self, command: bytes) -> None:
        """Have the shell run something of which nobody sees anything."""
        token = secrets.token_hex(4)
        mine = b"\n__agentflow_token=%s __agentflow_undo= __agentflow_trouble= __agentflow_stopping=" % token.encode()
        body = (command or b"builtin :") + mine
        with anyio.fail_after(START_S):
            await self.control.send(_frame(token, 0, "q", b"", body))
            while (message := await self.control.message())[:2] != (b"r", token.encode()):
                if message[0] == b"g":
                    raise EndOfStream
            self.control.place()
            await self.control.state(token)

    async def taken(self) -> set[str]:
        """Which limits were hit since this was last asked: ``memory``, ``processes``."""
        hits = self.hits | await self._newly_hit()
        self.hits = set()
        return hits

    async def clear(self) -> None:
        """Kill all that runs beside the shell and the jobs."""
        with CancelScope(shield=True):
            try:
                await self.control.order("finish", _ALWAYS, *self.jobs())
            except _NOBODY:
                await self.confined.kill()
                await self._anew()
            self.counted = await self.confined.usage()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Let nothing in the session move meanwhile, where it can be told from others."""
        try:
            await self.control.order("hold")
            yield
        except _NOBODY as error:
            raise SandboxError("the session has ended", code="process_died") from error
        finally:
            with CancelScope(shield=True), suppress(*_NOBODY):
                await self.control.order("go")

    async def _newly_hit(self) -> set[str]:
        before, self.counted = self.counted, await self.confined.usage()
        hits = set()
        if self.counted.oom_kills > before.oom_kills:
            hits.add("memory")
        if self.counted.forks_denied > before.forks_denied:
            hits.add("processes")
        return hits


def _frame(token: str, output: int, flags: str, before: bytes, command: bytes) -> bytes:
    head = f'. "$__agentflow/bash"\n{token} {output} -{flags} {len(before)} {len(command)}\n'
    return head.encode() + before + command + b"__agentflow_reply || builtin :\n"
