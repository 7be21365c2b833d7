"""One session: its workspace, its shell, its jobs, and the long outputs that can still be read."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.lowlevel
from attrs import define, field

from agentflow_bash.config import BashConfig
from agentflow_bash.control import SUPERVISOR
from agentflow_bash.jobs import Jobs
from agentflow_bash.outputs import Capture
from agentflow_bash.shell import Shell
from agentflow_core.concurrency import first_error
from agentflow_core.sandbox.beneath import Beneath
from agentflow_core.sandbox.launchers import LaunchSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_bash.shell import Ran, Snapshot
    from agentflow_core.sandbox.backend import BackendContext
    from agentflow_core.sandbox.launchers import Confined

__all__ = ["BashSession", "before", "opened"]

#: How many long outputs of commands can be read again.
_LONG_OUTPUTS: Final = 4


@define(kw_only=True)
class BashSession:
    """See the module; what the tools of the backend get as ``state``."""

    folder: Path  #: the workspace, on the host
    config: BashConfig
    env: Mapping[str, str]
    shell: Shell
    jobs: Jobs
    files: Beneath | None
    stack: AsyncExitStack = field(factory=AsyncExitStack)
    long: dict[str, Capture] = field(factory=dict)
    _made: int = 0

    @property
    def workspace(self) -> str:
        """The workspace, as the session sees it."""
        return self.shell.confined.workspace

    def root(self) -> Beneath:
        """The files; raises `SandboxError` where this system cannot confine them."""
        if self.files is None:
            self.files = Beneath(self.folder, shown=self.workspace, uid=self.shell.confined.uid)
            self.stack.callback(self.files.close)
        return self.files

    async def room(self) -> int:
        """How many bytes may still be written into the workspace, as far as it was measured."""
        used = (await self.shell.confined.usage()).disk_bytes or 0
        return max(0, self.config.limits.disk_bytes - used)

    def keep(self, ran: Ran) -> dict[str, str]:
        """Keep outputs that are too long to be shown whole; by which id each can be read."""
        kept = {}
        for name, capture in (("stdout", ran.stdout), ("stderr", ran.stderr)):
            if capture.file is None:
                continue
            self._made += 1
            kept[name] = f"{name}-{self._made}"
            self.long[kept[name]] = capture
        while len(self.long) > _LONG_OUTPUTS:
            self.long.pop(next(iter(self.long))).close()
        return kept

    def close(self) -> None:
        """Forget outputs and jobs."""
        for capture in self.long.values():
            capture.close()
        self.jobs.close()


def before(cwd: str | None, env: Mapping[str, str] | None, workspace: str) -> str:
    """What the shell does before a command that wants another folder or other variables, for it alone."""
    parts = []
    undo = []
    for number, (name, value) in enumerate((env or {}).items()):
        parts.append(f"__agentflow_was[{number}]=${{{name}+${{{name}@A}}}}")
        parts.append(f"builtin export {name}={shlex.quote(value)} || __agentflow_trouble={shlex.quote('env ' + name)}")
        undo.append(f"builtin unset -v {name}")
        undo.append(f'builtin eval "${{__agentflow_was[{number}]/#declare/builtin declare -g}}"')
    if cwd is not None:
        place = shlex.quote(posixpath.join(workspace, cwd))
        parts.append("__agentflow_from=$PWD")
        parts.append(f"builtin cd -- {place} || __agentflow_trouble=cwd")
        parts.append("__agentflow_to=$PWD")
        undo.append('[[ $PWD != "$__agentflow_to" ]] || builtin cd -- "$__agentflow_from"')
    if not parts:
        return ""
    parts.append(f"__agentflow_undo={shlex.quote('; '.join(undo))}")
    return "; ".join(parts)


async def opened(
    context: BackendContext,
    config: BashConfig,
    session_id: str,
    env: Mapping[str, str],
    fill: Callable[[Path], Awaitable[None]],
    snapshot: Snapshot | None = None,
    parent: str = "",
) -> BashSession:
    """A new session; ``fill`` puts files into its workspace. Leaves nothing when it fails.

    A ``snapshot`` is of a shell whose workspace was seen as ``parent``.
    """
    try:
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(context.workspace(session_id))
            await fill(folder)
            spool = context.state_dir / "outputs"
            spool.mkdir(mode=0o700, exist_ok=True)
            spec = LaunchSpec(
                argv=(config.shell, "--norc", "--noprofile", "-c", SUPERVISOR, "bash"),
                env=env,
                workspace=folder,
                limits=config.limits,
                network=config.network,
                label=session_id,
            )

            async def launch() -> Confined:
                return await context.launch(spec)

            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            shell = Shell(launch, tasks, folder=spool, stored_bytes=config.max_output_bytes)
            await shell.open(snapshot, parent)
            stack.push_async_callback(shell.close)
            jobs = Jobs(shell, tasks, folder=spool, job_bytes=config.job_output_bytes)
            shell.jobs, shell.lost = jobs.keepers, jobs.lose
            session = BashSession(folder=folder, config=config, env=env, shell=shell, jobs=jobs, files=None)
            stack.callback(session.close)
            await anyio.lowlevel.checkpoint()  # who gave it up in the last moment does so here, where it can be left
            session.stack = stack.pop_all()
            return session
    except BaseExceptionGroup as errors:  # the task group wraps what went wrong beside it
        failure = first_error(errors)
    raise failure
