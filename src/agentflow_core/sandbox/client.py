"""The sandbox as people and pipelines use it, in this process: nothing to start, workers as views."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import DataError, SandboxError, UsageError
from agentflow_core.names import unknown_name
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox.catalog import Catalog
from agentflow_core.sandbox.config import SandboxConfig
from agentflow_core.sandbox.engine import SandboxEngine
from agentflow_core.sandbox.worker import Door, WorkerView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ToolDefinition
    from agentflow_core.records.events import Event
    from agentflow_core.sandbox.blocking import BlockingSandbox

__all__ = ["Sandbox"]


class Sandbox(WorkerView):
    """Every environment that is installed, or those of ``config``, each started when it is first used.

    ::

        async with Sandbox() as sandbox:
            result = await sandbox.execute("bash:run", {"command": "ls"})

    It is the view of one worker, and `worker` gives the views of others. Open and close it in one task.

    Args:
        worker_id: the worker whose sessions its own calls use.
        config: backends, what is enabled, limits; a `SandboxConfig` or what a configuration file would say.
        timeout_s: seconds for a call that says nothing itself; default: the limits of its tool or backend.
        host: the plugins; default: those that are installed.
        artifacts: where large texts go; default: a folder that is removed at the end.
        observe: is told of every call.
        record: a file in which every result is kept for ``replay``.
        replay: a file that was recorded: it answers every call, and no backend is started.
        catalog: backends and tools that are offered instead of those of plugins.
        clock: seconds, for the ages of sessions and answers.
    """

    def __init__(
        self,
        *,
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
        self._config = config
        self._host = host
        self._artifacts = artifacts
        self._observe = observe
        self._record = record
        self._replay = replay
        self._given_catalog = catalog
        self._clock = clock
        self._stack: AsyncExitStack | None = None
        super().__init__(_Closed(), worker_id or "main", timeout_s)

    @classmethod
    def sync(cls, **options: Any) -> BlockingSandbox:
        """The same with blocking methods, for scripts and notebooks: ``with Sandbox.sync() as sandbox: …``."""
        from agentflow_core.sandbox.blocking import BlockingSandbox  # starts threads; few need it

        return BlockingSandbox(cls(**options))

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
        config = self._config
        catalog = self._given_catalog
        if catalog is None:
            host = self._host or _installed()
            if not isinstance(config, SandboxConfig):
                from agentflow_core.config import load_config  # reading files is not needed where a config is given

                config = load_config(SandboxConfig, config or {}, registry=host.registry).config
            catalog = Catalog.from_registry(host.registry, config)
        else:
            if not isinstance(config, SandboxConfig):
                from agentflow_core.config import load_config

                config = load_config(SandboxConfig, config or {}).config
            _check_names(config, catalog)
        self._blobs = self._artifacts or BlobStore(
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentflow-", ignore_cleanup_errors=True)))
        )
        if self._replay is not None:
            from agentflow_core.sandbox.recording import ReplayingSandbox

            return await stack.enter_async_context(ReplayingSandbox(catalog, self._replay, blobs=self._blobs))
        engine = await stack.enter_async_context(
            SandboxEngine(
                catalog,
                state_dir=config.state_dir or _default_state_dir(),
                blobs=self._blobs,
                limits=config.limits,
                clock=self._clock,
                observe=self._observe,
            )
        )
        if config.warmup:
            await engine.warmup(config.warmup)
        if self._record is not None:
            from agentflow_core.sandbox.recording import RecordingSandbox

            return await stack.enter_async_context(RecordingSandbox(engine, self._record))
        return engine

    def worker(self, worker_id: str) -> WorkerView:
        """A view for another worker over the same sandbox, which is open."""
        if self._stack is None:
            raise _not_open()
        return WorkerView(self._door, worker_id, self._timeout_s)

    async def list_tools(self) -> Sequence[ToolDefinition]:
        """Every tool that is offered, sorted by name. No backend is started for it."""
        return tuple(tool.definition for tool in self._door.catalog.tools().values())

    def tool_traits(self, tool: str) -> Mapping[str, Any]:
        """``{sharing, read_only, canonicalize, compare, forkable, offline}`` of a tool.

        Raises:
            UnknownNameError: the tool is not offered.
        """
        group, offered = self._door.catalog.find(tool)
        function = offered.function
        return {
            "sharing": group.sharing,
            "read_only": function.read_only,
            "canonicalize": function.canonicalize,
            "compare": function.compare,
            "forkable": group.can_fork,
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
        try:
            data = await anyio.to_thread.run_sync(self._blobs.get, sha256)
        except DataError as error:
            raise SandboxError(f"no artifact {sha256[:80]!r}", code="not_found") from error
        return data[start:end]


def _check_names(config: SandboxConfig, catalog: Catalog) -> None:
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


def _default_state_dir() -> Path:
    """``AGENTFLOW_STATE``, else the user's state directory."""
    if given := os.environ.get("AGENTFLOW_STATE"):
        return Path(given)
    from platformdirs import user_state_path

    return user_state_path("agentflow", appauthor=False)
