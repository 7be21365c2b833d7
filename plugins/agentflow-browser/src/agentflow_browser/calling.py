"""How every call runs: one at a time in a session, over a page that is there, with failures as results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
from attrs import evolve, frozen

from agentflow_browser.network import may_open
from agentflow_browser.results import blocked, page_result, snapshot_note
from agentflow_browser.snapshots import Refused, Snapshot, changes
from agentflow_core.records import TextContent, ToolResult, clean_json, clean_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_browser.session import BrowserSession
    from agentflow_browser.tabs import Tab
    from agentflow_core.sandbox.launchers.proxy.refusals import Refusal

__all__ = ["Before", "act", "before", "call", "check_url", "denied", "look", "outcome", "past_dialog", "shown_page"]

_READ_S: Final = 20.0
#: Seconds in which a download is told of, after the navigation that it was.
_DOWNLOAD_S: Final = 3.0
_CALL_LOG: Final = re.compile(r"\x1b\[[0-9;]*m")
_REASON: Final = re.compile(
    r"- +(?:\d+ × )?(?P<why>.*(?:intercepts pointer events|not visible|not stable|not enabled|not editable|outside of the viewport).*)"
)


async def call(
    state: BrowserSession, work: Callable[[Tab], Awaitable[ToolResult]], *, with_dialog: bool = False
) -> ToolResult:
    """Do something with the current tab; every failure of browser or page becomes a result."""
    from playwright.async_api import Error

    async with state.lock:
        try:
            note = await state.ready()
            opened = state.dialog()
            if opened is not None and not with_dialog:
                return blocked(opened.describe_dialog() or {})
            result = await work(state.tab)
        except Refused as refused:
            return refused.result
        except Error as error:
            return _failed(state, error)
        except TimeoutError:
            if state.tabs and state.tab.dialog is not None:
                return blocked(state.tab.describe_dialog() or {})
            return ToolResult.failure(
                "timeout", "the page does not answer: a script keeps it busy", hint="browser:reload, or go elsewhere"
            )
    return _noted(result, note) if note else result


def _noted(result: ToolResult, note: str) -> ToolResult:
    told = {**(result.data if isinstance(result.data, dict) else {}), "restored": note}
    if told.get("sources"):
        shift = len(note) + 4
        told["sources"] = [
            {**each, "start": each["start"] + shift, "end": each["end"] + shift} for each in told["sources"]
        ]
    first, rest = TextContent(f"[{note}]\n"), result.content
    if rest and isinstance(rest[0], TextContent):
        first, rest = TextContent(f"[{note}]\n\n{rest[0].text}"), rest[1:]
    return evolve(result, data=clean_json(told), content=(first, *rest))


def _failed(state: BrowserSession, error: Exception) -> ToolResult:
    said = _CALL_LOG.sub("", str(error)).strip()
    first = clean_text(said.partition("\n")[0])[:500]
    has_crashed = not state.tabs or state.tab.crashed or not state.process.is_alive
    if has_crashed or "Target crashed" in said or "Page crashed" in said or "has been closed" in said:
        return ToolResult.failure(
            "browser_crashed",
            f"the page or its browser is gone: {first}",
            hint="call again: it is opened anew, with cookies and storage",
        )
    if "Timeout" in said:
        found = _REASON.search(said)
        why = clean_text(found["why"].strip())[:300] if found else "it did not become ready"
        return ToolResult.failure(
            "timeout",
            f"it could not be done within {state.config.action_timeout_s:g} s: {why}",
            hint="look with browser:snapshot or browser:screenshot; close what covers it, or scroll",
        )
    return ToolResult.failure("invalid_argument", first, hint="look at the page with browser:snapshot")


def check_url(url: str) -> str:
    """The address, completed where it has no scheme.

    Raises:
        Refused: ``policy_denied``: pages may not have such an address.
    """
    text = url.strip()
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?!\d)", text):
        text = f"https://{text.lstrip('/')}"
    if not may_open(text):
        raise Refused(
            ToolResult.failure(
                "policy_denied",
                f"{text.partition(':')[0].lower()}: addresses are not opened here",
                hint="open an http:// or https:// address",
            )
        )
    return text


def denied(state: BrowserSession, url: str) -> Refusal | None:
    """Why our proxy refused the host of the address, if it did."""
    try:
        host = urlsplit(url).hostname
    except ValueError:  # no address at all
        return None
    return state.reach.refusal(host or "")


async def past_dialog(state: BrowserSession, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do something, but no further than to a dialog: nothing goes on before that is answered."""
    state.dialog_opened = opened = anyio.Event()
    result: Any = None
    failure: Exception | None = None
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await opened.wait()
            group.cancel_scope.cancel()

        group.start_soon(watch)
        try:
            result = await work()
        except Exception as error:  # noqa: BLE001 - raised below, outside of the group that would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None and state.dialog() is None:
        raise failure
    return result


async def look(tab: Tab, chars: int) -> Snapshot:
    """A snapshot of the whole page, in bounded time."""
    with anyio.fail_after(_READ_S):
        tab.last = await tab.registries.snapshot(chars=chars)
    return tab.last


