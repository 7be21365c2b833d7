"""The server's side of the zygote: start it, ask it for interpreters, learn of their ends."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import anyio
from anyio import CancelScope

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.processes import wait_for
from agentflow_core.sandbox.launchers.streams import ByteReader, pipe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from agentflow_code.python import Python
    from agentflow_core.sandbox.launchers import Confined

__all__ = ["Child", "Zygote", "open_zygote"]

START_S: Final = 60.0
_MESSAGE_BYTES: Final = 1 << 16

_log = logging.getLogger("agentflow_core.sandbox")


class Child:
    """An interpreter that the zygote has forked; ``status`` as `subprocess` says it, once it has ended."""

    def __init__(self, zygote: Zygote, number: int) -> None:
        self.ended = anyio.Event()
        self.status: int | None = None
        self._zygote = zygote
        self._number = number

    async def signal(self, signum: int) -> None:
        """Signal it and the processes of its group."""
        if self.status is None:
            await self._zygote.tell({"signal": self._number, "signum": int(signum)})

    def end(self, status: int) -> None:
        """It has ended."""
        self.status = status
        self.ended.set()


class Zygote:
    """See the module. It has gone when ``is_gone``; then it forks no more, and its children have been killed."""

    def __init__(self, control: socket.socket) -> None:
        self.missing: tuple[str, ...] = ()  #: modules that were to be imported and are not installed
        self.is_gone = False
        self.pid = 0
        self._control = control
        self._children: dict[int, Child] = {}
        self._last = 0
        self._sending = anyio.Lock()

    async def fork(self, confined: Confined, order: Mapping[str, Any], stands: Callable[[], Awaitable[None]]) -> Child:
        """A new interpreter in a session; ``order`` is `agentflow_code.inside.serving.serve`'s.

        It is forked while ``stands`` waits until the session stands, and enters it then.

        Raises:
            SandboxError: ``internal``: it could not enter the session.
        """
        entrance = confined.entrance
        if entrance is None:
            raise SandboxError("no other process can enter this session", code="unsupported")
        self._last += 1
        number = self._last
        start = {
            **order,
            "id": number,
            "doors": [str(door) for door in entrance.doors],
            "uid": entrance.uid,
            "rlimits": dict(entrance.rlimits),
            "filter": (entrance.filter or b"").hex(),
            "env": dict(entrance.env),
        }
        child = self._children[number] = Child(self, number)
        read, write = pipe()
        waiting, gate = pipe()
        failure = ByteReader(read)
        theirs = [write, waiting]
        try:
            theirs.append(pidfd := os.pidfd_open(confined.pid))
            await self.tell({"start": start}, pidfd, write, waiting)
            await stands()
        except OSError as error:
            raise SandboxError(f"the session cannot be entered: {error}", code="internal") from error
        finally:
            for descriptor in (*theirs, gate):
                os.close(descriptor)
            with CancelScope(shield=True):  # a few milliseconds; it ends when the child has entered or is gone
                told = await failure.read_all()
                await failure.aclose()
        if told or self.is_gone:
            self._children.pop(number, None)
            raise SandboxError(
                f"the session cannot be entered: {told.decode(errors='replace') or 'the zygote has gone'}",
                code="internal",
            )
        return child

    async def tell(self, message: Mapping[str, Any], *descriptors: int) -> None:
        """Send the zygote a message."""
        data = json.dumps(message).encode()
        async with self._sending:
            while not self.is_gone:
                try:
                    if descriptors:
                        socket.send_fds(self._control, [data], descriptors)
                    else:
                        self._control.send(data)
                except BlockingIOError:
                    await anyio.wait_writable(self._control)
                except BrokenPipeError:
                    return
                else:
                    return

    async def receive(self) -> dict[str, Any] | None:
        """Its next message; None when it has gone."""
        while True:
            try:
                data = self._control.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._control)
            except ConnectionResetError:
                return None
            else:
                message: dict[str, Any] | None = json.loads(data) if data else None
                return message

    async def listen(self) -> None:
        """Learn of ends until the zygote has gone, which is the end of all."""
        while (message := await self.receive()) is not None:
            if (child := self._children.pop(message["ended"], None)) is not None:
                child.end(message["status"])
        self.is_gone = True
        _log.warning("the zygote of code sessions has gone; interpreters are started one by one from now on")
        for child in self._children.values():
            child.end(-9)
        self._children.clear()


@asynccontextmanager
async def open_zygote(python: Python, preload: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[Zygote]:
    """Start a zygote of the interpreter; it ends with the block, or with this process.

    Raises:
        SandboxError: ``internal``: it does not start; ``unsupported``: a module that is preloaded has threads.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, tempfile.TemporaryFile() as errors:
        ours.setblocking(False)
        with theirs:
            process = _spawned(python, theirs, errors, preload, env)
        zygote = Zygote(ours)
        try:
            with anyio.move_on_after(START_S):
                ready = await zygote.receive()
                if ready is not None:
                    zygote.pid, zygote.missing = ready["ready"], tuple(ready["missing"])
                    if ready["threads"] > 1:
                        raise SandboxError(
                            f"the module {ready['threaded'] or 'IPython'} starts a thread, which cannot be forked",
                            code="unsupported",
                            hint="take it out of backends.code.preload",
                        )
            if not zygote.pid:
                raise SandboxError(f"the zygote did not start: {_said(errors)}", code="internal")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(zygote.listen)
                try:
                    yield zygote
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True):
                process.kill()
                await wait_for(process)


def _spawned(
    python: Python, control: socket.socket, errors: IO[bytes], preload: Sequence[str], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the process on this thread, which must be the loop's: it dies with the thread that has started it."""
    return subprocess.Popen(
        python.command("--zygote", str(control.fileno()), ",".join(preload)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        env=dict(env),
        cwd="/",
        pass_fds=(control.fileno(),),
        start_new_session=True,
    )


def _said(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace").strip()[-1000:]
