"""Run programs in a machine in which qemu-guest-agent runs."""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio

from agentflow_core.errors import SandboxError
from agentflow_vm.machines.qmp import Refused
from agentflow_vm.machines.shell_guest import READ_S, Executed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_vm.machines.qmp import Qmp

__all__ = ["GuestAgent"]

#: The agent tells nobody when a program has ended, so it is asked: at first often, then rarely.
_FIRST_LOOK_S: Final = 0.01
_LAST_LOOK_S: Final = 0.25
_GRACE_S: Final = 10.0
_PATH: Final = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


class GuestAgent:
    """See `agentflow_vm.machines.shell_guest.Executor`.

    Args:
        qmp: the conversation with the agent.
        user: as whom programs run.
        env: their environment, beside what the user's own is.
    """

    def __init__(self, qmp: Qmp, *, user: str, env: Mapping[str, str]) -> None:
        self._qmp = qmp
        self._user = user
        self._env = [f"{name}={value}" for name, value in env.items()]

    async def __call__(self, argv: Sequence[str], *, timeout_s: float, given: bytes) -> Executed:
        """See `Executor`."""
        login = ["--", "env", *self._env, "sh", "-c", 'cd; exec "$@"', "sh"]
        limited = ["--signal=KILL", f"{timeout_s:.3f}", "runuser", "-u", self._user, *login, *argv]
        asked: dict[str, Any] = {"path": "timeout", "arg": limited, "capture-output": True}
        asked["env"] = [_PATH, f"HOME=/home/{self._user}"]
        if given:
            asked["input-data"] = base64.b64encode(given).decode("ascii")
        status = await self._ended(**asked, timeout_s=timeout_s)
        code = status.get("exitcode")
        return Executed(
            exit_code=int(code) if code is not None else 128 + int(status.get("signal", 9)),
            stdout=base64.b64decode(status.get("out-data", "")),
            stderr=base64.b64decode(status.get("err-data", "")),
        )

    async def _ended(self, *, timeout_s: float, **asked: Any) -> dict[str, Any]:
        """Start a program, and what is told of it when it has ended."""
        pid = (await self._qmp.execute("guest-exec", **asked))["pid"]
        pause = _FIRST_LOOK_S
        until = time.monotonic() + timeout_s + _GRACE_S
        while True:
            status = await self._qmp.execute("guest-exec-status", pid=pid)
            if status["exited"]:
                return dict(status)
            if time.monotonic() > until:
                raise SandboxError("the machine does not end a program whose time is over", code="session_lost")
            await anyio.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK_S)

    async def as_root(self, script: str, *, timeout_s: float = READ_S) -> None:
        """Run a shell script as root, to its end."""
        await self._ended(
            path="timeout", arg=["--signal=KILL", str(timeout_s), "sh", "-c", script], timeout_s=timeout_s
        )

    async def set_clock(self, seconds: float) -> bool:
        """Set the machine's clock to this time since 1970; whether it could be set.

        A program of the machine does it: the agent itself would wait a second for the hardware's clock as well.
        """
        with suppress(Refused):  # such as where there is no such program
            ended = await self._ended(path="date", arg=["-u", "-s", f"@{seconds:.3f}"], timeout_s=READ_S)
            if ended.get("exitcode") == 0:
                return True
        with suppress(Refused):
            await self._qmp.execute("guest-set-time", time=int(seconds * 1e9))
            return True
        return False

    async def has_file(self, path: str) -> bool:
        """Whether a file is there."""
        with suppress(Refused):
            handle = await self._qmp.execute("guest-file-open", path=path, mode="r")
            await self._qmp.execute("guest-file-close", handle=handle)
            return True
        return False
