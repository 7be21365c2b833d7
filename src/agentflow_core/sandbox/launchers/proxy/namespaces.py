"""A listening socket inside the network namespace of a session's process, with nothing of ours running there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.proxy import entering

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["listener_of"]

_NS_GET_USERNS: Final = 0xB701
#: Normally some 20 milliseconds.
_ENTER_S: Final = 15.0


def listener_of(pid: int, port: int, *, is_it: Callable[[int], bool] | None = None) -> socket.socket:
    """A socket that listens on 127.0.0.1 where the process has its network; blocks, so call it from a thread.

    Args:
        pid: the process, on this machine; owned by this process's uid unless that is root.
        port: to listen at.
        is_it: given a descriptor of ``/proc/PID``, whether it is the process that is meant.

    Raises:
        SandboxError: ``unsupported``: it cannot be entered from here.
    """
    try:
        with ExitStack() as stack:
            process = _opened(stack, f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY)
            network = _opened(stack, "ns/net", os.O_RDONLY, dir_fd=process)
            if is_it is not None and not is_it(process):
                raise _unsupported("its process is not on this machine")
            if os.path.samestat(os.fstat(network), os.stat("/proc/self/ns/net")):
                raise _unsupported("it has the network of this process")
            if os.geteuid() == 0:
                return _by_thread(network, port)
            return _by_process(stack, network, port)
    except (OSError, subprocess.SubprocessError) as error:
        raise _unsupported(str(error)) from error


def _unsupported(why: str) -> SandboxError:
    return SandboxError(
        f"the proxy for allowed hosts cannot stand in the session's network: {why}",
        code="unsupported",
        hint="it takes a session of this machine and, where other users own it, root; or set network: {mode: off}",
    )


def _opened(stack: ExitStack, path: str, flags: int, *, dir_fd: int | None = None) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC, dir_fd=dir_fd)
    stack.callback(os.close, fd)
    return fd


def _by_thread(network: int, port: int) -> socket.socket:
    """Enter in a thread that ends right after: one that were used again would be in the wrong network."""
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        try:
            made.append(entering.listen_inside(network, None, port))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter, name="agentflow-enter")
    thread.start()
    thread.join()
    (found,) = made
    if isinstance(found, OSError):
        raise found
    return found


def _by_process(stack: ExitStack, network: int, port: int) -> socket.socket:
    """Enter in a process of its own, by the user namespace to which the network belongs."""
    import fcntl

    user = fcntl.ioctl(network, _NS_GET_USERNS)
    stack.callback(os.close, user)
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    with theirs:
        passed = (network, user, theirs.fileno())
        command = [sys.executable, "-I", "-S", entering.__file__, *map(str, (network, user, port, theirs.fileno()))]
        done = subprocess.run(
            command,
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ENTER_S,
            check=False,
        )
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "it could not be entered")
    _, [(_, _, handed)], _, _ = ours.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
    return socket.socket(fileno=int.from_bytes(handed, sys.byteorder))
