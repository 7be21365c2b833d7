"""The way into an `xvnc` machine: its supervisor, asked over pipes. What it says is checked, since its user can fake it."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream

from agentflow_core.errors import SandboxError
from agentflow_vm.machines.machine import Ran

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.sandbox.launchers import Confined

__all__ = ["Supervised"]

#: Beyond the time of a command, for the answer to come.
_GRACE_S: Final = 10.0
#: For a command to be killed that nobody waits for any more; then the whole session is.
_STOP_S: Final = 3.0
_MAX_LINE: Final = 8 << 20


class _Asked:
    def __init__(self) -> None:
        self.done = anyio.Event()
        self.told: Mapping[str, Any] | None = None


class Supervised:
    """See the module. `run` reads what the supervisor says as long as it lives."""

    def __init__(self, confined: Confined) -> None:
        self._confined = confined
        self._asked: dict[int, _Asked] = {}
        self._last = 0
        self._rest = b""
        self._sending = anyio.Lock()
        self.gone: str | None = None  #: why nothing can be asked any more
        self.ended = anyio.Event()  #: is it?

    async def hello(self) -> Mapping[str, Any]:
        """The first thing that it says."""
        try:
            return await self._line()
        except (EndOfStream, BrokenResourceError, ClosedResourceError, ValueError, RecursionError) as error:
            stderr = (await self._confined.stderr.read_all(1 << 16)).decode(errors="replace")
            raise SandboxError(
                f"the desktop did not start: {stderr.strip()[-2000:] or 'it says nothing'}", code="internal"
            ) from error

    async def run(self) -> None:
        """Take in answers until there are no more."""
        reason = "its supervisor has ended"
        try:
            while True:
                told = await self._line()
                if isinstance(told.get("gone"), str):
                    reason = told["gone"][:500]
                    break
                number = told.get("id")
                asked = self._asked.get(number) if isinstance(number, int) else None
                if asked is not None:
                    asked.told = told
                    asked.done.set()
        except (ValueError, RecursionError) as error:
            reason = f"its supervisor said what cannot be read: {error}"
        except (EndOfStream, BrokenResourceError, ClosedResourceError):
            ended = self._confined.ended
            if ended is not None and ended.reason != "exit":
                reason = {"oom": "it ran out of memory", "disk": "it wrote more than it may"}.get(
                    ended.reason, "it was killed"
                )
        self.lose(reason)

    def lose(self, reason: str) -> None:
        """Nothing will be answered any more."""
        self.gone = self.gone or reason
        self.ended.set()
        for asked in self._asked.values():
            asked.done.set()

    async def _line(self) -> Mapping[str, Any]:
        while b"\n" not in self._rest:
            if len(self._rest) > _MAX_LINE:
                raise ValueError("a line without an end")
            self._rest += await self._confined.stdout.receive(1 << 20)
        line, _, self._rest = self._rest.partition(b"\n")
        told = json.loads(line)
        if not isinstance(told, dict):
            raise ValueError("no object")
        return told

    async def ask(self, operation: str, timeout_s: float, /, **arguments: Any) -> Mapping[str, Any]:
        """Have something done.

        Raises:
            SandboxError: ``session_lost``, ``not_found``, ``internal``.
        """
        if self.gone is not None:
            raise SandboxError(f"the desktop is gone: {self.gone}", code="session_lost")
        self._last += 1
        number = self._last
        asked = self._asked[number] = _Asked()
        try:
            await self._send(json.dumps({"id": number, "op": operation, **arguments}).encode() + b"\n")
            with anyio.move_on_after(timeout_s + _GRACE_S):
                await asked.done.wait()
        except BaseException:
            if operation == "run":
                await self._stop(number)
            raise
        finally:
            del self._asked[number]
        told = asked.told
        if told is None:
            raise SandboxError(
                f"the desktop is gone: {self.gone or 'its supervisor does not answer'}", code="session_lost"
            )
        if "error" in told:
            code = str(told["error"]) if told["error"] in ("not_found", "pids_limit") else "internal"
            raise SandboxError(str(told.get("message"))[:2000], code=code)
        return told

    async def _stop(self, command: int) -> None:
        """Kill a command that nobody waits for any more, with all that it has started."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_STOP_S) as scope:
                try:
                    await self.ask("stop", 0.0, command=command)
                except SandboxError as error:  # it is gone, and all commands with it
                    self.lose(error.message)
            if scope.cancelled_caught:
                self.lose("its supervisor does not answer")
                await self._confined.kill()

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_GRACE_S) as scope:
                try:
                    await self._confined.stdin.send(data)
                except (BrokenResourceError, ClosedResourceError):
                    self.lose("its supervisor has ended")
            if scope.cancelled_caught:
                self.lose("its supervisor takes nothing in")

    async def run_program(self, argv: tuple[str, ...], timeout_s: float, cwd: str | None, max_bytes: int) -> Ran:
        """See `Guest.run`."""
        told = await self.ask(
            "run", timeout_s, argv=list(argv), timeout_s=timeout_s, cwd=cwd, max_bytes=min(max_bytes, _MAX_LINE // 4)
        )
        code, omitted = told.get("code"), told.get("omitted")
        try:
            stdout, stderr = (base64.b64decode(str(told.get(name, "")), validate=True) for name in ("stdout", "stderr"))
        except (binascii.Error, ValueError) as error:
            raise SandboxError(f"the desktop's answer cannot be read: {error}", code="internal") from error
        return Ran(
            exit_code=code if isinstance(code, int) else None,
            stdout=stdout,
            stderr=stderr,
            timed_out=told.get("timed_out") is True,
            omitted_bytes=omitted if isinstance(omitted, int) else 0,
        )
