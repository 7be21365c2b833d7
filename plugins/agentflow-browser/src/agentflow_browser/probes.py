"""What a session looks like at the end of a task: the answers to probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentflow_browser.snapshots import is_gone
from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_browser.session import BrowserSession

__all__ = ["PROBES", "observe"]

_CHARS: Final = 20_000


async def _url(state: BrowserSession, _: str) -> Any:
    return state.tab.page.url


async def _title(state: BrowserSession, _: str) -> Any:
    return await state.tab.page.title()


async def _text(state: BrowserSession, selector: str) -> Any:
    found = await state.tab.page.query_selector(selector)
    return None if found is None else " ".join((await found.inner_text()).split())[:_CHARS]


async def _value(state: BrowserSession, selector: str) -> Any:
    found = await state.tab.page.query_selector(selector)
    if found is None:
        return None
    return await found.evaluate(
        "el => el.type === 'checkbox' || el.type === 'radio' ? el.checked"
        " : el.tagName === 'SELECT' && el.multiple ? [...el.selectedOptions].map(each => each.value)"
        " : el.value ?? null"
    )


async def _count(state: BrowserSession, selector: str) -> Any:
    return len(await state.tab.page.query_selector_all(selector))


async def _storage(state: BrowserSession, key: str) -> Any:
    """Local storage, else that of the tab's session."""
    return await state.tab.page.evaluate("key => localStorage.getItem(key) ?? sessionStorage.getItem(key)", key)


async def _cookie(state: BrowserSession, name: str) -> Any:
    page = state.tab.page
    found = await state.context.cookies(page.url) if page.url.startswith("http") else []
    return next((each["value"] for each in found if each["name"] == name), None)


#: By kind; those that take no argument first.
PROBES: Final[dict[str, Callable[[BrowserSession, str], Awaitable[Any]]]] = {
    "url": _url,
    "title": _title,
    "text": _text,
    "value": _value,
    "count": _count,
    "storage": _storage,
    "cookie": _cookie,
}
_BARE: Final = ("url", "title")
#: Those that ask the page itself, which does not answer while a dialog is open.
_ASKING: Final = frozenset(PROBES) - {"url", "cookie"}
#: A page may go on to another document while it is asked.
_TRIES: Final = 5


async def observe(state: BrowserSession, probe: str) -> Any:
    """The answer to a probe; None where nothing is there, or where an open dialog bars it.

    Raises:
        SandboxError: ``invalid_argument``: there is no such probe, or its selector cannot be used.
    """
    from playwright.async_api import Error

    kind, colon, argument = probe.partition(":")
    if kind not in PROBES or (kind in _BARE) == bool(colon):
        raise SandboxError(
            f"the browser has no probe {probe!r}",
            code="invalid_argument",
            hint="url, title, text:SELECTOR, value:SELECTOR, count:SELECTOR, storage:KEY, cookie:NAME",
        )
    if kind in _ASKING and state.dialog() is not None:
        return None
    try:
        return await _answer(state, kind, argument)
    except Error as error:
        if kind == "storage":  # a page without an origin has none
            return None
        first = str(error).partition("\n")[0]
        raise SandboxError(
            f"the probe {probe!r} cannot be answered: {first}", code="invalid_argument", hint="is the selector right?"
        ) from error


async def _answer(state: BrowserSession, kind: str, argument: str) -> Any:
    """What the page says once it is parsed; it is asked again where it went on to another document meanwhile."""
    from playwright.async_api import Error

    for _ in range(_TRIES - 1):
        tab = state.tab
        try:
            if kind in _ASKING:
                await tab.parsed(state.config.settle_s)
            asked = tab.documents
            answer = await PROBES[kind](state, argument)
            if tab.documents == asked:
                return answer
        except Error as error:
            if not is_gone(error):
                raise
        await tab.settle(state.config.settle_s)
    return await PROBES[kind](state, argument)
