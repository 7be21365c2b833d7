"""The environment ``browser``: a Chromium of the server's, and in it a context of its own for each session."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import evolve

from agentflow_browser.config import BrowserConfig
from agentflow_browser.pool import Browsers
from agentflow_browser.probes import observe
from agentflow_browser.session import BrowserSession
from agentflow_browser.settings import Settings, read_settings
from agentflow_browser.tools.acting import ActingTools
from agentflow_browser.tools.filling import FillingTools
from agentflow_browser.tools.looking import LookingTools
from agentflow_browser.tools.moving import MovingTools
from agentflow_browser.tools.watching import WatchingTools
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Backend, Session
from agentflow_core.sandbox.launchers.proxy.reaching import SystemResolver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_browser.session import Place
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver

__all__ = ["BrowserBackend"]


class BrowserBackend(MovingTools, LookingTools, ActingTools, FillingTools, WatchingTools, Backend):
    """See the module.

    Args:
        config: what is offered.
        resolver: looks names up for the pages; by default that of this machine.
    """

    sharing = "hybrid"

    def __init__(self, config: BrowserConfig | None = None, *, resolver: Resolver | None = None) -> None:
        self.config = config or BrowserConfig()
        self._resolver = resolver or SystemResolver()
        self._browsers: Browsers | None = None

    async def warmup(self) -> None:
        """Start a browser."""
        if self._browsers is None:
            browsers = Browsers(self.config, self.context)
            await browsers.warm()
            self._browsers = browsers

    async def shutdown(self) -> None:
        """End all browsers."""
        browsers, self._browsers = self._browsers, None
        if browsers is not None:
            await browsers.aclose()

    async def initialize(self, session: Session) -> BrowserSession:
        """A context with a tab; settings: ``start_url``, ``viewport``, ``storage_state``."""
        return await self._opened(session, read_settings(session.settings, self.config))

    async def _opened(self, session: Session, settings: Settings, places: Sequence[Place] = ()) -> BrowserSession:
        if self._browsers is None:
            raise SandboxError("the backend 'browser' is not warm", code="not_ready")
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.context.workspace(session.id))
            state = BrowserSession(
                id=session.id,
                config=self.config,
                settings=settings,
                browsers=self._browsers,
                folder=folder,
                resolver=self._resolver,
            )
            await state.open(stack)
            if settings.start_url is not None:
                await self._begin(state, settings.start_url)
            await state.go_to(places)
            session.data["confined"] = state.process.way.is_confined
            session.data["chromium_sandbox"] = state.process.way.has_sandbox
            state.hold(stack.pop_all())
        return state

    async def _begin(self, state: BrowserSession, url: str) -> None:
        opened = await self.navigate(state, url)
        if not opened.ok:
            raise SandboxError(f"start_url: {opened.message}", code=opened.code, hint=opened.hint)

    @classmethod
    def can_fork(cls, config: BrowserConfig | None = None) -> bool:
        """Only where approximate forks are allowed."""
        return config is not None and config.approximate_forks

    async def fork(self, state: BrowserSession, session: Session) -> BrowserSession:
        """A session with the same cookies, storage, addresses and scroll positions, and no more than that.

        Raises:
            SandboxError: ``unsupported``: there is more to it.
        """
        if state.dialog() is not None:
            raise SandboxError("a session with an open dialog cannot be forked", code="unsupported")
        async with state.lock:
            await state.ready()
            await state.save()
            places = await state.places()
            session.data["approximate"] = "cookies, storage, addresses and scroll positions; not what scripts hold"
            return await self._opened(
                session, evolve(state.settings, start_url=None, storage_state=state.state), places
            )

    async def read_file(self, state: BrowserSession, path: str, start: int, end: int | None) -> FileSlice:
        """A part of a file of the session's folder, such as a download."""

        def read() -> FileSlice:
            with state.files() as files:
                return files.read(path, start, end)

        return await anyio.to_thread.run_sync(read)

    async def write_file(self, state: BrowserSession, path: str, data: bytes) -> None:
        """Put a file into the session's folder, from where it can be uploaded."""

        def write() -> None:
            with state.files() as files:
                files.write(path, data)

        await anyio.to_thread.run_sync(write)

    async def observe_end(self, state: BrowserSession, probes: Sequence[str]) -> Mapping[str, Any]:
        """The answers of `agentflow_browser.probes` for the current tab, once what is under way has come."""
        async with state.lock:
            await state.ready()
            await state.tab.settle(self.config.settle_s)
            return {probe: await observe(state, probe) for probe in probes}

    async def cleanup(self, state: BrowserSession) -> None:
        """End the context."""
        await state.aclose()
