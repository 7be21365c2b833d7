"""What pages download into a session's folder, each file no larger than is allowed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from attrs import define

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Download

__all__ = ["Downloads", "Fetched"]

_LOOK_S: Final = 0.2
_MOST: Final = 200
_FORBIDDEN: Final = re.compile(r"[^\w.\- ()\[\]]+")


@define(kw_only=True)
class Fetched:
    """One download. ``state`` is ``running``, ``done``, ``failed`` or ``refused`` (larger than is allowed)."""

    name: str  #: of the file in the session's folder
    url: str
    state: str = "running"
    bytes: int = 0
    reason: str = ""

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

    def add(self, download: Download) -> None:
        """A page has started one."""
        if len(self.all) >= _MOST:
            return
        taken = {each.name for each in self.all}
        fetched = Fetched(name=_free(_name(download.suggested_filename), taken), url=download.url[:2000])
        self.all.append(fetched)
        self._came.set()
        self._queued.append((download, fetched))

    async def one_more(self, count: int, seconds: float) -> None:
        """Wait until there are more than so many, for some seconds at most: what starts is told a little later."""
        with anyio.move_on_after(seconds):
            while len(self.all) <= count:
                self._came = anyio.Event()
                await self._came.wait()

    async def collect(self, outside: Path, inside: str, seconds: float) -> None:
        """Wait for what was started, for some seconds at most, and put it into the folder.

        Args:
            outside: the browser's folder, as we see it.
            inside: the same, as the browser does.
            seconds: how long to wait.
        """
        with anyio.move_on_after(seconds):
            while self._queued:
                download, fetched = self._queued[0]
                await self._take(download, fetched, outside, inside)
                self._queued.pop(0)

    async def _take(self, download: Download, fetched: Fetched, outside: Path, inside: str) -> None:
        from playwright.async_api import Error

        path: str | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, download, fetched, outside)
                path = str(await download.path())
                group.cancel_scope.cancel()
        except* Error as errors:
            if fetched.state == "running":
                fetched.state, fetched.reason = "failed", str(errors.exceptions[0]).partition("\n")[0]
        if path is None or fetched.state != "running":
            return
        found = outside / PurePosixPath(path).relative_to(inside)
        fetched.bytes, taken = await anyio.to_thread.run_sync(self._copy, found, fetched.name)
        if taken:
            fetched.state = "done"
        else:
            self._refuse(fetched)
        await download.delete()

    async def _watch(self, download: Download, fetched: Fetched, outside: Path) -> None:
        """Look how large it has become, since Playwright does not tell."""
        while True:
            await anyio.sleep(_LOOK_S)
            size = await anyio.to_thread.run_sync(_largest, outside)
            if size > self._most_bytes:
                fetched.bytes = size
                self._refuse(fetched)
                await download.cancel()
                return

    def _refuse(self, fetched: Fetched) -> None:
        fetched.state, fetched.reason = "refused", f"larger than {self._most_bytes} bytes"

    def _copy(self, source: Path, name: str) -> tuple[int, bool]:
        """Copy what the browser wrote, which must be a plain file; its size, and whether it was copied."""
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            size = os.fstat(fd).st_size
            if size > self._most_bytes:
                return size, False
            self._folder.mkdir(exist_ok=True)
            with open(self._folder / name, "wb") as copy:
                shutil.copyfileobj(file, copy)
        return size, True


def _largest(folder: Path) -> int:
    """The size of the largest download in the making; they lie directly in the folder, under random names."""
    largest = 0
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False):
            largest = max(largest, entry.stat(follow_symlinks=False).st_size)
    return largest


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
