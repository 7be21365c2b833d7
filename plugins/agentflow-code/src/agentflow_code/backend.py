"""The environment ``code``: Python and SQL in a persistent interpreter a session, confined, with data that it reads."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import anyio.to_thread
from attrs import evolve

from agentflow_code.comparing import same_observation
from agentflow_code.config import MAX_TIMEOUT_S, CodeConfig
from agentflow_code.data import session_data
from agentflow_code.forking import ORIGINAL, check_past, run_again, snapshot
from agentflow_code.packages import install, wheels_bind
from agentflow_code.python import Python, find_python
from agentflow_code.results import inspected
from agentflow_code.session import CodeSession
from agentflow_code.sql.tools import SqlTools
from agentflow_code.starting import Starter, session_env
from agentflow_code.zygote import Zygote, open_zygote
from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.records.events import Notice
from agentflow_core.sandbox import Backend, Range, Session, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentflow_core.sandbox.backend import FileSlice
from agentflow_core.sandbox.launchers import Bind

__all__ = ["CodeBackend"]

Seconds = Annotated[float, Range(0.1, MAX_TIMEOUT_S)]
#: Of the engine, beyond ours: we interrupt first, and keep the variables where that helps.
_TOOL_S = MAX_TIMEOUT_S + 30


class CodeBackend(SqlTools, Backend):
    """See the module."""

    sharing = "session"

    def __init__(self, config: CodeConfig | None = None) -> None:
        self.config = config or CodeConfig()
        self._starter: Starter | None = None
        self._stack = AsyncExitStack()

    async def warmup(self) -> None:
        """Find the interpreter, and start the zygote where one can be used."""
        if self._starter is not None:
            return
        launcher = await self.context.launcher()
        python = await find_python(self.config.python, launcher.name)
        async with AsyncExitStack() as stack:
            zygote = await self._zygote(python, launcher.name, stack)
            self._starter = Starter(config=self.config, context=self.context, python=python, zygote=zygote)
            self._stack = stack.pop_all()

    async def _zygote(self, python: Python, launcher: str, stack: AsyncExitStack) -> Zygote | None:
        if not self.config.warm or launcher != "bwrap" or not python.is_here or os.geteuid() != 0:
            return None
        cache = self.context.state_dir / "matplotlib"
        cache.mkdir(exist_ok=True)
        env = {**session_env(), **python.env, "PATH": "/usr/bin:/bin", "HOME": "/", "MPLCONFIGDIR": str(cache)}
        try:
            zygote = await stack.enter_async_context(open_zygote(python, self.config.preload, env))
        except SandboxError as error:
            self._tell(f"sessions start one by one, in about a second: {error.message}", "warning")
            return None
        if zygote.missing:
            self._tell(f"not preloaded, since not installed: {', '.join(zygote.missing)}", "info")
        return zygote

    def _tell(self, message: str, level: Literal["info", "warning"]) -> None:
        self.context.observe(Notice(message=f"code: {message}", level=level))

    async def shutdown(self) -> None:
        """End the zygote."""
        self._starter = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def initialize(self, session: Session) -> CodeSession:
        """Start an interpreter with a workspace of its own; see `session_data` for the settings."""
        async with self._opened(session) as state:
            return state

    @asynccontextmanager
    async def _opened(
        self, session: Session, *, like: Path | None = None, binds: tuple[Bind, ...] = ()
    ) -> AsyncIterator[CodeSession]:
        """A session that runs, with a workspace ``like`` a folder; it is cleared away again if the block fails."""
        if self._starter is None:
            raise SandboxError("the backend 'code' is not warm", code="not_ready")
        same_paths = await self._same_paths()
        data = session_data(self.config, session.settings, same_paths=same_paths)
        data = evolve(data, binds=(*data.binds, *wheels_bind(self.config.packages, same_paths=same_paths), *binds))
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.context.workspace(session.id))
            if like is None:
                data.link(folder)
            else:
                await snapshot(like, folder, self.config.limits.disk_bytes)
            state = CodeSession(id=session.id, folder=folder, data=data, starter=self._starter)
            stack.push_async_callback(state.stop)
            await state.start()
            yield state
            session.data.update(state.about)
            state.hold(stack.pop_all())

    async def _same_paths(self) -> bool:
        return (await self.context.launcher()).name == "none"

    async def cleanup(self, state: CodeSession) -> None:
        """End the interpreter and all its processes, and remove the workspace."""
        await state.aclose()

    async def fork(self, state: CodeSession, session: Session) -> CodeSession:
        """Another session in which the same cells have run, with a copy of the files."""
        past = tuple(state.past)
        check_past(past)
        limit = self.config.limits.disk_bytes
        async with self.context.workspace(f"{session.id}-original") as original:
            await snapshot(state.folder, original, limit)
            same_paths = await self._same_paths()
            inside = str(original) if same_paths else ORIGINAL
            binds = () if same_paths else (Bind(source=original, target=ORIGINAL),)
            like = None if state.is_whole else original
            async with self._opened(session, like=like, binds=binds) as child:
                await run_again(child, past, original, inside, MAX_TIMEOUT_S)
                child.forget(binds)
        return child

    async def read_file(self, state: CodeSession, path: str, start: int, end: int | None) -> FileSlice:
        """A part of a file of the workspace."""

        def read() -> FileSlice:
            with state.beneath() as files:
                return files.read(path, start, end)

        return await anyio.to_thread.run_sync(read)

    async def write_file(self, state: CodeSession, path: str, data: bytes) -> None:
        """Put a file into the workspace."""
        await state.write(path, data)

    def _seconds(self, timeout_s: float | None) -> float:
        return self.config.timeout_s if timeout_s is None else timeout_s

    @tool(timeout_s=_TOOL_S, compare=same_observation)
    async def run(
        self,
        state: CodeSession,
        code: Annotated[str, Range(0, 2_000_000)],
        language: Literal["python"] = "python",
        timeout_s: Seconds | None = None,
    ) -> ToolResult:
        """Run code in the session's interpreter. Variables, functions and imports are kept from call to call.

        The value of the last expression is shown, as are plots and tables. The data of the session is in the folder
        data; what is written into the current folder is kept.

        Args:
            code: what to run; several statements at once are fine.
            language: the language of the code.
            timeout_s: how long it may run, in seconds; default: what is configured.
        """
        return await state.run(code, self._seconds(timeout_s))

    @tool(timeout_s=_TOOL_S, compare=same_observation)
    async def inspect(self, state: CodeSession, name: Annotated[str, Range(1, 500)] | None = None) -> ToolResult:
        """List the variables of the session, or tell what one of them is: its type, value, signature and members.

        Args:
            name: a variable, or something in it, such as df.columns; default: all variables.
        """
        reply = await state.call("agentflow_code.inside.inspecting:look", {"name": name}, self.config.timeout_s)
        if reply.failure is not None:
            return reply.failure
        return inspected(reply.value)

    @tool(timeout_s=_TOOL_S)
    async def reset(self, state: CodeSession) -> ToolResult:
        """Start the interpreter afresh: variables, threads and processes are gone; the files of the workspace stay."""
        await state.stop()
        await state.start()
        return ToolResult.success({"reset": True}, text="The interpreter is a fresh one; the files are still there.")

    @tool(timeout_s=_TOOL_S)
    async def install(
        self,
        state: CodeSession,
        packages: Annotated[list[Annotated[str, Range(1, 200)]], Range(0, 50)] = [],  # noqa: B006 - a default of the schema
        timeout_s: Seconds | None = None,
    ) -> ToolResult:
        """Install Python packages into the session, as far as that is allowed. They can be imported then.

        Args:
            packages: names, with versions if need be, such as tabulate or tabulate==0.9.0; none: tell what is allowed.
            timeout_s: how long it may take, in seconds; default: what is configured.
        """
        await state.start()
        seconds = self._seconds(timeout_s)
        return await install(self.config.packages, state, packages, seconds, same_paths=await self._same_paths())
