"""What pages download into a session's folder, each file no larger than is allowed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from attrs import define

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from playwright.async_api import Download

    from agentflow_browser.limits import TooLarge

__all__ = ["Downloads", "Fetched"]

_MOST: Final = 200
_URL_CHARS: Final = 2000
_FORBIDDEN: Final = re.compile(r"[^\w.\- ()\[\]]+")


@define(kw_only=True)
class Fetched:
    """One download. ``state`` is ``running``, ``done``, ``failed`` or ``refused`` (larger than is allowed)."""

    name: str  #: of the file in the session's folder
    url: str
    state: str = "running"
    bytes: int = 0
    reason: str = ""
    id: str = ""  #: for Chromium, once it is known

    @property
    def is_unnamed(self) -> bool:
        """Is it under way, and its id not known?"""
        return self.state == "running" and not self.id

    @property
    def told(self) -> dict[str, Any]:
        """As JSON."""
        path = f"downloads/{self.name}" if self.state == "done" else None
        return {
            "path": path,
            "name": self.name,
            "url": self.url,
            "state": self.state,
            "bytes": self.bytes,
            "reason": self.reason,
        }


class Downloads:
    """See the module. What pages start is queued; `collect` takes it in.

    Args:
        folder: the session's; files go to ``downloads`` below it.
        most_bytes: of one file.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder / "downloads"
        self._most_bytes = most_bytes
        self._queued: list[tuple[Download, Fetched]] = []
        self.all: list[Fetched] = []
        self._came = anyio.Event()
        self._ending = anyio.Lock()

    def add(self, download: Download) -> None:
        """A page has started one."""
        if len(self.all) >= _MOST:
            return
        taken = {each.name for each in self.all}
        fetched = Fetched(name=_free(_name(download.suggested_filename), taken), url=download.url[:_URL_CHARS])
        self.all.append(fetched)
        self._came.set()
        self._queued.append((download, fetched))

    async def one_more(self, count: int, seconds: float) -> None:
        """Wait until there are more than so many, for some seconds at most: what starts is told a little later."""
        with anyio.move_on_after(seconds):
            while len(self.all) <= count:
                self._came = anyio.Event()
                await self._came.wait()

    async def refuse(self, found: TooLarge, end: Callable[[], Awaitable[bool]]) -> None:
        """One in the browser is too large.

        Args:
            found: which.
            end: ends it if it is one of this session; whether it was.
        """
        async with self._ending:
            if not await end():
                return
            url = found.url[:_URL_CHARS]
            mine = next(
                (each for each in self.all if each.id == found.id or (each.is_unnamed and each.url == url)), None
            )
            if mine is not None and mine.state == "running":
                self._refuse(mine, found.bytes)

    async def collect(self, home: Path, seconds: float) -> None:
        """Wait for what was started, for some seconds at most, and put it into the folder.

        Args:
            home: the folder into which the browser downloads.
            seconds: how long to wait.
        """
        with anyio.move_on_after(seconds):
            while self._queued:
                download, fetched = self._queued[0]
                await self._take(download, fetched, home)
                self._queued.pop(0)

    async def _take(self, download: Download, fetched: Fetched, home: Path) -> None:
        from playwright.async_api import Error

        try:
            path = await download.path()  # as the browser sees it
            fetched.id = path.name
            if fetched.state == "running":
                size, taken = await anyio.to_thread.run_sync(self._copy, home / path.name, fetched.name)
                if taken:
                    fetched.state, fetched.bytes = "done", size
                else:
                    self._refuse(fetched, size)
            await download.delete()
        except (Error, OSError) as error:
            async with self._ending:  # for its size, perhaps, which is told when it has ended
                pass
            if fetched.state == "running":
                why = f"it cannot be copied: {error.strerror}" if isinstance(error, OSError) else error.message
                fetched.state, fetched.reason = "failed", why.partition("\n")[0]

    def _refuse(self, fetched: Fetched, size: int) -> None:
        fetched.state, fetched.bytes = "refused", size
        fetched.reason = f"larger than {self._most_bytes} bytes"

    def _copy(self, source: Path, name: str) -> tuple[int, bool]:
        """Copy what the browser wrote, which must be a plain file; its size, and whether it was copied."""
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "no plain file")
            size = status.st_size
            if size > self._most_bytes:
                return size, False
            self._folder.mkdir(exist_ok=True)
            with open(self._folder / name, "wb") as copy:
                shutil.copyfileobj(file, copy)
        return size, True


def _name(suggested: str) -> str:
    """A name for a file, of what a page suggests."""
    name = _FORBIDDEN.sub("_", suggested.replace("\\", "/").rpartition("/")[2]).lstrip(".").strip()
    return name[:120] or "download"


def _free(name: str, taken: set[str]) -> str:
    stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
    number, free = 2, name
    while free in taken:
        free = f"{stem} ({number}){dot}{ending}"
        number += 1
    return free
