"""Keep several server processes, each on its own port: start them, start again one that died, end them together."""

from __future__ import annotations

import logging
import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio

from agentflow_core.errors import SandboxError, UsageError
from agentflow_core.sandbox.server.process import listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from anyio.abc import Process

__all__ = ["listen_on_consecutive", "run_engines"]

_log = logging.getLogger("agentflow_core.server")
_TRIES = 20
_PAUSE_S = 0.5  # before one that was killed is started again


def listen_on_consecutive(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that listen on ``count`` consecutive ports; from port 0 on, wherever so many are free.

    Raises:
        UsageError: one of them is taken.
    """
    for attempt in range(_TRIES if port == 0 else 1):
        with ExitStack() as stack:
            try:
                first = stack.enter_context(listen(host, port))
                found = [first]
                for number in range(1, count):
                    found.append(stack.enter_context(listen(host, first.getsockname()[1] + number)))  # noqa: PERF401
            except UsageError:
                if port or attempt == _TRIES - 1:
                    raise
                continue
            except OverflowError:  # beyond the last port
                continue
            stack.pop_all()
            return found
    raise UsageError(f"no {count} consecutive ports are free", hint="name the first one: --port")


async def run_engines(
    listeners: Sequence[socket.socket], command: Callable[[int], Sequence[str]], announce: Callable[[], None]
) -> int:
    """Run a process a socket until a signal ends them all. Returns the exit code.

    A process gets its socket as the descriptor that ``command`` names, and a standard input that ends when this
    process does. The first signal is passed on, as is the second.

    Raises:
        SandboxError: one of them failed.
    """
    keeper = _Keeper()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.pass_signals_on)
        async with anyio.create_task_group() as engines:
            for listener in listeners:
                engines.start_soon(keeper.keep, listener, command(listener.fileno()))
            announce()
        tasks.cancel_scope.cancel()
    if keeper.failure:
        raise SandboxError(keeper.failure, hint="its messages are above")
    return keeper.code


class _Keeper:
    def __init__(self) -> None:
        self.failure = ""
        self.code = 0
        self._stop = anyio.Event()
        self._running: set[Process] = set()

    async def keep(self, listener: socket.socket, command: Sequence[str]) -> None:
        """Run the process of one socket, and again when it was killed; one that fails by itself ends all."""
        while not self._stop.is_set():
            async with await anyio.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=None,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            ) as process:
                self._running.add(process)
                if self._stop.is_set():  # the signal came while it was started
                    process.terminate()
                code = await process.wait()
                self._running.discard(process)
            if code >= 0 or self._stop.is_set():
                break
            _log.warning("a server process was killed (%d): its sessions are lost, and it is started again", -code)
            await anyio.sleep(_PAUSE_S)
        else:
            code = 0
        if code and not self._stop.is_set():
            self.failure = f"a server process ended with code {code}"
            self._end_all(signal.SIGTERM)
        if code not in (0, -signal.SIGTERM):  # of which one dies that had not begun
            self.code = 1
        listener.close()

    async def pass_signals_on(self) -> None:
        """Send the signals of this process to the others."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self._end_all(signal.SIGTERM)

    def _end_all(self, number: signal.Signals) -> None:
        self._stop.set()
        for process in self._running:
            process.send_signal(number)
