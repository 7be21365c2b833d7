"""The hosts of all backends of an engine: made when first needed, started when first used, closed together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CancelScope
from attrs import asdict

from agentflow_core.errors import AgentFlowError, SandboxError
from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.config import LimitsConfig
from agentflow_core.sandbox.hosting import BackendHost
from agentflow_core.sandbox.premises import Premises

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from agentflow_core.plugins import PluginHost
    from agentflow_core.records.events import Event
    from agentflow_core.sandbox.catalog import Catalog, Group
    from agentflow_core.sandbox.launchers.config import LauncherConfig

__all__ = ["Hosts"]


class Hosts:
    """See the module. Open it with ``async with``; for the arguments see `SandboxEngine`."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        state_dir: Path,
        limits: Mapping[str, LimitsConfig],
        launcher: LauncherConfig | None,
        observe: Callable[[Event], None],
        host: PluginHost | None = None,
    ) -> None:
        self._catalog = catalog
        self._state_dir = state_dir
        self._limits = dict(limits)
        self._observe = observe
        self._host = host
        self._premises = Premises(state_dir, launcher)
        self._hosts: dict[tuple[str, bool], BackendHost] = {}
        self._tasks: TaskGroup | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._premises)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        for host in self._hosts.values():
            host.close()
        with CancelScope(shield=True):
            for host in self._hosts.values():
                await host.wait_closed()
        tasks.cancel_scope.cancel()  # what watches over sessions, and threads that outlived their call
        await self._stack.aclose()

    @property
    def is_open(self) -> bool:
        """Do backends start?"""
        return self._tasks is not None

    @property
    def tasks(self) -> TaskGroup:
        """Where backends and calls run. Raises `SandboxError` where it is not open."""
        if self._tasks is None:
            raise SandboxError("the sandbox is not open", code="not_ready", hint="async with Sandbox() as sandbox: …")
        return self._tasks

    @property
    def closing_s(self) -> float:
        """Seconds that closing takes at most where every backend keeps to its limits: calls, cleanups, shutdown."""
        return 3 * max((host.limits.cleanup_timeout_s for host in self._hosts.values()), default=0.0)

    @property
    def shortest_ttl_s(self) -> float:
        """The shortest time after which a session of some backend expires."""
        return min(min(each.idle_ttl_s, each.absolute_ttl_s) for each in (LimitsConfig(), *self._limits.values()))

    def of(self, group: Group) -> BackendHost:
        """The host of a backend, or of a group of API tools."""
        key = (group.name, group.build is not None)
        host = self._hosts.get(key)
        if host is None:
            context = BackendContext(
                name=group.name,
                folder=self._state_dir / group.name,
                observe=self._observe,
                premises=self._premises,
                host=self._host,
            )
            host = self._hosts[key] = BackendHost(group, self._limits_of(group.name), context)
        return host

    def named(self, name: str) -> BackendHost:
        """The host of the backend of this name. Raises `UnknownNameError` where it is not offered."""
        return self.of(self._catalog.backend(name))

    def _limits_of(self, name: str) -> LimitsConfig:
        return self._limits.get(name) or LimitsConfig()

    async def warmup(self, backends: Sequence[str]) -> None:
        """See `SandboxEngine.warmup`."""
        hosts = [self.named(name) for name in backends or self._catalog.backends]
        failures: dict[str, AgentFlowError] = {}

        async def start(host: BackendHost) -> None:
            try:
                await host.start(self.tasks)
            except AgentFlowError as error:
                failures[host.name] = error

        async with anyio.create_task_group() as tasks:
            for host in hosts:
                tasks.start_soon(start, host)
        if failures:
            raise failures[min(failures)]

    def status(self) -> dict[str, Any]:
        """Backends and groups of API tools with their states, limits and load; JSON."""
        backends = {}
        for name in self._catalog.backends:
            host = self._hosts.get((name, True))
            idle = {"state": "idle", "limits": asdict(self._limits_of(name))}
            backends[name] = idle if host is None else host.status()
        groups = {
            name: self._hosts[name, False].status() for name in self._catalog.api_groups if (name, False) in self._hosts
        }
        return {"backends": backends, "api_tools": groups}
