"""The documents of a server: each is read when it is first needed, and kept in the state folder by its content."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import time
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
from attrs import asdict, frozen

from agentflow_core.errors import SandboxError
from agentflow_core.names import did_you_mean
from agentflow_core.records.events import Notice
from agentflow_doc.finding import Document
from agentflow_doc.reading.base import Settings
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.records import Page
from agentflow_doc.store import FORMAT, Store
from agentflow_doc.workers import Answer, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agentflow_core.records.events import Event
    from agentflow_doc.config import DocConfig
    from agentflow_doc.records import Head

__all__ = ["Library", "Opened", "Problem", "settings_of"]

T = TypeVar("T")
_LIBRARIES: Final = ("pypdfium2", "pdfplumber", "python-docx", "python-pptx", "trafilatura", "pillow")
#: How the name of a store begins that is being written, and seconds after which nobody writes it any more.
_BEGUN: Final = ".begun-"
_LEFT_S: Final = 3600.0
_CHUNK: Final = 2**20
_PROGRESS_EVERY_S: Final = 2.0
#: Operational limits, on which what is read does not depend.
_NOT_READ: Final = ("memory_bytes", "call_s", "tesseract")


@frozen(kw_only=True)
class Opened:
    """A document that was read."""

    document: Document
    store: Store
    version: str  #: of its content

    @property
    def head(self) -> Head:
        """Its title, outline and counts."""
        return self.store.head


@frozen(kw_only=True)
class Problem:
    """A document that cannot be read, and why."""

    document: Document
    error: Unreadable


@frozen
class _Seen:
    """A file as it was when it was hashed."""

    stamp: tuple[int, int, int]
    sha256: str


def settings_of(config: DocConfig) -> Settings:
    """What the reading processes are told: limits, and where tesseract is or why it is not used."""
    limits = config.limits
    program = shutil.which("tesseract") if config.ocr.enabled else None
    lacks = ""
    if program is None:
        lacks = (
            "reading scans needs the program tesseract: install the package tesseract-ocr"
            if config.ocr.enabled
            else "reading scans is turned off (ocr.enabled)"
        )
    return Settings(
        file_bytes=int(limits.file_mb * 2**20),
        unpacked_bytes=int(limits.unpacked_mb * 2**20),
        pages=limits.pages,
        pixels=limits.pixels,
        memory_bytes=limits.memory_mb * 2**20,
        table_pages=config.table_pages,
        ocr_pages=config.ocr.pages,
        ocr_languages=config.ocr.languages,
        tesseract=program or "",
        lacks_ocr=lacks,
        call_s=limits.call_s,
    )


class Library:
    """See the module. Files are found once; one that changes is read anew.

    Args:
        documents: that there are.
        config: how they are read.
        folder: where they are kept.
        observe: is told how far the reading is.
    """

    def __init__(
        self, documents: Sequence[Document], config: DocConfig, folder: Path, observe: Callable[[Event], None]
    ) -> None:
        self.documents = {document.name: document for document in documents}
        self._limits = config.limits
        self._folder = folder
        self._observe = observe
        settings = settings_of(config)
        self._workers = Workers(settings, config.processes)
        self._threads = anyio.CapacityLimiter(max(4, 2 * (os.cpu_count() or 1)))
        self._tag = _tag(settings)
        self._seen: dict[str, _Seen] = {}
        self._open: dict[str, Store] = {}
        self._failed: dict[str, Unreadable] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._told_at = -_PROGRESS_EVERY_S

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in one of the library's threads."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def find(self, name: str) -> Document:
        """The document of that name; a file name alone will do, if only one document has it.

        Raises:
            Unreadable: there is none, or several.
        """
        if name in self.documents:
            return self.documents[name]
        wanted = name.strip().casefold()
        near = [
            document
            for document in self.documents.values()
            if wanted in (document.name.casefold(), document.path.name.casefold(), document.path.stem.casefold())
        ]
        if len(near) == 1:
            return near[0]
        there = ", ".join(sorted(document.name for document in near) or list(self.documents)[:10])
        if near:
            raise Unreadable(
                "ambiguous_target", "missing", f"several documents are named {name!r}", hint=f"name one of: {there}"
            )
        more = ", …" if len(self.documents) > 10 else ""
        raise Unreadable(
            "not_found",
            "missing",
            f"no document {name!r}{did_you_mean(name, self.documents)}",
            hint=f"there is: {there}{more}",
        )

    async def open(self, document: Document) -> Opened:
        """The document, read if it was not yet.

        Raises:
            Unreadable: it cannot be read; what was found of a content is remembered.
        """
        lock = self._locks.setdefault(document.name, anyio.Lock())
        async with lock:
            sha256 = await self.run(partial(self._hash, document))
            key = f"{sha256[:32]}-{document.kind}-{self._tag}"
            if (failed := self._failed.get(key)) is not None:
                raise failed
            store = self._open.get(key) or await self.run(partial(self._kept, key))
            if store is None:
                store = await self._read(document, key)
            self._open[key] = store
            return Opened(document=document, store=store, version=sha256[:12])

    def _hash(self, document: Document) -> str:
        try:
            told = document.path.stat()
            stamp = (told.st_size, told.st_mtime_ns, told.st_ino)
            seen = self._seen.get(document.name)
            if seen is not None and seen.stamp == stamp:
                return seen.sha256
            if told.st_size > self._limits.file_mb * 2**20:
                raise Unreadable(
                    "unsupported",
                    "too_large",
                    f"the file has {told.st_size / 2**20:.1f} MB",
                    hint=f"limits.file_mb allows {self._limits.file_mb:g}",
                )
            digest = hashlib.sha256()
            with document.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise Unreadable("not_found", "missing", f"the file cannot be opened: {error.strerror}") from error
        self._seen[document.name] = _Seen(stamp, digest.hexdigest())
        return digest.hexdigest()

    def _at(self, key: str) -> Path:
        return self._folder / f"{key}.sqlite"

    def _kept(self, key: str) -> Store | None:
        """What is kept of an earlier reading, if it is whole."""
        path = self._at(key)
        if not path.exists():
            return None
        try:
            return Store(path)
        except (sqlite3.Error, ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)  # cut short by a full disk, or written over
            return None

    def _begun(self) -> None:
        """Make the folder, and remove what processes that were killed had begun there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob(f"{_BEGUN}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_S + self._limits.parse_s:
                    path.unlink()

    async def _read(self, document: Document, key: str) -> Store:
        await self.run(self._begun)
        into = self._folder / f"{_BEGUN}{key}.{secrets.token_hex(6)}"
        request = {"op": "parse", "path": str(document.path), "kind": document.kind, "into": str(into)}
        self._tell(document)
        try:
            await self._workers.ask(request, self._limits.parse_s)
            into.rename(self._at(key))
        except Unreadable as error:
            self._failed[key] = error
            raise
        except OSError as error:
            raise SandboxError(
                f"what was read of {document.name} cannot be kept: {error}", code="disk_limit"
            ) from error
        finally:
            with suppress(OSError):
                into.unlink(missing_ok=True)
        return await self.run(partial(Store, self._at(key)))

    def _tell(self, document: Document) -> None:
        now = anyio.current_time()
        if now - self._told_at >= _PROGRESS_EVERY_S:
            self._told_at = now
            self._observe(Notice(message=f"doc: reading {document.name}", level="info"))

    async def open_all(self) -> tuple[list[Opened], list[Problem]]:
        """Every document that can be read, in the order of names; and those that cannot."""
        found: dict[str, Opened | Problem] = {}

        async def one(document: Document) -> None:
            try:
                found[document.name] = await self.open(document)
            except Unreadable as error:
                found[document.name] = Problem(document=document, error=error)

        async with anyio.create_task_group() as tasks:
            for document in self.documents.values():
                tasks.start_soon(one, document)
        every = [found[name] for name in self.documents]
        return (
            [one for one in every if isinstance(one, Opened)],
            [one for one in every if isinstance(one, Problem)],
        )

    async def pages(self, opened: Opened, numbers: Sequence[int]) -> list[Page]:
        """Pages with all that is on them: tables, figures, the text of scans."""
        there = {page.number: page for page in await self.run(partial(opened.store.pages, numbers))}
        lacking = [number for number in numbers if not there[number].is_deep]
        if lacking:
            answer = await self._ask(opened.document, {"op": "pages", "pages": lacking})
            deep = [Page.from_json(row) for row in answer.told["pages"]]
            await self.run(partial(opened.store.replace, deep))
            there |= {page.number: page for page in deep}
        return [there[number] for number in numbers]

    async def render(self, opened: Opened, page: int, region: Sequence[float] | None, dpi: float) -> Answer:
        """An image of a page."""
        box = None if region is None else list(region)
        return await self._ask(opened.document, {"op": "render", "page": page, "region": box, "dpi": dpi})

    async def picture(self, opened: Opened, name: str) -> Answer:
        """An image that is a part of the file."""
        return await self._ask(opened.document, {"op": "picture", "name": name})

    async def _ask(self, document: Document, request: dict[str, Any]) -> Answer:
        asked = {**request, "path": str(document.path), "kind": document.kind}
        return await self._workers.ask(asked, self._limits.call_s)

    async def aclose(self) -> None:
        """End the processes."""
        await self._workers.aclose()


def _tag(settings: Settings) -> str:
    """What the reading depends on beside the file, as a part of a name."""
    told = {name: value for name, value in asdict(settings).items() if name not in _NOT_READ}
    if settings.tesseract:
        told["tesseract"] = "used"
    told |= {"format": FORMAT, **{name: _version(name) for name in _LIBRARIES}}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
