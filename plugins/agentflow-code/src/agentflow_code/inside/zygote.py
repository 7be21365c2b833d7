"""The zygote: an interpreter with the common libraries imported, which forks itself into sessions and runs nothing else.

It has one thread, an environment of its own, and one socket to the server. A message ``{start: …}`` with three
descriptors (the pidfd of the session's first process, a pipe that is closed when all went well, one that is closed when
the session stands) makes a session's interpreter, born into the session's pid namespace; ``{signal: …}`` signals one;
``{ended: …}`` tells the server of an end. It is the parent of all of them, so it alone knows how they ended and their
numbers cannot be another's.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from agentflow_code.inside import entering, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["run"]

_MESSAGE_BYTES = 1 << 18


def run(descriptor: int, preload: Sequence[str]) -> None:
    """Import what is asked for, tell the server what there is, then fork until the server hangs up."""
    entering.die_with_parent(os.getppid())
    control = socket.socket(fileno=descriptor)
    missing: list[str] = []
    threaded = ""
    for name in preload:
        if not _imported(name):
            missing.append(name)
        elif not threaded and _threads() > 1:
            threaded = name
    prepared = serving.prepare()
    prepared.rehearse()
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page in every session
    ready = {"ready": os.getpid(), "missing": missing, "threads": _threads(), "threaded": threaded}
    control.send(json.dumps(ready).encode())
    _Zygote(control).serve(lambda order: serving.serve(order, prepared))


def _imported(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def _threads() -> int:
    """Threads of any kind: what one of them holds would stay held in a fork, and it could not enter a session."""
    return len(os.listdir("/proc/self/task"))


class _Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._children: dict[int, int] = {}  # what the server calls it → its pid
        self._woken, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self, become: Callable[[dict[str, Any]], None]) -> None:
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        waiting.register(self._woken, select.POLLIN)
        while True:
            ready = {fd for fd, _ in waiting.poll()}
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._control.fileno() not in ready:
                continue
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 3)
            if not data:
                return
            message = json.loads(data)
            if "start" in message:
                self._start(message["start"], *descriptors, become=become)
            elif (pid := self._children.get(message["signal"])) is not None:
                self._signal(pid, message["signum"])

    def _start(
        self, order: dict[str, Any], pidfd: int, failure: int, gate: int, *, become: Callable[[dict[str, Any]], None]
    ) -> None:
        try:
            entering.join_pid_namespace(pidfd)
            try:
                pid = os.fork()
                if pid == 0:
                    self._become(order, pidfd, failure, gate, become)
            finally:
                entering.join_pid_namespace(self._own)  # a child does not come here
            self._children[order["id"]] = pid
        except OSError as error:
            os.write(failure, f"the zygote cannot fork: {error}".encode())
        finally:
            for descriptor in (pidfd, failure, gate):
                os.close(descriptor)

    def _become(
        self, order: dict[str, Any], pidfd: int, failure: int, gate: int, become: Callable[[dict[str, Any]], None]
    ) -> NoReturn:
        """In the child: leave everything of the zygote behind, enter the session, serve it."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            os.read(gate, 1)
            entering.enter(order, pidfd)
            self._control.close()
        except BaseException as error:  # noqa: BLE001 - told to the server; nothing may return into the zygote
            os.write(failure, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
        try:
            os.closerange(3, failure)
            os.closerange(failure + 1, 1 << 16)
            os.close(failure)
            become(order)
        except BaseException:  # noqa: BLE001 - nothing may return into the zygote
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    def _signal(self, pid: int, signum: int) -> None:
        try:
            os.killpg(pid, signum)
        except ProcessLookupError:
            os.kill(pid, signum)  # it has left its group, or has not made it yet

    def _reap(self) -> None:
        names = {pid: name for name, pid in self._children.items()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = names[pid]
            del self._children[name]
            self._control.send(json.dumps({"ended": name, "status": os.waitstatus_to_exitcode(status)}).encode())


if __name__ == "__main__":
    sys.exit("started by agentflow_code.zygote")