async def shown_page(
    state: BrowserSession, tab: Tab, *, chars: int, notes: list[str] | None = None, **data: Any
) -> ToolResult:
    """The page with a snapshot, or the dialog that keeps it from being looked at."""
    dialog = state.dialog()
    if dialog is not None:
        told = dialog.describe_dialog()
        note = (
            f"a dialog is open: {dialog.dialog.type} {dialog.dialog.message!r}; answer it with browser:dialog"
            if dialog.dialog
            else ""
        )
        return page_result(
            title="", url=tab.page.url, body="", notes=[*(notes or []), note], data={**data, "dialog": told}
        )
    snapshot = await look(tab, chars)
    tab.url = tab.page.url
    return page_result(
        title=snapshot.title,
        url=tab.page.url,
        body=snapshot.text,
        notes=[*(notes or []), *snapshot_note(snapshot, chars)],
        data={
            "generation": snapshot.generation,
            "elements": snapshot.elements,
            "truncated": snapshot.next is not None,
            "next": snapshot.next,
            "tab": tab.number,
            **data,
        },
    )


@frozen(kw_only=True)
class Before:
    """How things stood before an action."""

    snapshot: Snapshot | None
    url: str
    tabs: int
    refused_tabs: int
    downloads: int
    unshown: int


def before(state: BrowserSession, tab: Tab) -> Before:
    """How things stand now."""
    return Before(
        snapshot=tab.last,
        url=tab.page.url,
        tabs=state.new_tabs,
        refused_tabs=state.refused_tabs,
        downloads=len(state.downloads.all),
        unshown=tab.unshown,
    )


async def act(state: BrowserSession, tab: Tab, work: Callable[[], Awaitable[Any]], done: str) -> ToolResult:
    """Do something to the page; what that did, and what has changed."""
    if tab.last is None:
        await look(tab, state.config.max_chars)
    began = before(state, tab)
    await past_dialog(state, work)
    return await outcome(state, tab, began, done)


async def outcome(state: BrowserSession, tab: Tab, began: Before, done: str) -> ToolResult:
    """What an action did, once what it has set off has come, and what has changed.

    Raises:
        Refused: it led to where nothing may go, or the page is gone.
    """
    config = state.config
    await tab.settle(config.settle_s)
    if state.dialog() is None:
        await state.tabs_told()
    new_tab = state.new_tabs > began.tabs
    shown = state.tab
    if new_tab:
        await past_dialog(state, lambda: shown.page.wait_for_load_state("domcontentloaded"))
        await shown.settle(config.settle_s)
    if tab.unshown > began.unshown:
        await state.downloads.one_more(began.downloads, _DOWNLOAD_S)
    if len(state.downloads.all) > began.downloads:
        await state.downloads.collect(state.process.home, config.timeout_s)
    fetched = [each.told for each in state.downloads.all[began.downloads :]]
    effect: dict[str, Any] = {
        "navigated": False,
        "dialog": None,
        "download": fetched[0] if fetched else None,
        "new_tab": shown.number if new_tab else None,
        "changed": False,
    }
    notes = [done]
    if new_tab:
        notes.append(f"a new tab opened: {shown.number}; calls act on it now")
    if state.refused_tabs > began.refused_tabs:
        notes.append("a new tab was closed at once: as many are open as may be; browser:tabs closes others")
    notes += [f"download {each['state']}: {each['path'] or each['name']} {each['reason']}".rstrip() for each in fetched]
    if (opened := state.dialog()) is not None:
        effect |= {"dialog": opened.describe_dialog(), "changed": True}
        return await shown_page(state, shown, chars=config.max_chars, notes=notes, effect=effect)
    _check_alive(shown)
    await _check_address(state, shown)
    after = await look(shown, config.max_chars)
    await state.save()
    old = began.snapshot
    is_same = old is not None and not new_tab and after.generation == old.generation
    effect["navigated"] = not new_tab and (not is_same or shown.page.url != began.url)
    differing = changes(old.lines, after.lines) if is_same and old is not None else None
    is_whole = differing is None or after.next is not None or len(differing.text) > len(after.text) // 2 + 200
    effect["changed"] = differing is None or bool(differing.text)
    shown.url = shown.page.url
    return page_result(
        title=after.title,
        url=shown.page.url,
        body=after.text if differing is None or is_whole else _told(differing.text),
        notes=[*notes, *snapshot_note(after, config.max_chars)],
        data={
            "generation": after.generation,
            "effect": effect,
            "diff": not is_whole,
            "truncated": after.next is not None,
            "tab": shown.number,
        },
    )


def _check_alive(tab: Tab) -> None:
    if tab.crashed or tab.page.is_closed():
        raise Refused(
            ToolResult.failure(
                "browser_crashed",
                "the page crashed at this" if tab.crashed else "the page has closed itself",
                hint="call again: it is opened anew, with cookies and storage",
            )
        )


async def _check_address(state: BrowserSession, tab: Tab) -> None:
    """See that the page is none of the browser's own, nor a refusal of our proxy."""
    url = tab.page.url
    is_error = url.startswith("chrome-error:")
    if not is_error and not may_open(url) and not url.startswith("about:"):
        await tab.page.goto("about:blank")
        raise Refused(ToolResult.failure("policy_denied", "the page went to an address that is not opened here"))
    if not is_error and not tab.is_refused:
        return
    wanted = next((each.url for each in reversed(tab.requests) if each.kind == "document"), url) if is_error else url
    refusal = denied(state, wanted)
    if refusal is not None:
        raise Refused(
            ToolResult.failure(
                refusal.code, refusal.message, hint="go back with browser:back", data={"url": wanted, **refusal.details}
            )
        )
    if is_error:
        why = next((each.failure for each in reversed(tab.requests) if each.kind == "document"), "")
        raise Refused(
            ToolResult.failure(
                "navigation_failed", f"{wanted} could not be opened: {why}", hint="go back with browser:back"
            )
        )


def _told(text: str) -> str:
    return f"Changes since the last snapshot:\n{text}" if text else "No change is seen."
