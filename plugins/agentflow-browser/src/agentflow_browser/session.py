"""A browser session: a context of its own with tabs, a proxy, a folder; and the way back after a crash."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import CancelScope
from attrs import frozen

from agentflow_browser.downloads import Downloads
from agentflow_browser.network import BrowserReach
from agentflow_browser.tabs import Tab
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.beneath import Beneath
from agentflow_core.sandbox.launchers import WORKSPACE
from agentflow_core.sandbox.launchers.proxy.serving import Proxy, ProxyLimits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anyio.abc import TaskGroup
    from playwright.async_api import BrowserContext, Page

    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.limits import TooLarge
    from agentflow_browser.pool import Browsers
    from agentflow_browser.processes import BrowserProcess
    from agentflow_browser.settings import Settings
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver

__all__ = ["BrowserSession", "Place"]

_log = logging.getLogger("agentflow_browser")
_LIMITS: Final = ProxyLimits(connections=256)
_ROOM: Final = 4096
_OPEN_S: Final = 60.0
_CLOSE_S: Final = 10.0
#: Seconds in which a tab is told of, and after which it is looked whether it is still there.
_TAB_S: Final = 5.0
_TAB_AGAIN_S: Final = 0.1
_MOST_TABS: Final = 20


@frozen(kw_only=True)
class Place:
    """Where a tab is."""

    url: str
    x: float = 0
    y: float = 0
    is_current: bool = False


class BrowserSession:
    """See the module. `open` to `aclose` run in one task.

    Args:
        id: of the session.
        config: of the backend.
        settings: of this session.
        browsers: where it gets its browser.
        folder: its own, for downloads and files to be uploaded.
        resolver: looks names up.
    """

    def __init__(
        self,
        *,
        id: str,
        config: BrowserConfig,
        settings: Settings,
        browsers: Browsers,
        folder: Path,
        resolver: Resolver,
    ) -> None:
        self.id = id
        self.config = config
        self.settings = settings
        self.folder = folder
        self.reach = BrowserReach(config.allow_hosts, resolver, public=config.public)
        self.lock = anyio.Lock()
        self.tabs: list[Tab] = []
        self.dialog_opened = anyio.Event()
        self.downloads = Downloads(folder, config.download_bytes)
        self.new_tabs = 0  #: how many have opened by themselves
        self.refused_tabs = 0  #: how many of those were closed at once, since there were too many
        self.state: Any = settings.storage_state
        self._current: Tab | None = None
        self._browsers = browsers
        self._process: BrowserProcess | None = None
        self._context: BrowserContext | None = None
        self._context_name = ""  # for Chromium
        self._proxy_scope: CancelScope | None = None
        self._generation = 0
        self._tab_number = 0
        self._opening = 0  # tabs of our own, which are told of as those that pages open
        self._lost_url = ""
        self._tab_came = anyio.Event()
        self._untold = 0  # tabs of which nothing came when it was waited for, such as those that were blocked
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def open(self, stack: AsyncExitStack) -> None:
        """Begin: a context with a tab. What is opened is given to the stack."""
        self._tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(self._tasks.cancel_scope.cancel)
        stack.push_async_callback(self._close_context)
        await self._new_context()

    def hold(self, stack: AsyncExitStack) -> None:
        """Own what `open` opened."""
        self._stack = stack

    async def aclose(self) -> None:
        """End the context and the proxy, and remove the folder."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    @property
    def context(self) -> BrowserContext:
        """The context, which may be gone."""
        assert self._context is not None
        return self._context

    @property
    def process(self) -> BrowserProcess:
        """The browser, which may be gone."""
        assert self._process is not None
        return self._process

    @property
    def tab(self) -> Tab:
        """The tab that calls act on."""
        if self._current is None or self._current not in self.tabs:
            self._current = self.tabs[-1]
        return self._current

    def select(self, tab: Tab) -> None:
        """Act on another tab from now on."""
        self._current = tab

    def dialog(self) -> Tab | None:
        """The tab in which a dialog is open."""
        return next((tab for tab in self.tabs if tab.dialog is not None), None)

    async def _new_context(self) -> None:
        self._process = await self._browsers.lease()
        try:
            with anyio.fail_after(_OPEN_S, shield=True):  # what is given up half-way would stay in the browser
                await self._open_context(self._process)
        except TimeoutError:
            with CancelScope(shield=True):
                await self._close_context()
            raise SandboxError(f"no page opened within {_OPEN_S:g} s", code="overloaded") from None
        except BaseException:
            with CancelScope(shield=True):
                await self._close_context()
            raise

    async def _open_context(self, process: BrowserProcess) -> None:
        proxy = Proxy(await process.listener(), self.reach, room=anyio.Semaphore(_ROOM), limits=_LIMITS)
        self._serve(proxy)
        config = self.config
        self._context = await process.browser.new_context(
            accept_downloads=True,
            ignore_https_errors=config.ignore_https_errors,
            locale=config.locale,
            proxy={"server": proxy.url, "bypass": "<-loopback>"},
            reduced_motion="reduce",
            storage_state=self.state,
            timezone_id=config.timezone,
            user_agent=config.user_agent,
            viewport={"width": self.settings.viewport.width, "height": self.settings.viewport.height},
        )
        self._context.set_default_timeout(config.action_timeout_s * 1000)
        self._context.set_default_navigation_timeout(config.timeout_s * 1000)
        self._context.on("page", self._on_page)
        tab = await self.new_tab()
        self._context_name = await process.name_of(self._context, tab.page)
        process.downloads.hearers.add(self._on_too_large)

    def _serve(self, proxy: Proxy) -> None:
        assert self._tasks is not None
        scope = self._proxy_scope = CancelScope()

        async def serve() -> None:
            try:
                with scope:
                    await proxy.serve()
            finally:
                proxy.close()

        self._tasks.start_soon(serve, name=f"proxy of {self.id}")

    async def _close_context(self) -> None:
        from playwright.async_api import Error

        context, self._context = self._context, None
        self._context_name = ""
        process, self._process = self._process, None
        self.tabs.clear()
        if process is not None:
            process.downloads.hearers.discard(self._on_too_large)
        with CancelScope(shield=True):
            if context is not None and process is not None and process.is_alive:
                with anyio.move_on_after(_CLOSE_S):
                    try:
                        await context.close()
                    except Error as error:
                        _log.debug("a context was gone before it was closed: %s", error)
            if self._proxy_scope is not None:
                self._proxy_scope.cancel()
                self._proxy_scope = None
            if process is not None:
                await self._browsers.release(process)

    async def new_tab(self) -> Tab:
        """Open a tab, and act on it from now on."""
        before = self.new_tabs
        self._opening += 1
        try:
            page = await self.context.new_page()
        finally:
            self._opening -= 1
        self.new_tabs = before
        tab = next((tab for tab in self.tabs if tab.page == page), None) or self._add(page)
        self._current = tab
        return tab

    def _on_page(self, page: Page) -> None:
        if any(tab.page == page for tab in self.tabs):
            return
        if not self.has_room and not self._opening:
            self.refused_tabs += 1
            if self._context is not None and self._tasks is not None:
                self._tasks.start_soon(_close, page, name=f"tab of {self.id}")
            return
        self._current = self._add(page)
        self.new_tabs += 1
        self._tab_came.set()

    async def tabs_told(self) -> None:
        """Wait for what pages have opened by now: Chromium knows of a tab some time before Playwright tells of it."""
        from playwright.async_api import Error

        try:
            with anyio.move_on_after(_TAB_S):
                while await self._open_tabs() - self._untold > len(self.tabs):
                    self._tab_came = anyio.Event()
                    with anyio.move_on_after(_TAB_AGAIN_S):
                        await self._tab_came.wait()
                return
            self._untold = max(0, await self._open_tabs() - len(self.tabs))
        except Error as error:
            _log.debug("the tabs of session %s could not be counted: %s", self.id, error)

    async def _open_tabs(self) -> int:
        """How many tabs the context has, as Chromium knows them."""
        return await self.process.tabs_of(self._context_name)

    def _add(self, page: Page) -> Tab:
        self._tab_number += 1
        tab = Tab(page, self._tab_number, self._next_generation, self._on_change)
        self.tabs.append(tab)
        page.on("close", lambda _: self._on_close(tab))
        page.on("download", self.downloads.add)
        return tab

    def _on_too_large(self, found: TooLarge) -> None:
        assert self._process is not None
        assert self._tasks is not None
        end = partial(self._process.downloads.end, found.id, self._context_name)
        self._tasks.start_soon(self.downloads.refuse, found, end, name=f"download of {self.id}")

    def _on_close(self, tab: Tab) -> None:
        if tab in self.tabs and len(self.tabs) > 1:
            self.tabs.remove(tab)
        tab.dialog = None

    def _on_change(self, tab: Tab) -> None:
        if tab.dialog is not None:
            self.dialog_opened.set()

    def _next_generation(self) -> int:
        self._generation += 1
        return self._generation

    async def save(self) -> None:
        """Remember cookies and storage, for the case that the browser crashes."""
        from playwright.async_api import Error

        try:
            self.state = await self.context.storage_state()
        except Error as error:
            _log.debug("the storage of session %s could not be remembered: %s", self.id, error)

    async def ready(self) -> str:
        """Have a page to act on; what to tell the agent if that took another one than before."""
        if self._context is None or not self.process.is_alive:
            url = self._lost_url or (self._current.url if self._current is not None else "")
            self._lost_url = url
            await self._close_context()
            await self._new_context()
            self._lost_url = ""
            return await self._back_to(url, "The browser had crashed and was started again")
        tab = self.tab
        if tab.crashed or tab.page.is_closed():
            url = tab.url
            fresh = await self.new_tab()
            if tab in self.tabs:
                self.tabs.remove(tab)
            if not tab.page.is_closed():
                await _close(tab.page)
            self.select(fresh)
            why = "The page had crashed" if tab.crashed else "The page had closed itself"
            return await self._back_to(url, why)
        return ""

    async def _back_to(self, url: str, why: str) -> str:
        from playwright.async_api import Error

        kept = "cookies and storage are kept, what was typed is not"
        if not url or url == "about:blank":
            return f"{why}; {kept}."
        try:
            await self.tab.page.goto(url, wait_until="load")
            self.tab.url = url
        except Error as error:
            first = str(error).strip().partition("\n")[0]
            return f"{why}; {kept}. {url} could not be opened again: {first}"
        return f"{why}, and {url} was opened again; {kept}."

    async def places(self) -> list[Place]:
        """Where the tabs are."""
        found = []
        for tab in self.tabs:
            x, y = await tab.page.evaluate("() => [scrollX, scrollY]")
            found.append(Place(url=tab.page.url, x=x, y=y, is_current=tab is self.tab))
        return found

    async def go_to(self, places: Sequence[Place]) -> None:
        """Open a tab at each place; those that cannot be opened stay empty."""
        from playwright.async_api import Error

        current = self.tab
        for number, place in enumerate(places):
            tab = self.tab if number == 0 else await self.new_tab()
            if place.is_current:
                current = tab
            if place.url == "about:blank":
                continue
            try:
                await tab.page.goto(place.url)
                await tab.page.evaluate("([x, y]) => scrollTo(x, y)", [place.x, place.y])
            except Error as error:
                _log.debug("a fork could not open %s: %s", place.url, error)
            tab.url = tab.page.url
        self.select(current)

    def files(self) -> Beneath:
        """The session's folder; close it."""
        return Beneath(self.folder, shown=WORKSPACE, uid=None)

    @property
    def has_room(self) -> bool:
        """May another tab be opened?"""
        return len(self.tabs) < _MOST_TABS


async def _close(page: Page) -> None:
    from playwright.async_api import Error

    with anyio.move_on_after(_CLOSE_S):
        try:
            await page.close()
        except Error as error:
            _log.debug("a tab was gone before it was closed: %s", error)
