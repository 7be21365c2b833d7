"""The processes that read files, as the server sees them: few, each busy with one file, killed when it takes too long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import asdict, frozen

from agentflow_doc.reading.failures import Unreadable

if TYPE_CHECKING:
    from anyio.abc import Process

    from agentflow_doc.reading.base import Settings

__all__ = ["Answer", "Workers"]

_MOST_HEAD: Final = 256 * 2**20
_MOST_BYTES: Final = 64 * 2**20
#: What a process gets of the environment: no keys.
_ENVIRON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "SYSTEMROOT")


@frozen(kw_only=True)
class Answer:
    """What a process told, and the bytes of an image."""

    told: Mapping[str, Any]
    data: bytes = b""


class _Worker:
    """One process."""

    def __init__(self, process: Process) -> None:
        if process.stdout is None:
            raise AssertionError("the process was started without pipes")
        self._process = process
        self._answers = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls, settings: Settings) -> _Worker:
        environ = {name: os.environ[name] for name in _ENVIRON if name in os.environ}
        environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, "-P", "-m", "agentflow_doc.reading.worker"]
        process = await anyio.open_process(command, env=environ, stderr=subprocess.DEVNULL, start_new_session=True)
        worker = cls(process)
        try:
            await worker._send(asdict(settings))
        except BaseException:
            await worker.kill()
            raise
        return worker

    async def _send(self, request: Mapping[str, Any]) -> None:
        if self._process.stdin is None:
            raise AssertionError("the process was started without pipes")
        await self._process.stdin.send(json.dumps(request).encode() + b"\n")

    async def ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Raises: EndOfStream, BrokenResourceError: the process died."""
        await self._send(request)
        head = json.loads(await self._answers.receive_until(b"\n", _MOST_HEAD))
        size = int(head.get("bytes", 0))
        if size > _MOST_BYTES:
            raise anyio.BrokenResourceError
        return head, await self._answers.receive_exactly(size) if size else b""

    async def kill(self) -> int | None:
        """End the process and all that it started; its exit status."""
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    os.killpg(self._process.pid, 9)
            await self._process.aclose()
        return self._process.returncode


class Workers:
    """As many processes as are allowed, started when they are first needed, and used again."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings = settings
        self._limiter = anyio.CapacityLimiter(count)
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()

    async def ask(self, request: Mapping[str, Any], timeout_s: float) -> Answer:
        """Have a process do something.

        Raises:
            Unreadable: it cannot, takes too long or too much memory, or the file killed it.
        """
        async with self._limiter:
            is_used = bool(self._idle)
            try:
                return await self._ask(request, timeout_s)
            except Unreadable as error:
                if error.reason != "died" or not is_used:
                    raise
            return await self._ask(request, timeout_s)  # it may have died before: once more with a new one

    async def _ask(self, request: Mapping[str, Any], timeout_s: float) -> Answer:
        worker = self._idle.pop() if self._idle else await _Worker.start(self._settings)
        self._busy.add(worker)
        is_usable = False
        try:
            with anyio.fail_after(timeout_s):
                head, data = await worker.ask(request)
            is_usable = not head.get("ends")
        except TimeoutError as error:
            message = f"reading it took longer than {timeout_s:g} s"
            raise Unreadable("timeout", "timeout", message, hint="the limits of the backend may allow more") from error
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            status = await worker.kill()
            raise Unreadable(
                "process_died",
                "died",
                f"the process that read it ended with status {status}",
                hint="the file is broken, or limits.memory_mb is too little for it",
            ) from error
        finally:
            self._busy.discard(worker)
            if is_usable:
                self._idle.append(worker)
            else:
                await worker.kill()
        if "failure" in head:
            raise Unreadable(**head["failure"])
        return Answer(told=head["told"], data=data)

    async def aclose(self) -> None:
        """End all processes."""
        idle, self._idle = self._idle, []
        for worker in (*idle, *self._busy):
            await worker.kill()
