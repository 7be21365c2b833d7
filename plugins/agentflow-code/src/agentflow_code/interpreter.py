"""One running interpreter in its confinement: asked one thing at a time, interrupted when it takes too long."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
from anyio import CancelScope, EndOfStream, get_cancelled_exc_class
from attrs import frozen

from agentflow_code.capture import Capture, Outlet
from agentflow_code.messages import Garbled, Messages
from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from agentflow_code.zygote import Child
    from agentflow_core.sandbox.launchers import Confined

__all__ = ["Answer", "Death", "Interpreter"]

#: How long one that is interrupted may take to come to an end before it is killed.
GRACE_S: Final = 2.0
START_S: Final = 60.0
#: How long the end of a session that is being killed is waited for.
_END_S: Final = 10.0


@frozen(kw_only=True)
class Death:
    """Why an interpreter is no more."""

    reason: Literal["oom", "disk", "signal", "exit", "stuck", "garbled"]
    detail: str


@frozen(kw_only=True)
class Answer:
    """What came of a request: the reply, or how the interpreter died of it; and what was printed meanwhile."""

    reply: Mapping[str, Any] | None = None
    death: Death | None = None
    timed_out: bool = False
    stdout: Capture
    stderr: Capture


class Interpreter:
    """See the module. Whoever made it closes it; that closes the confinement.

    Args:
        confined: where it runs.
        output_bytes: how much of each output is kept.
    """

    def __init__(self, confined: Confined, *, output_bytes: int) -> None:
        self.confined = confined
        self.child: Child | None = None
        self.about: Mapping[str, Any] = {}  #: what it said of itself when it started
        self.death: Death | None = None
        self._output_bytes = output_bytes
        self._messages = Messages(confined.control)
        self._outlets: list[Outlet] = []

    def open(self) -> None:
        """Make its outputs; it can be started then."""
        folder, uid = self.confined.control.folder, self.confined.uid
        for name in ("stdout", "stderr"):
            self._outlets.append(Outlet(folder, name, uid))

    @property
    def has_ended(self) -> bool:
        """Is it no more, for whatever reason?"""
        return self.confined.ended is not None or (self.child is not None and self.child.ended.is_set())

    async def greet(self) -> None:
        """Wait until it is ready.

        Raises:
            SandboxError: ``internal``: it does not get so far; the message says what it printed.
        """
        out, err = self._captures()
        told = await self._until(self._messages.hello, START_S, out, err)
        if told is None or "hello" not in told:
            said = "" if self.death is None else self.death.detail
            with anyio.move_on_after(1.0):
                said += " " + (await self.confined.stderr.read_all(4000)).decode(errors="replace").strip()
            raise SandboxError(f"the interpreter did not start: {said} {err.text}".strip(), code="internal")
        self.about = told

    async def ask(self, message: Mapping[str, Any], timeout_s: float) -> Answer:
        """Send a request and wait for its reply; past the time, or when cancelled, it is interrupted, then killed."""
        out, err = self._captures()
        number = self._messages.number()
        try:
            reply = await self._until(lambda: self._messages.ask(number, message), timeout_s, out, err)
        except get_cancelled_exc_class():
            await self._stop(number, out, err)
            raise
        timed_out = reply is None and self.death is None
        if timed_out:
            reply = await self._stop(number, out, err)
        for outlet, capture in zip(self._outlets, (out, err), strict=True):
            outlet.drain(capture)
        return Answer(reply=reply, death=self.death, timed_out=timed_out, stdout=out, stderr=err)

    def _captures(self) -> tuple[Capture, Capture]:
        return Capture(self._output_bytes), Capture(self._output_bytes)

    async def _until(self, wanted: Any, timeout_s: float, out: Capture, err: Capture) -> dict[str, Any] | None:
        """What ``wanted`` waits for, while the outputs flow; None past the time, or when it has died meanwhile."""
        got: dict[str, Any] | None = None
        has_ended = False
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                nonlocal has_ended
                await self._ended()
                has_ended = True
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            for outlet, capture in zip(self._outlets, (out, err), strict=True):
                tasks.start_soon(outlet.pump, capture)
            with anyio.move_on_after(timeout_s):
                try:
                    got = await wanted()
                except EndOfStream:
                    has_ended = True
                except Garbled as error:
                    self.death = Death(reason="garbled", detail=f"it sent {error}")
            tasks.cancel_scope.cancel()
        if got is None and self.death is not None:
            await self._kill()
        elif got is None and has_ended:
            self.death = await self._how()
        return got

    async def _ended(self) -> None:
        """Wait until the interpreter is no more."""
        if self.child is None:
            await self.confined.wait()
            return
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await self.confined.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await self.child.ended.wait()
            tasks.cancel_scope.cancel()

    async def _stop(self, number: int, out: Capture, err: Capture) -> dict[str, Any] | None:
        """End what runs: its reply if it can be interrupted; else it is killed."""
        with CancelScope(shield=True):
            await self._signal(signal.SIGINT)
            reply = await self._until(lambda: self._messages.reply(number), GRACE_S, out, err)
            if reply is None and self.death is None:
                await self._kill()
                self.death = Death(reason="stuck", detail=f"it did not heed an interrupt within {GRACE_S:g} s")
        return reply

    async def _signal(self, signum: int) -> None:
        if self.child is not None:
            await self.child.signal(signum)
        else:
            await self.confined.signal(self.about["group"], signum, group=True)

    async def _kill(self) -> None:
        with CancelScope(shield=True):
            await self.confined.kill()

    async def find_death(self) -> Death:
        """Why it is no more, when it has ended without being asked anything."""
        self.death = self.death or await self._how()
        return self.death

    async def _how(self) -> Death:
        """How it ended, when it did so by itself."""
        with CancelScope(shield=True), anyio.move_on_after(_END_S):
            used = await self.confined.usage()
            if self.child is None:
                ended = await self.confined.wait()
                status = ended.returncode if ended.returncode < 128 else 128 - ended.returncode
                if ended.reason == "oom":
                    return _out_of_memory()
            else:
                await self.child.ended.wait()
                status = self.child.status or 0
            if self.confined.ended is not None and self.confined.ended.reason == "disk":
                return Death(reason="disk", detail="the workspace grew over its limit")
            if status == -signal.SIGKILL and used.oom_kills:
                return _out_of_memory()
            if status < 0:
                return Death(reason="signal", detail=f"it was killed by {_signal_name(-status)}")
            return Death(reason="exit", detail=f"it exited with status {status}")
        return Death(reason="signal", detail="it was killed")

    async def aclose(self) -> None:
        """Kill what there is of it and give everything back."""
        with CancelScope(shield=True):
            await self.confined.aclose()
            for outlet in self._outlets:
                outlet.close()


def _out_of_memory() -> Death:
    return Death(reason="oom", detail="it took more memory than the session has")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
