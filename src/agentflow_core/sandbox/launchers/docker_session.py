"""A session that is a container: its streams taken apart from the engine's one socket, watched until it has ended."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from anyio import BrokenResourceError, CancelScope, ClosedResourceError, EndOfStream
from attrs import evolve

from agentflow_core.sandbox.launchers.cgroups import usage_of
from agentflow_core.sandbox.launchers.session import Watched
from agentflow_core.sandbox.launchers.spec import WORKSPACE, Ended, Usage
from agentflow_core.sandbox.launchers.streams import ByteReader, ByteWriter, pipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from agentflow_core.sandbox.launchers.folders import OpenControl
    from agentflow_core.sandbox.launchers.proxy.serving import Proxy
    from agentflow_core.sandbox.launchers.session import Holdings
    from agentflow_core.sandbox.launchers.spec import Entrance

__all__ = ["DockerSession"]

_HEADER = struct.Struct(">BxxxL")  # which stream, how many bytes
_STDERR = 2


class DockerSession(Watched):
    """See `Confined`. ``pid`` is the container's first process on the machine of the engine."""

    def __init__(
        self,
        *,
        id: str,
        uid: int,
        attached: Any,
        folder: Path | None,
        disk_bytes: int,
        control: OpenControl,
        enforced: Mapping[str, str],
        holdings: Holdings,
        api: Any,
        call: Callable[..., Awaitable[Any]],
    ) -> None:
        super().__init__(folder=folder, disk_bytes=disk_bytes, proxy=None)
        self.id = id
        self.pid = 0
        self.container = id  # its id at the engine, once that runs it
        self.uid: int | None = uid
        self.workspace = WORKSPACE
        self.control = control.control
        self.enforced = enforced
        self.entrance: Entrance | None = None
        self._control = control
        self._holdings = holdings
        self._api = api
        self._call = call
        self._last = Usage()
        self._drained = False  # did its output come to its end, as it does when it has?
        self._socket = _taken_over(attached)
        self._from_engine = ByteReader(os.dup(self._socket.fileno()))
        self._to_engine = ByteWriter(os.dup(self._socket.fileno()))
        (stdin, self.stdin), (self.stdout, stdout), (self.stderr, stderr) = _pipe(), _pipe(), _pipe()
        self._stdin, self._outputs = stdin, {_STDERR: stderr}
        self._stdout = stdout

    def serve_by(self, proxy: Proxy) -> None:
        """Take the proxy that serves it as long as it lives; given before `own`, since it stands in the container."""
        self._proxy = proxy

    async def own(self) -> None:
        """Watch it to its end, which comes at once when this is cancelled; then give back all that it held."""
        try:
            async with anyio.create_task_group() as group:
                self._beside(group, self._kill_now)
                group.start_soon(self._pass_stdin)
                await self._pass_outputs()
                group.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True):
                ended = await self._stopped()
                await self._holdings.give_back()
                self._close_ours()
                self._control.end_replies()
                self._end(ended)

    async def _stopped(self) -> Ended:
        """How it ended; killed here if it has not."""
        state = (await self._call(self._api.inspect_container, self.id))["State"]
        if state["Running"] and not self._drained:
            self._reason = self._reason or "killed"
            await self._kill_now()
        await self._call(self._api.wait, self.id)
        state = (await self._call(self._api.inspect_container, self.id))["State"]
        returncode = int(state["ExitCode"])
        self._last = Usage(oom_kills=int(state["OOMKilled"]), disk_bytes=self._disk_bytes)
        if self._reason is not None:
            return Ended(reason=self._reason, returncode=returncode)
        if state["OOMKilled"] and returncode == 137:
            return Ended(reason="oom", returncode=returncode)
        return Ended(reason="exit", returncode=returncode, detail=state.get("Error") or "")

    async def _kill_now(self) -> None:
        import docker

        with suppress(docker.errors.APIError):  # it is not running any more
            await self._call(self._api.kill, self.id)

    async def _pass_stdin(self) -> None:
        with suppress(BrokenResourceError, ClosedResourceError):
            async for data in self._stdin:
                await self._to_engine.send(data)
            self._socket.shutdown(socket.SHUT_WR)

    async def _pass_outputs(self) -> None:
        """Hand on what comes until the container has ended; what nobody reads any more is dropped."""
        pending = bytearray()
        with suppress(EndOfStream, BrokenResourceError):
            while True:
                pending += await self._from_engine.receive()
                while len(pending) >= _HEADER.size:
                    which, size = _HEADER.unpack_from(pending)
                    if len(pending) < _HEADER.size + size:
                        break
                    data = bytes(pending[_HEADER.size : _HEADER.size + size])
                    del pending[: _HEADER.size + size]
                    with suppress(BrokenResourceError):
                        await self._outputs.get(which, self._stdout).send(data)
        self._drained = True

    async def kill(self) -> None:
        """See `Confined.kill`."""
        if self.ended is None:
            self._reason = self._reason or "killed"
            await self._kill_now()
            await self._over.wait()

    async def signal(self, pid: int, signum: int, *, group: bool = False) -> bool:
        """See `Confined.signal`."""
        if self.ended is not None:
            return False
        target = f"-{pid}" if group else str(pid)
        command = ["/bin/sh", "-c", 'kill -s "$1" -- "$2"', "sh", str(int(signum)), target]
        made = await self._call(self._api.exec_create, self.id, command)
        await self._call(self._run_to_end, made["Id"])
        told = await self._call(self._api.exec_inspect, made["Id"])
        return bool(told["ExitCode"] == 0)

    def _run_to_end(self, exec_id: str) -> None:
        with _taken_over(self._api.exec_start(exec_id, socket=True)) as output:
            while output.recv(4096):
                pass

    async def usage(self) -> Usage:
        """See `Confined.usage`."""
        if self.ended is not None:
            return self._last
        if (counted := usage_of(self.pid, self.container)) is not None:
            return evolve(counted, disk_bytes=self._disk_bytes)
        stats = await self._call(self._api.stats, self.id, stream=False, one_shot=True)
        memory = stats.get("memory_stats", {})
        cpu_ns = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        return Usage(
            cpu_s=None if cpu_ns is None else cpu_ns / 1e9,
            memory_bytes=memory.get("usage"),
            memory_peak_bytes=memory.get("max_usage"),
            pids=stats.get("pids_stats", {}).get("current"),
            disk_bytes=self._disk_bytes,
        )

    def _close_ours(self) -> None:
        """Close the ends that are not the caller's, so that the caller's come to their end."""
        self._socket.close()
        for stream in (self._from_engine, self._to_engine, self._stdin, self._stdout, *self._outputs.values()):
            stream.close()

    def close_streams(self) -> None:
        """Close everything."""
        self._close_ours()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()

    async def aclose(self) -> None:
        """See `Confined.aclose`."""
        with CancelScope(shield=True):
            await self.kill()
        self.close_streams()
        self._control.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _taken_over(attached: Any) -> socket.socket:
    """The connection below what the SDK gives, which alone can be half closed; the SDK's own objects are closed."""
    below = getattr(attached, "_sock", attached)
    taken = socket.socket(fileno=os.dup(below.fileno()))
    attached.close()
    below.close()
    taken.setblocking(True)  # the SDK's time limit left it otherwise
    return taken


def _pipe() -> tuple[ByteReader, ByteWriter]:
    read, write = pipe()
    return ByteReader(read), ByteWriter(write)
