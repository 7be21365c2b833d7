"""A tab of a session: its page, what it has logged, the dialog that is open in it, and what is under way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio
from attrs import define, frozen

from agentflow_browser.snapshots import Registries, Snapshot
from agentflow_core.records import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import ConsoleMessage, Dialog, Error, Frame, Page, Request, Response

__all__ = ["LoggedMessage", "LoggedRequest", "Tab"]

_KEPT: Final = 500
_TEXT_CHARS: Final = 2000
#: What an action waits for; images and streams are not among it.
_AWAITED: Final = frozenset({"document", "xhr", "fetch", "script", "stylesheet"})
#: What an answer says that has no document: Chromium keeps the one that it shows.
_EMPTY: Final = frozenset({204, 205})


@frozen(kw_only=True)
class LoggedMessage:
    """What a page wrote to its console, or an error that nothing caught."""

    level: str
    text: str
    where: str = ""


@define(kw_only=True)
class LoggedRequest:
    """A request and what became of it."""

    method: str
    url: str
    kind: str
    status: int | None = None
    failure: str = ""


class Tab:
    """See the module.

    Args:
        page: of this tab.
        number: by which it is named, from 1 on.
        next_generation: counts the documents of the session.
        changed: called when a dialog opens or the page crashes or closes.
    """

    def __init__(
        self, page: Page, number: int, next_generation: Callable[[], int], changed: Callable[[Tab], None]
    ) -> None:
        self.page = page
        self.number = number
        self.registries = Registries(page, next_generation)
        self.dialog: Dialog | None = None
        self.crashed = False
        self.url = ""  #: the last that it showed
        self.last: Snapshot | None = None  #: of the whole page
        self.status: int | None = None  #: of its document
        self.is_refused = False  #: is its document our proxy's refusal
        self.documents = 0  #: how many it has gone to, and places in them
        self.unshown = 0  #: how many answers became no document, but most likely a download
        self.console: deque[LoggedMessage] = deque(maxlen=_KEPT)
        self.requests: deque[LoggedRequest] = deque(maxlen=_KEPT)
        self._logged: dict[Request, LoggedRequest] = {}
        self._pending: set[Request] = set()
        self._answered: Request | None = None  # for a document that is not shown yet
        self._parsed = -1  # of its documents, the last that was waited for
        self._moved = anyio.Event()
        self._changed = changed
        page.on("dialog", self._on_dialog)
        page.on("crash", self._on_crash)
        page.on("console", self._on_console)
        page.on("framenavigated", self._on_navigated)
        page.on("pageerror", self._on_error)
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("requestfinished", self._on_finished)
        page.on("requestfailed", self._on_finished)

    @property
    def is_busy(self) -> bool:
        """Is something under way that an action would wait for?"""
        return bool(self._pending)

    async def settle(self, seconds: float) -> None:
        """Wait until what is under way has come, for some seconds at most, and the page has drawn it."""
        from playwright.async_api import Error

        with anyio.move_on_after(seconds):
            for _ in range(3):
                while self._pending and self.dialog is None:
                    self._moved = anyio.Event()
                    await self._moved.wait()
                if self.dialog is not None or self.page.is_closed():
                    return
                try:
                    await self.page.evaluate(
                        "() => new Promise(done => { const end = () => setTimeout(done, 0);"
                        " document.hidden ? end() : requestAnimationFrame(end); setTimeout(done, 100); })"
                    )
                except Error:  # it went to another document, which is awaited in the next round
                    if self.page.is_closed() or self.crashed:
                        return
                    await self.page.wait_for_load_state("domcontentloaded")
                if not self._pending:
                    return

    async def parsed(self, seconds: float) -> None:
        """Wait until its document is parsed, for some seconds at most, and for each document once."""
        if self._parsed == self.documents:
            return
        with anyio.move_on_after(seconds):
            await self.page.wait_for_load_state("domcontentloaded", timeout=0)
        self._parsed = self.documents

    def _on_dialog(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self._tell()

    def _on_crash(self, _page: Page) -> None:
        self.crashed = True
        self._pending.clear()
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._changed(self)

    def _on_console(self, message: ConsoleMessage) -> None:
        place = message.location
        where = f"{place.get('url', '')}:{place.get('lineNumber', '')}" if place else ""
        self.console.append(
            LoggedMessage(
                level=message.type, text=clean_text(message.text[:_TEXT_CHARS]), where=clean_text(where[:500])
            )
        )

    def _on_error(self, error: Error) -> None:
        self.console.append(LoggedMessage(level="exception", text=clean_text(str(error)[:_TEXT_CHARS])))

    def _on_navigated(self, frame: Frame) -> None:
        if frame == self.page.main_frame:
            self.documents += 1
            self._answered = None

    def _on_request(self, request: Request) -> None:
        logged = LoggedRequest(
            method=request.method, url=clean_text(request.url[:_TEXT_CHARS]), kind=request.resource_type
        )
        self.requests.append(logged)
        self._logged[request] = logged
        if request.resource_type in _AWAITED:
            self._pending.add(request)

    def _on_response(self, response: Response) -> None:
        logged = self._logged.get(response.request)
        if logged is not None:
            logged.status = response.status
        if response.request.is_navigation_request() and response.frame == self.page.main_frame:
            self.status = response.status
            self._answered = response.request
            self.is_refused = response.headers.get("proxy-agent") == "agentflow"

    def _on_finished(self, request: Request) -> None:
        logged = self._logged.pop(request, None)
        if logged is not None and request.failure:
            logged.failure = request.failure
        if request == self._answered:
            self._answered = None
            if "ERR_ABORTED" in (request.failure or "") and self.status not in _EMPTY:
                self.unshown += 1
        self._pending.discard(request)
        self._moved.set()

    def describe_dialog(self) -> dict[str, Any] | None:
        """The dialog that is open."""
        if self.dialog is None:
            return None
        return {
            "type": self.dialog.type,
            "message": clean_text(self.dialog.message[:_TEXT_CHARS]),
            "default": clean_text(self.dialog.default_value[:_TEXT_CHARS]),
            "tab": self.number,
        }
