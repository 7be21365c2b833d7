"""What all launchers share: a task group that owns the sessions, a folder for them, and ids."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio import CancelScope

from agentflow_core.concurrency import first_error
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.folders import runtime_folder
from agentflow_core.sandbox.launchers.ledger import NoLedger, Taken
from agentflow_core.sandbox.launchers.proxy.opening import INSIDE_URL, Doors, proxy_env
from agentflow_core.sandbox.launchers.spec import CONTROL, WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.launchers.ledger import Ledger
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver
    from agentflow_core.sandbox.launchers.session import Holdings
    from agentflow_core.sandbox.launchers.spec import LaunchSpec

__all__ = ["Owner", "base_env", "check_spec"]

_log = logging.getLogger("agentflow_core.sandbox")
#: What is so on this machine, and no failure of a session.
_machine_log = logging.getLogger("agentflow_core.sandbox.launchers")


class _Owned(Protocol):
    id: str

    async def own(self) -> None: ...

    async def aclose(self) -> None: ...


T = TypeVar("T", bound=_Owned)


class Owner:
    """Owns sessions: each is watched by a task below it, and none outlives it."""

    name: str

    def __init__(
        self, *, folder: Path | None = None, ledger: Ledger | None = None, resolver: Resolver | None = None
    ) -> None:
        self._base = folder
        self._doors = Doors(resolver)
        self._ledger = ledger or NoLedger()
        self._folder = Path()
        self._tasks: TaskGroup | None = None
        self._stack = AsyncExitStack()
        self._told: set[str] = set()

    async def _prepare(self, stack: AsyncExitStack) -> None:
        """Make sure that sessions can be started; ``self._folder`` stands. What is opened is given to the stack."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._folder = self._new_folder(stack)
            await self._prepare(stack)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            self._stack = stack.pop_all()
            self._tasks = tasks
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
        failure: BaseException | None = None
        try:
            await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as errors:
            failure = first_error(errors)
        if failure is not None and failure is not error:
            raise failure  # outside of the handler, so that it keeps its own cause

    def _new_folder(self, stack: AsyncExitStack) -> Path:
        """A folder of its own below the base, written down before it is made, and removed by the stack."""
        base = self._base or runtime_folder()
        folder = base / f"agentflow-{self.name}-{secrets.token_hex(6)}"
        self._ledger.take(Taken(session=folder.name, launcher=self.name, folder=str(folder)))

        def end() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                _log.warning("the folder %s could not be removed", folder)
            else:
                self._ledger.give_back(folder.name)

        stack.callback(end)
        is_new = not base.exists()
        base.mkdir(parents=True, exist_ok=True)
        if is_new:
            base.chmod(0o711)
        folder.mkdir(mode=0o700)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        return folder

    def _owners(self) -> TaskGroup:
        if self._tasks is None:
            raise SandboxError(
                f"the launcher {self.name!r} is not open", code="not_ready", hint="async with launcher: …"
            )
        return self._tasks

    async def _own(self, session: T) -> T:
        """Take a session that runs; if the caller was cancelled while it started, it ends here."""
        if self._tasks is None:
            with CancelScope(shield=True):
                async with anyio.create_task_group() as group:
                    group.start_soon(session.own)
                    await session.aclose()
            raise SandboxError(f"the launcher {self.name!r} was closed meanwhile", code="cancelled")
        self._tasks.start_soon(session.own, name=f"session {session.id}")
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException:
            with CancelScope(shield=True):
                await session.aclose()
            raise
        return session

    def _take(self, holdings: Holdings, taken: Taken) -> None:
        """Write down what a session is about to take."""
        self._ledger.take(taken)
        holdings.listed(lambda: self._ledger.give_back(taken.session))

    def _new_id(self, label: str) -> str:
        readable = "".join(char if char.isalnum() else "-" for char in label)[:32].strip("-")
        return f"{readable or self.name}-{secrets.token_hex(6)}"

    def _tell_unheld(self, enforced: Mapping[str, str]) -> None:
        """Warn of limits that nothing holds, once each."""
        missing = sorted(name for name in ("memory", "pids", "cpu", "seccomp") if enforced.get(name) == "none")
        if new := [name for name in missing if name not in self._told]:
            self._told.update(new)
            _machine_log.warning(
                "the launcher %r cannot limit %s of sessions on this machine", self.name, ", ".join(new)
            )


def check_spec(spec: LaunchSpec) -> None:
    """Refuse what no launcher can keep.

    Raises:
        SandboxError: ``invalid_argument``.
    """
    if not spec.argv:
        raise _invalid("argv is empty")
    for text in (*spec.argv, *spec.env.keys(), *spec.env.values(), spec.cwd or ""):
        if "\0" in text:
            raise _invalid("argv, env and cwd cannot hold NUL characters")
    if any("=" in name or not name for name in spec.env):
        raise _invalid("a name in env is empty or holds '='")
    if spec.workspace is not None and not spec.workspace.is_dir():
        raise _invalid(f"the workspace {spec.workspace} is no folder")
    writable = [WORKSPACE, *(bind.target for bind in spec.binds if bind.writable)]
    for bind in spec.binds:
        if not bind.source.exists():
            raise _invalid(f"{bind.source} does not exist")
        if not os.path.isabs(bind.target) or os.path.normpath(bind.target) != bind.target:
            raise _invalid(f"the target {bind.target!r} is not an absolute path without detours")
        for place in (*writable, CONTROL, "/proc", "/dev"):
            if bind.target.startswith(place + "/") or bind.target in (WORKSPACE, CONTROL, "/", "/proc", "/dev"):
                raise _invalid(
                    f"{bind.target} cannot be mounted beneath {place}, which the session can change",
                    hint="choose a folder of its own, such as /data",
                )


def _invalid(message: str, hint: str = "") -> SandboxError:
    return SandboxError(f"cannot launch: {message}", code="invalid_argument", hint=hint)


def base_env(spec: LaunchSpec, home: str, *, proxy_url: str = INSIDE_URL) -> dict[str, str]:
    """The whole environment of a session: nothing of the server's, the spec's on top."""
    constant = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "TMPDIR": "/tmp",
    }
    proxied = proxy_env(proxy_url) if spec.network.is_proxied else {}
    return {**constant, **proxied, **spec.env}
