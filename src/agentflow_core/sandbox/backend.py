"""The base class of every environment, the session that it serves, and what the engine gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from attrs import field, frozen

from agentflow_core.errors import PluginError, SandboxError
from agentflow_core.plugins import PluginHost
from agentflow_core.records import ToolResult
from agentflow_core.records.events import Event
from agentflow_core.sandbox.premises import Premises
from agentflow_core.sandbox.tools import ToolFunction, tool, tool_function

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from agentflow_core.sandbox.launchers.ledger import Ledger
    from agentflow_core.sandbox.launchers.spec import Confined, Launcher, LaunchSpec

__all__ = ["PROBING", "Backend", "BackendContext", "FileSlice", "Session", "Sharing"]

Sharing = Literal["session", "shared", "hybrid"]


@frozen(kw_only=True)
class Session:
    """A session as its backend sees it. ``data`` is the backend's to fill: clients see it in `SessionInfo`."""

    id: str
    backend: str
    worker_id: str = ""
    settings: Mapping[str, Any] = field(factory=dict)  #: what ``create_session`` was given for this backend
    data: dict[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class FileSlice:
    """A part of a file of a session, and how large the whole is."""

    data: bytes = field(repr=False)
    size: int  #: bytes of the whole file


@frozen(kw_only=True)
class BackendContext:
    """What the engine gives a backend before ``warmup``."""

    name: str
    folder: Path
    observe: Callable[[Event], None] = field(repr=False)  #: tell progress, such as a `Notice`
    premises: Premises | None = field(default=None, repr=False)  #: the engine's
    host: PluginHost | None = field(default=None, repr=False)  #: the plugins of the sandbox, where it knows them

    @property
    def state_dir(self) -> Path:
        """A folder of the backend's own that outlives the process and is shared between processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder

    async def launcher(self) -> Launcher:
        """The launcher that the sandbox is configured with, opened when it is first asked for.

        Raises:
            SandboxError: ``provider_unavailable``: what it needs is not there; the hint installs it.
        """
        return await self._premises().launcher()

    async def launch(self, spec: LaunchSpec) -> Confined:
        """Start processes confined; who started them closes them, in `Backend.cleanup` at the latest.

        Raises:
            SandboxError: as `Launcher.start` and `launcher` do.
        """
        return await (await self.launcher()).start(spec)

    def workspace(self, label: str = "") -> AbstractAsyncContextManager[Path]:
        """A new empty folder on disk, removed at the end whatever is in it, even if this process is killed."""
        return self._premises().workspace(label)

    def ledger(self) -> Ledger:
        """Where it writes down what it takes of the machine without the launcher, to be removed if this process dies."""
        return self._premises().ledger()

    def _premises(self) -> Premises:
        if self.premises is None:
            raise SandboxError(f"backend {self.name!r} is not run by an engine", code="not_ready")
        return self.premises


class Backend:
    """An environment: tools over a state, and the life of that state.

    ``sharing`` says whose the state is: ``session`` (one for each session), ``shared`` (one a server, the same for
    all; sessions are accepted and mean nothing) or ``hybrid`` (a resource of the server, a private state a session).

    `warmup` to `shutdown` run in one task, and `initialize` to `cleanup` of one session in one task, so that a
    backend may keep task groups and cancel scopes open in between.
    """

    sharing: ClassVar[Sharing] = "session"
    context: BackendContext

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        where = f"backend {cls.__qualname__}"
        if cls.sharing not in ("session", "shared", "hybrid"):
            raise PluginError(f"{where}: sharing is {cls.sharing!r}", hint="one of session, shared, hybrid")
        for name in ("warmup", "initialize", "cleanup", "shutdown", "fork", "read_file", "write_file", "observe_end"):
            if not inspect.iscoroutinefunction(getattr(cls, name)) and not _is_tool(cls, name):
                raise PluginError(f"{where}: {name} must be async", hint=f"async def {name}(…)")
        cls.tools()

    @classmethod
    def tools(cls) -> Mapping[str, ToolFunction]:
        """Its tools by their names without the group, sorted."""
        found: dict[str, ToolFunction] = {}
        for attribute in dir(cls):
            made = tool_function(inspect.getattr_static(cls, attribute, None))
            if made is None or not made.takes_state:
                continue
            if made.name in found:
                raise PluginError(f"backend {cls.__qualname__}: two tools are named {made.name!r}")
            found[made.name] = made
        return dict(sorted(found.items()))

    @classmethod
    def can_fork(cls, config: Any = None) -> bool:
        """Can its sessions be forked? By default where it overrides `fork`; one that can by some settings says so here.

        Args:
            config: what the backend is made with; None: its defaults.
        """
        return cls.fork is not Backend.fork

    @classmethod
    def probing(cls) -> ToolFunction | None:
        """What runs `observe_end` as a call, named like it; None if that is not overridden. It is no tool of a model."""
        return PROBING if cls.observe_end is not Backend.observe_end else None

    @classmethod
    def has_files(cls) -> bool:
        """Does it override `read_file`, other than by a tool of that name?"""
        return cls.read_file is not Backend.read_file and not _is_tool(cls, "read_file")

    async def warmup(self) -> None:
        """Once a server, before anything else: load models, start pools. Leaves nothing when it fails."""

    async def initialize(self, session: Session) -> Any:
        """Once a session (of a shared backend: once a server); returns the state. Leaves nothing when it fails."""

    async def cleanup(self, state: Any) -> None:
        """Once a session, shielded from cancellation and bounded in time; must not raise."""

    async def shutdown(self) -> None:
        """Once a server, after every cleanup; shielded and bounded like it."""

    async def fork(self, state: Any, session: Session) -> Any:
        """A copy of the state, for the new session, that shares nothing. Optional: override it to offer forks."""
        raise NotImplementedError(f"{type(self).__name__} cannot fork")

    async def read_file(self, state: Any, path: str, start: int, end: int | None) -> FileSlice:
        """The bytes ``[start, end)`` of a file of the session, ``end`` None for the rest, and the size of the whole.

        Optional, beside `write_file`: override both to let clients read and write files. A ``start`` past the end
        gives no bytes. It may run beside tools that only read. A tool may have the name all the same:
        ``@tool(name="read_file")`` on a method of another name.

        Raises:
            SandboxError: ``not_found``; ``invalid_argument``: it is a folder, or no path within the session.
        """
        raise SandboxError(f"{type(self).__name__} has no files to read", code="unsupported")

    async def write_file(self, state: Any, path: str, data: bytes) -> None:
        """Put the file of the session there, whole or not at all, with the folders that it needs. Optional.

        Raises:
            SandboxError: ``disk_limit``: there is no room; ``invalid_argument``: as in `read_file`.
        """
        raise SandboxError(f"{type(self).__name__} has no files to write", code="unsupported")

    async def observe_end(self, state: Any, probes: Sequence[str]) -> Mapping[str, Any]:
        """What each probe sees of the state at the end of a task, as JSON; None where nothing is there. Optional.

        A probe is ``kind`` or ``kind:argument`` of the backend's own, such as ``url`` or ``file:notes.txt``. Trajectories
        keep the answers, and metrics such as ``state_match`` compare them with what the task expects.

        Raises:
            SandboxError: ``invalid_argument``: there is no such kind of probe; the hint names those that there are.
        """
        raise SandboxError(f"{type(self).__name__} has no probes", code="unsupported")


@tool(name="observe_end", read_only=True)
async def _observes(self: Backend, state: Any, probes: Sequence[str]) -> ToolResult:
    """Tell what probes see of the state."""
    return ToolResult(data={"observed": dict(await self.observe_end(state, probes))})


#: What asks the probes of a backend, as a call.
PROBING: Final = cast("ToolFunction", tool_function(_observes))


def _is_tool(cls: type[Backend], name: str) -> bool:
    return tool_function(inspect.getattr_static(cls, name)) is not None
