"""What the sessions of one engine take of this machine: the launcher, folders for workspaces, and the journal of both."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio import CancelScope

from agentflow_core.errors import AgentFlowError, SandboxError
from agentflow_core.sandbox.folders import remove_folder
from agentflow_core.sandbox.launchers.config import LauncherConfig, launcher_of
from agentflow_core.sandbox.launchers.ledger import Taken
from agentflow_core.sandbox.ownership import OwnershipJournal, reap_left

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from agentflow_core.sandbox.launchers.ledger import Ledger
    from agentflow_core.sandbox.launchers.spec import Launcher

__all__ = ["Premises"]


class _Opening:
    """One attempt to open the launcher, which everybody who came meanwhile waits for."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.launcher: Launcher | None = None
        self.error: AgentFlowError | None = None


class Premises:
    """See the module. Entering it reaps what killed engines left; leaving it kills and removes what is still there.

    Nothing is written and no launcher is opened before a session asks for one.

    Args:
        state_dir: under which journals and workspaces stand.
        config: which launcher.
    """

    def __init__(self, state_dir: Path, config: LauncherConfig | None = None) -> None:
        self._state_dir = state_dir
        self._config = config or LauncherConfig()
        self._opening: _Opening | None = None
        self._journal: OwnershipJournal | None = None
        self._tasks: TaskGroup | None = None
        self._stack = AsyncExitStack()
        self._last = ExitStack()
        self._closing = anyio.Event()

    async def __aenter__(self) -> Self:
        await reap_left(self._state_dir)
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._tasks = None
        with self._last:
            await self._stack.aclose()

    async def launcher(self) -> Launcher:
        """The configured launcher. Who comes while it opens waits; after a failure the next one tries again.

        Raises:
            SandboxError: ``provider_unavailable``: what it needs is not there; the hint installs it.
        """
        if self._opening is None or self._opening.error is not None:
            if self._tasks is None:
                raise SandboxError("the sandbox is not open", code="not_ready")
            self._opening = _Opening()
            self._tasks.start_soon(self._hold, self._opening, name="launcher")
        opening = self._opening
        await opening.done.wait()
        if opening.error is not None:
            raise opening.error
        if opening.launcher is None:
            raise SandboxError("the sandbox was closed meanwhile", code="cancelled")
        return opening.launcher

    async def _hold(self, opening: _Opening) -> None:
        try:
            async with launcher_of(self._config, ledger=self._ledger()) as launcher:
                opening.launcher = launcher
                opening.done.set()
                await self._closing.wait()
        except AgentFlowError as error:
            opening.error = error
        except OSError as error:
            opening.error = SandboxError(
                f"the launcher {self._config.kind!r} cannot open: {error}",
                code="provider_unavailable",
                hint="set launcher.folder to a folder that can be written",
            )
            opening.error.__cause__ = error
        finally:
            opening.done.set()

    @asynccontextmanager
    async def workspace(self, label: str = "") -> AsyncIterator[Path]:
        """A new empty folder for a session, removed at the end whatever is in it then.

        Raises:
            SandboxError: ``provider_unavailable``: it cannot be made.
        """
        readable = "".join(char if char.isalnum() else "-" for char in label)[:32].strip("-")
        name = f"{readable or 'session'}-{secrets.token_hex(6)}"
        parent = self._state_dir / "workspaces"
        folder = parent / name
        ledger = self._ledger()
        ledger.take(Taken(session=name, launcher="", folder=str(folder)))
        try:
            try:
                parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode=0o700)
            except OSError as error:
                raise SandboxError(
                    f"the workspace {folder} cannot be made: {error}",
                    code="provider_unavailable",
                    hint="free some space there, or set state_dir to a folder that can be written",
                ) from error
            yield folder
        finally:
            with CancelScope(shield=True):
                if not folder.exists() or await anyio.to_thread.run_sync(remove_folder, folder):
                    ledger.give_back(name)

    def ledger(self) -> Ledger:
        """Where a backend writes down what it takes of the machine without the launcher, such as a container."""
        return self._ledger()

    def _ledger(self) -> OwnershipJournal:
        """The journal, begun when something is first taken; it ends after all that it names."""
        if self._journal is None:
            if self._tasks is None:
                raise SandboxError("the sandbox is not open", code="not_ready")
            self._journal = self._last.enter_context(OwnershipJournal(self._state_dir))
        return self._journal
