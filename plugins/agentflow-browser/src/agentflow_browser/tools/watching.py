"""Wait, answer dialogs, and look at what happens beside the page: downloads, console, requests; and scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio

from agentflow_browser.calling import act, before, call, outcome, past_dialog, shown_page
from agentflow_browser.config import MAX_TIMEOUT_S
from agentflow_browser.session import BrowserSession
from agentflow_browser.snapshots import Refused
from agentflow_core.records import ToolResult, clean_json
from agentflow_core.sandbox import Range, tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.tabs import Tab

__all__ = ["WatchingTools"]

Seconds = Annotated[float, Range(0.0, MAX_TIMEOUT_S)]
Words = Annotated[str, Range(1, 1000)]
Limit = Annotated[int, Range(1, 500)]
_TOOL_S = MAX_TIMEOUT_S + 60


class WatchingTools:
    """See the module."""

    config: BrowserConfig

    @tool(relative=True, timeout_s=_TOOL_S)
    async def wait(
        self,
        state: BrowserSession,
        text: Words | None = None,
        text_gone: Words | None = None,
        url: Words | None = None,
        time: Seconds | None = None,
        timeout_s: Seconds = 10.0,
    ) -> ToolResult:
        """Wait until something happens, and see the page; of several things, until the first.

        Args:
            text: until this text is seen.
            text_gone: until this text is no longer seen.
            url: until the address holds this.
            time: until so many seconds are over.
            timeout_s: how long to wait for the others, in seconds.
        """

        async def work(tab: Tab) -> ToolResult:
            page = tab.page
            milliseconds = timeout_s * 1000 + 1000
            waits: dict[str, Callable[[], Awaitable[Any]]] = {}
            if text is not None:
                seen = page.get_by_text(text).filter(visible=True).first
                waits["text"] = lambda: seen.wait_for(state="attached", timeout=milliseconds)
            if text_gone is not None:
                gone = page.get_by_text(text_gone).filter(visible=True).first
                waits["text_gone"] = lambda: gone.wait_for(state="detached", timeout=milliseconds)
            if url is not None:
                waits["url"] = lambda: page.wait_for_url(
                    lambda address: url in address, wait_until="commit", timeout=milliseconds
                )
            if time is not None:
                waits["time"] = lambda: anyio.sleep(time)
            if not waits:
                raise Refused(
                    ToolResult.failure("invalid_argument", "say what to wait for: text, text_gone, url or time")
                )
            limit = max(timeout_s, time or 0.0) if time is not None else timeout_s
            happened = await past_dialog(state, lambda: _first(waits, limit))
            if happened is None and state.dialog() is None:
                raise Refused(
                    ToolResult.failure(
                        "timeout",
                        f"within {limit:g} s none of it happened: {', '.join(waits)}",
                        hint="look with browser:snapshot at what is there",
                    )
                )
            return await shown_page(
                state,
                tab,
                chars=self.config.max_chars,
                notes=[f"happened: {happened or 'dialog'}"],
                happened=happened or "dialog",
            )

        return await call(state, work)

    @tool(relative=True)
    async def dialog(
        self, state: BrowserSession, accept: bool = True, text: Annotated[str, Range(0, 10_000)] | None = None
    ) -> ToolResult:
        """Answer the dialog that is open.

        Args:
            accept: OK, or Leave; false: Cancel, or Stay.
            text: what to enter into a prompt.
        """

        async def work(_: Tab) -> ToolResult:
            tab = state.dialog()
            if tab is None or tab.dialog is None:
                raise Refused(ToolResult.failure("not_found", "no dialog is open"))
            opened, tab.dialog = tab.dialog, None
            began = before(state, tab)

            async def answer() -> None:
                if not accept:
                    await opened.dismiss()
                elif text is None:
                    await opened.accept()
                else:
                    await opened.accept(text)

            await past_dialog(state, answer)
            return await outcome(state, tab, began, f"{'accepted' if accept else 'dismissed'} the {opened.type} dialog")

        return await call(state, work, with_dialog=True)

    @tool(read_only=True, relative=True, timeout_s=_TOOL_S)
    async def downloads(self, state: BrowserSession) -> ToolResult:
        """List what was downloaded; files are in the session's folder."""

        async def work(_: Tab) -> ToolResult:
            await state.downloads.collect(state.process.home, self.config.timeout_s)
            told = [each.told for each in state.downloads.all]
            lines = [
                f"{each['state']}: {each['path'] or each['name']} ({each['bytes']} bytes) {each['reason']}".rstrip()
                for each in told
            ]
            return ToolResult.success({"downloads": told}, text="\n".join(lines) or "nothing was downloaded")

        return await call(state, work, with_dialog=True)

    @tool(read_only=True, relative=True)
    async def console(
        self,
        state: BrowserSession,
        level: Literal["all", "error", "warning", "exception", "log"] = "all",
        limit: Limit = 50,
    ) -> ToolResult:
        """See what the page wrote to its console, and the errors that it did not catch; the last ones.

        Args:
            level: of what kind.
            limit: how many at most.
        """

        async def work(tab: Tab) -> ToolResult:
            found = [each for each in tab.console if level in ("all", each.level)][-limit:]
            told = [{"level": each.level, "text": each.text, "where": each.where} for each in found]
            lines = [f"{each.level}: {each.text}" for each in found]
            return ToolResult.success({"messages": told}, text="\n".join(lines) or "the console is empty")

        return await call(state, work, with_dialog=True)

    @tool(read_only=True, relative=True)
    async def requests(
        self,
        state: BrowserSession,
        text: Words | None = None,
        failed: bool = False,
        limit: Limit = 50,
    ) -> ToolResult:
        """See what the page has requested; the last ones.

        Args:
            text: only those whose address holds this.
            failed: only those that failed, or were answered with an error.
            limit: how many at most.
        """

        async def work(tab: Tab) -> ToolResult:
            found = [
                each
                for each in tab.requests
                if (text is None or text in each.url) and (not failed or each.failure or (each.status or 0) >= 400)
            ][-limit:]
            told = [
                {
                    "method": each.method,
                    "url": each.url,
                    "kind": each.kind,
                    "status": each.status,
                    "failure": each.failure,
                }
                for each in found
            ]
            lines = [f"{each.status or each.failure or '…'} {each.method} {each.url} ({each.kind})" for each in found]
            return ToolResult.success({"requests": told}, text="\n".join(lines) or "there are none")

        return await call(state, work, with_dialog=True)

    @tool(relative=True)
    async def evaluate(self, state: BrowserSession, script: Annotated[str, Range(1, 100_000)]) -> ToolResult:
        """Run JavaScript in the page: an expression or a function; its value is answered as JSON.

        Args:
            script: what to run.
        """
        if not self.config.allow_evaluate:
            return ToolResult.failure(
                "policy_denied",
                "scripts are not run here",
                hint="use the other tools; the operator can set allow_evaluate of the backend browser",
            )

        async def work(tab: Tab) -> ToolResult:
            values: list[Any] = []

            async def run() -> None:
                values.append(clean_json(await tab.page.evaluate(script)))

            result = await act(state, tab, run, "ran a script")
            value = values[0] if values else None
            shown = json.dumps(value, ensure_ascii=False, indent=1)
            told = {**(result.data if isinstance(result.data, dict) else {}), "value": value}
            told.pop("sources", None)
            return ToolResult.success(told, text=f"{shown}\n\n{result.text}")

        return await call(state, work)


async def _first(waits: dict[str, Callable[[], Awaitable[Any]]], limit_s: float) -> str | None:
    """Which one happened first; None if none did in time."""
    from playwright.async_api import TimeoutError as Late

    happened: list[str] = []
    failures: list[Exception] = []
    with anyio.move_on_after(limit_s + (0.5 if "time" in waits else 0.0)):
        async with anyio.create_task_group() as group:

            async def watch(name: str) -> None:
                try:
                    await waits[name]()
                except Late:
                    return
                except Exception as error:  # noqa: BLE001 - raised below, outside of the group that would wrap it
                    failures.append(error)
                else:
                    happened.append(name)
                group.cancel_scope.cancel()

            for name in waits:
                group.start_soon(watch, name)
    if failures and not happened:
        raise failures[0]
    return happened[0] if happened else None
