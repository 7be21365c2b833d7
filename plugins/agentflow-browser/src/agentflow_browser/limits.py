"""Hear from Chromium how large the downloads of a browser become, and end those that are too large.

Playwright does not tell the size of a download, and Chromium tells it of all contexts to whoever listens to the browser.
A download is told of by its id alone; that it is one of a context is known when it could be ended there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.async_api import CDPSession

__all__ = ["DownloadLimit", "TooLarge"]


@frozen(kw_only=True)
class TooLarge:
    """A download that is larger than is allowed, by what has come or by what was announced."""

    id: str  #: for Chromium, which names the file by it
    url: str
    bytes: int


class DownloadLimit:
    """See the module.

    Args:
        devtools: of the browser.
        home: the folder into which it downloads.
        most_bytes: of one file.
    """

    def __init__(self, devtools: CDPSession, home: Path, most_bytes: int) -> None:
        self.hearers: set[Callable[[TooLarge], None]] = set()  #: called once for each that is too large
        self._devtools = devtools
        self._home = home
        self._most_bytes = most_bytes
        self._urls: dict[str, str] = {}  # of what is under way, by id
        devtools.on("Browser.downloadWillBegin", self._on_begin)
        devtools.on("Browser.downloadProgress", self._on_progress)

    async def start(self) -> None:
        """Be told from now on."""
        await self._devtools.send("Browser.setDownloadBehavior", {"behavior": "default", "eventsEnabled": True})

    async def end(self, id: str, context: str) -> bool:
        """End a download and remove its file, if it is one of this context."""
        try:
            await self._devtools.send("Browser.cancelDownload", {"guid": id, "browserContextId": context})
        except Exception:  # noqa: BLE001 - of a driver that is gone Playwright raises a bare Exception
            return False
        with suppress(OSError):  # Chromium removes what was not complete
            (self._home / PurePosixPath(id).name).unlink()
        return True

    def _on_begin(self, told: dict[str, Any]) -> None:
        self._urls[told["guid"]] = told["url"]

    def _on_progress(self, told: dict[str, Any]) -> None:
        id, size = told["guid"], int(max(told["totalBytes"], told["receivedBytes"]))
        if id in self._urls and size > self._most_bytes:
            found = TooLarge(id=id, url=self._urls.pop(id), bytes=size)
            for hear in list(self.hearers):
                hear(found)
        elif told["state"] != "inProgress":
            self._urls.pop(id, None)
