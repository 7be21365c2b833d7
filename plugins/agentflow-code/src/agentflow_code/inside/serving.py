"""The interpreter's loop: take a message, run it in the main thread, answer; an interrupt ends what runs, not the loop."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from agentflow_code.inside import calls
from agentflow_code.inside.frames import Channel
from agentflow_code.inside.shell import Shell, error_of, made

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

__all__ = ["prepare", "serve"]


def prepare() -> Shell:
    """What every session needs, made before it is known which one."""
    return made()


def serve(order: Mapping[str, Any], shell: Shell) -> None:
    """Be the interpreter of a session until the server hangs up.

    ``order`` says the ``control`` folder, the ``env`` and the ``workspace``.
    """
    os.environ.clear()
    os.environ.update(order["env"])
    os.umask(0o022)
    os.chdir(order["workspace"])
    os.environ["PWD"] = order["workspace"]
    control = order["control"]
    channel = Channel(control)
    _redirect(control)
    sys.path.insert(0, "")
    if (random := sys.modules.get("numpy.random")) is not None:
        random.seed()  # else every session would draw the same numbers
    shell.folder = order["workspace"]
    shell.plots = order["plots"]
    _Loop(channel, shell).run()


def _redirect(control: str) -> None:
    """Let stdout and stderr end in FIFOs of the control folder, whoever writes, and let stdin be empty."""
    sys.stdout.flush()
    sys.stderr.flush()
    for target, path, flags in (
        (0, "/dev/null", os.O_RDONLY),
        (1, f"{control}/stdout", os.O_WRONLY),
        (2, f"{control}/stderr", os.O_WRONLY),
    ):
        fd = os.open(path, flags)
        os.dup2(fd, target)
        os.close(fd)
    _open_streams(anew=True)


def _open_streams(*, anew: bool) -> None:
    """Open Python's own streams, all of them or those that a cell has closed or taken away."""
    for target, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        if not anew and getattr(getattr(sys, name, None), "closed", True) is False:
            continue
        mode = "r" if target == 0 else "w"
        stream = open(target, mode, encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


class _Loop:
    def __init__(self, channel: Channel, shell: Shell) -> None:
        self._channel = channel
        self._shell = shell
        self._is_running = False
        self._pid = os.getpid()

    def run(self) -> None:
        signal.signal(signal.SIGINT, self._interrupted)
        self._channel.send({"hello": os.getpid(), "group": os.getpgrp(), "python": sys.version.split()[0]})
        while (message := self._channel.receive()) is not None:
            signal.signal(signal.SIGINT, self._interrupted)  # whatever the last one has made of it
            _open_streams(anew=False)
            reply: dict[str, Any]
            try:
                self._is_running = True
                reply = self._do(message)
                self._is_running = False
            except BaseException as error:  # noqa: BLE001 - it is told; nothing that a user's code raises ends the loop
                self._is_running = False
                reply = {"interrupted": isinstance(error, KeyboardInterrupt), "error": error_of(error)}
            _flush()
            if os.getpid() != self._pid:
                os._exit(0)  # a fork that the user's code has made and let run to the end of the cell
            try:
                self._channel.send({"id": message["id"], **reply})
            except (TypeError, ValueError, RecursionError) as error:
                self._channel.send({"id": message["id"], "error": error_of(error)})

    def _do(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if "run" in message:
            return self._shell.run(message["run"])
        return calls.call(message["call"], message["payload"])

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        if self._is_running:
            raise KeyboardInterrupt


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # the user has closed or replaced it
            continue
