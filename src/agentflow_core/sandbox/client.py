"""The sandbox as people and pipelines use it, in this process or behind a URL, with workers as views."""

from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import DataError, SandboxError, UsageError
from agentflow_core.names import unknown_name
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox.catalog import Catalog
from agentflow_core.sandbox.config import EngineConfig, SandboxConfig
from agentflow_core.sandbox.engine import SandboxEngine
from agentflow_core.sandbox.folders import scratch_folder
from agentflow_core.sandbox.worker import Door, WorkerView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.plugins import PluginHost, Registry
    from agentflow_core.records import ToolDefinition
    from agentflow_core.records.events import Event
    from agentflow_core.sandbox.blocking import BlockingSandbox

__all__ = ["Sandbox", "default_state_dir"]


class Sandbox(WorkerView):
    """Every environment that is installed, or those of ``config``, each started when it is first used.

    ::

        async with Sandbox() as sandbox:
            result = await sandbox.execute("bash:run", {"command": "ls"})

    With a URL, those of the server there: ``Sandbox("http://127.0.0.1:18890")`` speaks to ``agentflow serve``.
    It is the view of one worker, and `worker` gives the views of others. Open and close it in one task.

    Args:
        url: of a server, or of several that offer the same; default: that of ``config``, else none.
        token: of the server; default: that of ``config``, else ``AGENTFLOW_TOKEN``.
        worker_id: the worker whose sessions its own calls use. A server keeps the workers of each client apart, unless
            two clients choose the same one here.
        config: backends, what is enabled, limits; a `SandboxConfig` or what a configuration file would say.
        timeout_s: seconds for a call that says nothing itself; default: the limits of its tool or backend.
        host: the plugins; default: those that are installed.
        artifacts: where large texts go; default: a folder that is removed at the end, or the server alone.
        observe: is told of every call.
        record: a file in which every result is kept for ``replay``.
        replay: a file that was recorded: it answers every call, and no backend is started.
        catalog: backends and tools that are offered instead of those of plugins.
        clock: seconds, for the ages of sessions and answers.
    """

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        *,
        token: str | None = None,
        worker_id: str | None = None,
        config: SandboxConfig | Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        host: PluginHost | None = None,
        artifacts: BlobStore | None = None,
        observe: Callable[[Event], None] = ignore_event,
        record: Path | None = None,
        replay: Path | None = None,
        catalog: Catalog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if record is not None and replay is not None:
            raise UsageError("a sandbox either records or replays", hint="leave record or replay out")
        self._url = url
        self._token = token
        self._config = config
        self._host = host
        self._artifacts = artifacts
        self._observe = observe
        self._record = record
        self._replay = replay
        self._given_catalog = catalog
        self._clock = clock
        self._label = worker_id
        self._read_artifact: Callable[[str, int, int | None], Awaitable[bytes]]
        self._stack: AsyncExitStack | None = None
        super().__init__(_Closed(), worker_id or "main", timeout_s)

    @classmethod
    def sync(cls, url: str | Sequence[str] | None = None, **options: Any) -> BlockingSandbox:
        """The same with blocking methods, for scripts and notebooks: ``with Sandbox.sync() as sandbox: …``."""
        from agentflow_core.sandbox.blocking import BlockingSandbox  # starts threads; few need it

        return BlockingSandbox(cls(url, **options))

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise SandboxError("the sandbox is open already", hint="use worker(id) for another view of it")
        async with AsyncExitStack() as stack:
            self._door = await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        self._door = _Closed()
        if stack is not None:
            await stack.__aexit__(kind, error, trace)

    async def _open(self, stack: AsyncExitStack) -> Door:
        servers = self._servers()
        if servers is not None and self._replay is None:
            if self._given_catalog is not None:
                raise UsageError("a sandbox behind a URL takes no catalog", hint="what it offers, the server says")
            return await self._open_remote(stack, servers)
        return await self._open_here(stack, None if servers is None else EngineConfig())

    def _servers(self) -> SandboxConfig | None:
        """The configuration that names servers, if one does."""
        config = self._config
        if self._url is None and (config is None or _url_of(config) is None):
            return None
        settings = SandboxConfig() if config is None else _loaded(config, None)
        if self._url is not None:
            settings = evolve(settings, url=self._url if isinstance(self._url, str) else tuple(self._url))
        return settings if self._token is None else evolve(settings, token=self._token)

    async def _open_remote(self, stack: AsyncExitStack, config: SandboxConfig) -> Door:
        from agentflow_core.sandbox.remote.door import RemoteDoor  # not needed where everything is in this process

        door = await stack.enter_async_context(
            RemoteDoor(
                config.urls,
                token=config.token or os.environ.get("AGENTFLOW_TOKEN") or None,
                label=self._label,
                own_worker=self._worker_id,
                store=self._artifacts,
                observe=self._observe,
                host=self._host,
            )
        )
        self._read_artifact = door.artifact
        if config.warmup:
            await door.warmup(config.warmup)
        return await self._recorded(stack, door)

    async def _open_here(self, stack: AsyncExitStack, config: EngineConfig | None) -> Door:
        catalog = self._given_catalog
        host = self._host
        if catalog is None:
            host = host or _installed()
            config = config or _loaded(self._config, host.registry)
            catalog = Catalog.from_registry(host.registry, config)
        else:
            config = config or _loaded(self._config, None)
            _check_names(config, catalog)
        blobs = self._artifacts or BlobStore(stack.enter_context(scratch_folder()))
        self._read_artifact = partial(_read, blobs)
        if self._replay is not None:
            from agentflow_core.sandbox.recorded import ReplayingSandbox

            return await stack.enter_async_context(ReplayingSandbox(catalog, self._replay, blobs=blobs))
        engine = await stack.enter_async_context(
            SandboxEngine(
                catalog,
                state_dir=config.state_dir or default_state_dir(),
                blobs=blobs,
                limits=config.limits,
                launcher=config.launcher,
                clock=self._clock,
                observe=self._observe,
                host=host,
            )
        )
        if config.warmup:
            await engine.warmup(config.warmup)
        return await self._recorded(stack, engine)

    async def _recorded(self, stack: AsyncExitStack, door: Door) -> Door:
        if self._record is None:
            return door
        from agentflow_core.sandbox.recording import RecordingSandbox

        return await stack.enter_async_context(RecordingSandbox(door, self._record))

    def worker(self, worker_id: str) -> WorkerView:
        """A view for another worker over the same sandbox, which is open."""
        if self._stack is None:
            raise _not_open()
        return WorkerView(self._door, worker_id, self._timeout_s)

    async def list_tools(self) -> Sequence[ToolDefinition]:
        """Every tool that is offered, sorted by name. No backend is started for it."""
        return tuple(tool.definition for tool in self._door.catalog.tools().values())

    def tool_traits(self, tool: str) -> Mapping[str, Any]:
        """``{sharing, read_only, relative, canonicalize, compare, forkable, probes, offline}`` of a tool.

        Raises:
            UnknownNameError: the tool is not offered.
        """
        group, offered = self._door.catalog.find(tool)
        function = offered.function
        return {
            "sharing": group.sharing,
            "read_only": function.read_only,
            "relative": function.relative,
            "canonicalize": function.canonicalize,
            "compare": function.compare,
            "forkable": group.can_fork,
            "probes": group.probing is not None,
            "offline": offered.offline,
        }

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start backends (default: all that are offered) before they are first used.

        Raises:
            UnknownNameError: a backend that is not offered.
            AgentFlowError: what the first of them that failed, by name, failed with.
        """
        await self._door.warmup(backends)

    async def status(self) -> Mapping[str, Any]:
        """Backends with state, limits and load, and the number of sessions; JSON."""
        return await self._door.status()

    async def artifact(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of an artifact, or the range ``[start, end)`` of them.

        Raises:
            SandboxError: there is no such artifact (code ``not_found``).
        """
        if self._stack is None:
            raise _not_open()
        return await self._read_artifact(sha256, start, end)


