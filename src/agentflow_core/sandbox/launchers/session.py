"""A session that is a process of the host: watched until it ends, then everything that it held is removed."""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio import CancelScope
from attrs import evolve

from agentflow_core.sandbox.launchers.folders import size_of
from agentflow_core.sandbox.launchers.processes import wait_for
from agentflow_core.sandbox.launchers.spec import Ended, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Literal, Self

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.launchers.cgroups import Cgroup
    from agentflow_core.sandbox.launchers.folders import OpenControl
    from agentflow_core.sandbox.launchers.processes import Spawned
    from agentflow_core.sandbox.launchers.proxy.serving import Proxy
    from agentflow_core.sandbox.launchers.spec import Entrance

__all__ = ["Holdings", "ProcessSession", "Watched", "as_returncode"]

_log = logging.getLogger("agentflow_core.sandbox")

#: Share of the time that looking at a workspace may take: a large one is looked at less often than each second.
_WATCHING_SHARE = 0.02


def as_returncode(status: int) -> int:
    """A status as shells say it: 128 + n after signal n."""
    return 128 - status if status < 0 else status


class Holdings:
    """What a session holds, given back in reverse order, each once, one failure not stopping the rest."""

    def __init__(self) -> None:
        self._held: list[Callable[[], Awaitable[Any] | None]] = []
        self._cross_out: Callable[[], None] | None = None

    def listed(self, cross_out: Callable[[], None]) -> None:
        """It is written down somewhere, to be crossed out when all of it has been given back, and only then."""
        self._cross_out = cross_out

    def add(self, give_back: Callable[[], Awaitable[Any] | None]) -> None:
        """Remember how to give something back; it may be asynchronous."""
        self._held.append(give_back)

    async def give_back(self) -> None:
        """Give everything back."""
        with CancelScope(shield=True):
            while self._held:
                try:
                    waiting = self._held.pop()()
                    if waiting is not None:
                        await waiting
                except OSError as error:
                    self._cross_out = None
                    _log.warning("something of a session could not be removed: %s", error)
            cross_out, self._cross_out = self._cross_out, None
            if cross_out is not None:
                cross_out()


class Watched:
    """What sessions of every launcher have in common: an end that is waited for, and what runs beside until then."""

    id: str
    ended: Ended | None

    def __init__(self, *, folder: Path | None, disk_bytes: int, proxy: Proxy | None) -> None:
        self.ended = None
        self._proxy = proxy
        self._over = anyio.Event()
        self._folder = folder
        self._disk_limit = disk_bytes
        self._disk_bytes: int | None = None
        self._reason: Literal["killed", "disk"] | None = None

    async def wait(self) -> Ended:
        """See `Confined.wait`."""
        await self._over.wait()
        assert self.ended is not None
        return self.ended

    def _end(self, ended: Ended) -> None:
        self.ended = ended
        self._over.set()

    def _beside(self, group: TaskGroup, kill: Callable[[], Awaitable[None]]) -> None:
        """Start what runs as long as the session: its proxy, and the measuring of its workspace."""
        group.start_soon(self._watch_disk, kill)
        if self._proxy is not None:
            group.start_soon(self._proxy.serve)

    async def _watch_disk(self, kill: Callable[[], Awaitable[None]]) -> None:
        """Measure the workspace again and again; kill the session when it is too large."""
        if self._folder is None:
            return
        while True:
            used, took_s = await anyio.to_thread.run_sync(_measured, self._folder)
            self._disk_bytes = used
            if used > self._disk_limit:
                self._reason = self._reason or "disk"
                await kill()
                return
            await anyio.sleep(max(1.0, took_s / _WATCHING_SHARE))


def _measured(folder: Path) -> tuple[int, float]:
    """Its bytes, and the seconds of work that counting took; what a busy machine lets it wait is none."""
    began = time.thread_time()
    return size_of(folder), time.thread_time() - began


class ProcessSession(Watched):
    """See `Confined`. ``kill_all`` sends the deadly signals; ``finish`` says how it ended, given its return code."""

    def __init__(
        self,
        *,
        id: str,
        spawned: Spawned,
        pid: int,
        uid: int | None,
        workspace: str,
        folder: Path | None,
        disk_bytes: int,
        control: OpenControl,
        enforced: Mapping[str, str],
        cgroup: Cgroup | None,
        holdings: Holdings,
        kill_all: Callable[[], None],
        signal_one: Callable[[int, int, bool], bool],
        failure: Callable[[], Awaitable[str]],
        proxy: Proxy | None = None,
        entrance: Entrance | None = None,
    ) -> None:
        super().__init__(folder=folder, disk_bytes=disk_bytes, proxy=proxy)
        self.id = id
        self.pid = pid
        self.uid = uid
        self.workspace = workspace
        self.control = control.control
        self.stdin = spawned.stdin
        self.stdout = spawned.stdout
        self.stderr = spawned.stderr
        self.enforced = enforced
        self.entrance = entrance
        self._spawned = spawned
        self._control = control
        self._cgroup = cgroup
        self._holdings = holdings
        self._kill_all = kill_all
        self._signal_one = signal_one
        self._failure = failure
        self._last = Usage()

    async def own(self) -> None:
        """Watch it to its end, which comes at once when this is cancelled; then give back all that it held."""
        try:
            async with anyio.create_task_group() as group:
                self._beside(group, self._kill_now)
                await wait_for(self._spawned.process)
                group.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True):
                if self._spawned.process.poll() is None:
                    self._reason = self._reason or "killed"
                self._kill_all()  # also what the first process left behind
                returncode = as_returncode(await wait_for(self._spawned.process))
                self._last = self._counted()
                ended = await self._how(returncode)
                await self._holdings.give_back()
                self._control.end_replies()
                self._end(ended)

    async def _kill_now(self) -> None:
        self._kill_all()

    async def _how(self, returncode: int) -> Ended:
        if self._reason is not None:
            return Ended(reason=self._reason, returncode=returncode)
        if detail := await self._failure():
            return Ended(reason="failed", returncode=returncode, detail=detail)
        if returncode == 128 + signal.SIGKILL and self._last.oom_kills:
            return Ended(reason="oom", returncode=returncode)
        return Ended(reason="exit", returncode=returncode)

    async def kill(self) -> None:
        """See `Confined.kill`."""
        if self.ended is None:
            self._reason = self._reason or "killed"
            self._kill_all()
            await self._over.wait()

    async def signal(self, pid: int, signum: int, *, group: bool = False) -> bool:
        """See `Confined.signal`."""
        return self.ended is None and self._signal_one(pid, signum, group)

    def _counted(self) -> Usage:
        counted = self._cgroup.usage() if self._cgroup is not None else Usage()
        return evolve(counted, disk_bytes=self._disk_bytes)

    async def usage(self) -> Usage:
        """See `Confined.usage`."""
        return self._last if self.ended is not None else self._counted()

    async def aclose(self) -> None:
        """See `Confined.aclose`."""
        with CancelScope(shield=True):
            await self.kill()
        self._spawned.close()
        self._control.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
