"""Speak to QEMU and to the agent in its guest: JSON lines over a Unix socket, one command at a time."""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
from anyio import CancelScope

from agentflow_core.errors import SandboxError
from agentflow_vm.machines.sockets import UnixStream, connect_unix

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Qmp", "Refused", "connect_beneath"]

#: The longest line that is taken: the agent in the guest sends what a program printed in one.
_LINE_BYTES: Final = 64 << 20
_EVENTS: Final = 64
#: Begins an answer of the guest's agent after whatever an earlier conversation left half said.
_FRESH: Final = b"\xff"


class Refused(SandboxError):
    """QEMU, or the agent in the guest, did not do what it was asked; ``kind`` is its own word for why."""

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(message, code="internal")
        self.kind = kind


def connect_beneath(folder: Path, name: str) -> UnixStream:
    """Connect to the Unix socket of that name in a folder, however long the folder's path is; a link is not followed.

    Raises:
        OSError: nobody listens there.
    """
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            raise OSError(f"{name} is no socket")
        return connect_unix(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


class Qmp:
    """A conversation that has begun. Commands of several tasks wait for one another.

    Args:
        stream: the connection, closed by whoever opened it.
        name: of the other end, for messages.
    """

    def __init__(self, stream: anyio.abc.ByteStream, *, name: str = "QEMU") -> None:
        self._stream = stream
        self._name = name
        self._buffer = bytearray()
        self._events: deque[Mapping[str, Any]] = deque(maxlen=_EVENTS)
        self._lock = anyio.Lock()
        self._last = 0

    async def greet(self) -> None:
        """Begin, with QEMU itself.

        Raises:
            SandboxError: ``session_lost``: the other end does not speak QMP.
        """
        async with self._lock:
            greeting = await self._receive()
        if "QMP" not in greeting:
            raise self._lost("it does not greet")
        await self.execute("qmp_capabilities")

    async def synchronize(self) -> None:
        """Make sure that the agent in the guest listens, and that its next answer is to the next question.

        Raises:
            SandboxError: ``session_lost``.
        """
        async with self._lock:
            self._last += 1
            asked = json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": self._last}})
            with CancelScope(shield=True):
                await self._send(_FRESH + asked.encode() + b"\n")
            while True:
                line = await self._line()
                fresh = line.rpartition(_FRESH)
                if fresh[1] and self._read(fresh[2]).get("return") == self._last:
                    return

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and wait for what it returns.

        Raises:
            Refused: it failed.
            SandboxError: ``session_lost``: the other end is gone.
        """
        async with self._lock:
            self._last += 1
            number = self._last
            asked = {"execute": command, "arguments": arguments, "id": number}
            with CancelScope(shield=True):  # half a command would garble all that follow
                await self._send(json.dumps(asked, ensure_ascii=True).encode() + b"\n")
            while True:
                answer = await self._receive()
                if "event" in answer:
                    self._events.append(answer)
                elif answer.get("id") == number:  # else to a command whose caller was cancelled
                    return self._result(command, answer)

    def _result(self, command: str, answer: Mapping[str, Any]) -> Any:
        if "error" in answer:
            error = answer["error"]
            raise Refused(
                f"{self._name} refused {command}: {error.get('desc', error)}", kind=str(error.get("class", ""))
            )
        return answer.get("return")

    async def event(self, name: str, **data: Any) -> Mapping[str, Any]:
        """Wait for an event with these data, or take one that came since the last command; returns its data.

        Raises:
            SandboxError: ``session_lost``.
        """
        async with self._lock:
            while True:
                while self._events:
                    event = self._events.popleft()
                    told = event.get("data", {})
                    if event.get("event") == name and data.items() <= told.items():
                        return dict(told)
                answer = await self._receive()
                if "event" in answer:
                    self._events.append(answer)

    async def job(self, command: str, job: str, **arguments: Any) -> None:
        """Run a command that is a job of this id, to its end.

        Raises:
            Refused: it failed.
            SandboxError: ``session_lost``.
        """
        await self.execute(command, **{"job-id": job}, **arguments)
        await self.event("JOB_STATUS_CHANGE", id=job, status="concluded")
        jobs = await self.execute("query-jobs")
        await self.execute("job-dismiss", id=job)
        error = next((each.get("error") for each in jobs if each["id"] == job), None)
        if error:
            raise Refused(f"{self._name} could not {command.replace('-', ' ')}: {error}", kind="JobFailed")

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise self._lost("it has ended") from error

    async def _receive(self) -> Mapping[str, Any]:
        return self._read(await self._line())

    async def _line(self) -> bytes:
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if seen > _LINE_BYTES:
                raise self._lost("it says too much at once")
            try:
                self._buffer += await self._stream.receive(1 << 16)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                raise self._lost("it has ended") from error
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _read(self, line: bytes) -> Mapping[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self._lost("it says what is no JSON") from error
        if not isinstance(answer, dict):
            raise self._lost("it says what is no object")
        return answer

    def _lost(self, why: str) -> SandboxError:
        return SandboxError(f"{self._name} does not answer any more: {why}", code="session_lost")
