"""Go places: addresses, history, tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio

from agentflow_browser.calling import call, check_url, denied, past_dialog, shown_page
from agentflow_browser.config import MAX_TIMEOUT_S
from agentflow_browser.session import BrowserSession
from agentflow_browser.snapshots import Refused
from agentflow_core.records import ToolResult, clean_text
from agentflow_core.sandbox import Range, tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.tabs import Tab

__all__ = ["MovingTools", "go"]

Seconds = Annotated[float, Range(0.1, MAX_TIMEOUT_S)]
WaitUntil = Literal["load", "domcontentloaded", "networkidle", "commit"]
_TOOL_S = MAX_TIMEOUT_S + 60


class MovingTools:
    """See the module."""

    config: BrowserConfig

    def _seconds(self, timeout_s: float | None) -> float:
        return self.config.timeout_s if timeout_s is None else timeout_s

    @tool(timeout_s=_TOOL_S)
    async def navigate(
        self,
        state: BrowserSession,
        url: Annotated[str, Range(1, 8000)],
        wait_until: WaitUntil = "load",
        timeout_s: Seconds | None = None,
    ) -> ToolResult:
        """Open an address in the current tab, and see the page.

        Args:
            url: the address; https:// where it has no scheme.
            wait_until: how far the page must have come.
            timeout_s: for how long, in seconds; default: what is configured.
        """

        async def work(tab: Tab) -> ToolResult:
            seconds = self._seconds(timeout_s)
            address = check_url(url)
            return await go(
                state,
                tab,
                lambda: tab.page.goto(address, wait_until=wait_until, timeout=seconds * 1000),
                address,
                seconds,
            )

        return await call(state, work)

    @tool(relative=True, timeout_s=_TOOL_S)
    async def back(self, state: BrowserSession) -> ToolResult:
        """Go back to the page before."""

        async def work(tab: Tab) -> ToolResult:
            return await go(state, tab, tab.page.go_back, "the page before", self.config.timeout_s, history=True)

        return await call(state, work)

    @tool(relative=True, timeout_s=_TOOL_S)
    async def forward(self, state: BrowserSession) -> ToolResult:
        """Go forward again, after going back."""

        async def work(tab: Tab) -> ToolResult:
            return await go(state, tab, tab.page.go_forward, "the page after", self.config.timeout_s, history=True)

        return await call(state, work)

    @tool(relative=True, timeout_s=_TOOL_S)
    async def reload(self, state: BrowserSession) -> ToolResult:
        """Load the page again."""

        async def work(tab: Tab) -> ToolResult:
            return await go(state, tab, tab.page.reload, tab.page.url, self.config.timeout_s)

        return await call(state, work)

    @tool(relative=True, timeout_s=_TOOL_S)
    async def tabs(
        self,
        state: BrowserSession,
        action: Literal["list", "new", "select", "close"] = "list",
        tab: Annotated[int, Range(1, 1_000_000)] | None = None,
        url: Annotated[str, Range(1, 8000)] | None = None,
    ) -> ToolResult:
        """List the tabs, open a new one, act on another one from now on, or close one.

        Args:
            action: what to do.
            tab: the number of the tab to select or close; default for close: the current one.
            url: what to open in a new tab.
        """

        async def work(current: Tab) -> ToolResult:
            if action == "new":
                if not state.has_room:
                    raise Refused(ToolResult.failure("quota_exceeded", "there are too many tabs; close one first"))
                address = None if url is None else check_url(url)
                fresh = await state.new_tab()
                if address is not None:
                    return await go(state, fresh, lambda: fresh.page.goto(address), address, self.config.timeout_s)
            elif action in ("select", "close"):
                chosen = current if tab is None and action == "close" else _numbered(state, tab)
                if action == "select":
                    state.select(chosen)
                    await chosen.page.bring_to_front()
                    return await shown_page(state, chosen, chars=self.config.max_chars)
                if len(state.tabs) == 1:
                    await state.new_tab()
                await chosen.page.close()
            return await _listed(state)

        return await call(state, work)


def _numbered(state: BrowserSession, number: int | None) -> Tab:
    found = next((tab for tab in state.tabs if tab.number == number), None)
    if found is None:
        there = ", ".join(str(tab.number) for tab in state.tabs)
        raise Refused(ToolResult.failure("not_found", f"there is no tab {number}", hint=f"the tabs are {there}"))
    return found


async def _listed(state: BrowserSession) -> ToolResult:
    told = []
    for tab in state.tabs:
        is_idle = tab.dialog is None and not tab.crashed
        title = await tab.page.title() if is_idle else ""
        told.append(
            {
                "tab": tab.number,
                "title": clean_text(title),
                "url": clean_text(tab.page.url),
                "current": tab is state.tab,
            }
        )
    lines = [f"{'→' if each['current'] else ' '} {each['tab']}: {each['title']} {each['url']}" for each in told]
    return ToolResult.success({"tabs": told}, text="\n".join(lines))


async def go(
    state: BrowserSession,
    tab: Tab,
    work: Callable[[], Awaitable[Any]],
    where: str,
    seconds: float,
    *,
    history: bool = False,
) -> ToolResult:
    """Let a tab go to another document, and show that.

    Raises:
        Refused: ``navigation_failed``, ``network_denied``, ``timeout``, or ``not_found`` at the end of the history.
    """
    from playwright.async_api import Error

    downloads = len(state.downloads.all)
    old = tab.page.url
    tab.status = None
    response: Any = None
    try:
        with anyio.fail_after(seconds + 5):
            response = await past_dialog(state, work)
    except (Error, TimeoutError) as error:
        if tab.crashed or not state.process.is_alive:
            raise
        if (fetched := await _downloaded(state, downloads, str(error))) is not None:
            return fetched
        raise Refused(_failed(state, where, str(error), seconds)) from error
    if history and response is None and tab.page.url == old and state.dialog() is None:
        raise Refused(ToolResult.failure("not_found", f"there is no {where.removeprefix('the ')}"))
    if (
        response is not None
        and response.headers.get("proxy-agent") == "agentflow"
        and (why := denied(state, response.url)) is not None
    ):
        raise Refused(ToolResult.failure(why.code, why.message, data={"url": response.url, **why.details}))
    if tab.is_busy:
        await tab.settle(min(0.5, state.config.settle_s))
    result = await shown_page(
        state, tab, chars=state.config.max_chars, status=response.status if response is not None else tab.status
    )
    await state.save()
    return result


async def _downloaded(state: BrowserSession, before: int, said: str) -> ToolResult | None:
    """The result where the address was a file, which was downloaded instead of opened."""
    if "Download is starting" not in said and len(state.downloads.all) == before:
        return None
    await state.downloads.one_more(before, state.config.timeout_s)
    await state.downloads.collect(state.process.home, state.config.timeout_s)
    fetched = [each.told for each in state.downloads.all[before:]]
    lines = [
        f"{each['state']}: {each['path'] or each['name']} ({each['bytes']} bytes) {each['reason']}".rstrip()
        for each in fetched
    ]
    return ToolResult.success(
        {"url": state.tab.page.url, "effect": {"download": fetched[0] if fetched else None}, "downloads": fetched},
        text="The address is a file, which was downloaded.\n" + "\n".join(lines),
    )


def _failed(state: BrowserSession, where: str, said: str, seconds: float) -> ToolResult:
    if (why := denied(state, where)) is not None:
        return ToolResult.failure(why.code, why.message, data={"url": where, **why.details})
    first = clean_text(said.strip().partition("\n")[0])
    if "Timeout" in first or not first:
        return ToolResult.failure(
            "timeout",
            f"{where} did not load within {seconds:g} s",
            hint="try wait_until=domcontentloaded or commit, or look with browser:snapshot at what has come",
        )
    if "ERR_TUNNEL_CONNECTION_FAILED" in first or "ERR_PROXY" in first:
        recent = state.reach.refusals[-1] if state.reach.refusals else None
        if recent is not None:
            return ToolResult.failure(recent.code, recent.message, data={"url": where, **recent.details})
    return ToolResult.failure("navigation_failed", first, hint="check the address, or try again")