async def _read(blobs: BlobStore, sha256: str, start: int, end: int | None) -> bytes:
    try:
        data = await anyio.to_thread.run_sync(blobs.get, sha256)
    except DataError as error:
        raise SandboxError(f"no artifact {sha256[:80]!r}", code="not_found") from error
    return data[start:end]


def _url_of(settings: Mapping[str, Any] | SandboxConfig) -> object:
    return settings.url if isinstance(settings, SandboxConfig) else settings.get("url")


def _loaded(settings: Mapping[str, Any] | SandboxConfig | None, registry: Registry | None) -> SandboxConfig:
    if isinstance(settings, SandboxConfig):
        return settings
    from agentflow_core.config import load_config  # reading files is not needed where a config is given

    return load_config(SandboxConfig, settings or {}, registry=registry).config


def _check_names(config: EngineConfig, catalog: Catalog) -> None:
    """A given catalog says itself what is offered and how it is made; limits and warmup name what it has."""
    if config.backends or config.enabled is not None:
        raise UsageError("a sandbox with a catalog takes no backends and no enabled", hint="make the catalog of them")
    known = (*catalog.backends, *catalog.api_groups)
    for name in (*config.limits, *config.warmup):
        if name not in known:
            raise unknown_name("backend", name, known)


class _Closed:
    """The door of a sandbox that is not open."""

    def __getattr__(self, name: str) -> Any:
        raise _not_open()


def _not_open() -> SandboxError:
    return SandboxError("the sandbox is not open", code="not_ready", hint="async with Sandbox() as sandbox: …")


def _installed() -> PluginHost:
    from agentflow_core.plugins import PluginHost  # discovery is not needed where a host or a catalog is given

    return PluginHost.load()


def default_state_dir() -> Path:
    """``AGENTFLOW_STATE``, else the user's state directory."""
    if given := os.environ.get("AGENTFLOW_STATE"):
        return Path(given)
    from platformdirs import user_state_path

    return user_state_path("agentflow", appauthor=False)
