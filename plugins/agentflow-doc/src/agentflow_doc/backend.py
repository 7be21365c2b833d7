"""The environment ``doc``: search and read documents, see their pages. One resource, shared by all sessions."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import anyio.to_thread

from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, Range, Session, tool
from agentflow_doc.asking import choose_pages, choose_section, in_section
from agentflow_doc.config import DocConfig
from agentflow_doc.finding import find_documents, sample
from agentflow_doc.library import Library, Opened, Problem
from agentflow_doc.ranking import rank
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.records import inside
from agentflow_doc.results import (
    failure,
    image_result,
    list_result,
    outline_result,
    read_result,
    search_result,
    table_result,
)

if TYPE_CHECKING:
    from agentflow_doc.records import Block, Box, Page

__all__ = ["DocBackend"]

#: Of a call that has to read documents first.
_LONG_S = 900.0
_MOST_PAGES = 20
#: Points of white that are left around a figure.
_AROUND = 4.0
Name = Annotated[str, Range(1, 1000)]
PageNumber = Annotated[int, Range(1, 100_000)]
Dpi = Annotated[int, Range(20, 400)]


class DocBackend(Backend):
    """Search and read documents."""

    sharing = "shared"

    def __init__(self, config: DocConfig | None = None) -> None:
        self._config = config or DocConfig()
        self._library: Library | None = None

    async def warmup(self) -> None:
        """Find the documents; each is read when it is first asked for."""
        if self._library is not None:
            return
        named = self._config.documents
        patterns = ((named,) if isinstance(named, str) else named) or (sample(),)
        documents = await anyio.to_thread.run_sync(partial(find_documents, patterns))
        folder = self.context.state_dir / "documents"
        self._library = Library(documents, self._config, folder, self.context.observe)

    async def initialize(self, session: Session) -> Library:
        """The library that all sessions share."""
        await self.warmup()
        if self._library is None:
            raise AssertionError("warmup left no library")
        return self._library

    async def shutdown(self) -> None:
        """End the processes that read documents."""
        library, self._library = self._library, None
        if library is not None:
            await library.aclose()

    @tool(name="list", read_only=True, timeout_s=_LONG_S)
    async def list_documents(self, state: Library) -> ToolResult:
        """List the documents with their titles, formats and numbers of pages."""
        opened, problems = await state.open_all()
        return list_result(opened, problems)

    @tool(read_only=True, timeout_s=_LONG_S)
    async def outline(self, state: Library, doc: Name | None = None) -> ToolResult:
        """Show the sections of a document with their pages.

        Args:
            doc: the document's name, as doc_list gives it; default: the upper sections of all documents.
        """
        if doc is None:
            opened, problems = await state.open_all()
            return outline_result(opened, problems, is_whole=False)
        try:
            return outline_result([await _opened(state, doc)], [], is_whole=True)
        except Unreadable as error:
            return failure(error, doc)

    @tool(read_only=True, timeout_s=_LONG_S)
    async def search(
        self,
        state: Library,
        query: Annotated[str, Range(1, 2000)],
        doc: Name | None = None,
        k: Annotated[int, Range(1, 50)] = 5,
    ) -> ToolResult:
        """Search the documents; gives passages with their documents and pages, best first. Read on with doc_read.

        Args:
            query: what to look for, in words.
            doc: search in this document only.
            k: how many passages.
        """
        problems: list[Problem] = []
        try:
            opened = [await _opened(state, doc)] if doc is not None else []
        except Unreadable as error:
            return failure(error, doc)
        if doc is None:
            opened, problems = await state.open_all()
        elif not opened[0].head.passages and opened[0].head.notes:
            lacking = Unreadable("unsupported", "scan", opened[0].head.notes[0], hint="doc_page_image shows its pages")
            return failure(lacking, opened[0].document.name)
        by_name = {one.document.name: one for one in opened}
        ranked = await state.run(partial(rank, {name: one.store for name, one in by_name.items()}, query, k))
        hits = []
        for best in ranked.best:
            (passage,) = await state.run(partial(by_name[best.doc].store.passages, [best.passage]))
            hits.append((by_name[best.doc], passage, best.score))
        notes = [f"{one.document.name}: {note}" for one in opened for note in one.head.notes] if not hits else []
        return search_result(hits, ranked.total, problems, notes)

    @tool(read_only=True, timeout_s=_LONG_S)
    async def read(
        self,
        state: Library,
        doc: Name,
        pages: Annotated[str, Range(1, 200)] | None = None,
        section: Annotated[str, Range(1, 400)] | None = None,
        format: Literal["markdown", "text"] = "markdown",
        start: Annotated[int, Range(0, 2**31)] = 0,
        length: Annotated[int, Range(1, 30_000)] = 12_000,
    ) -> ToolResult:
        """Read pages or a section of a document: text, tables as Markdown, and references to figures.

        Args:
            doc: the document's name, as doc_list gives it.
            pages: which pages, such as 3, 3-5 or 1,4-6; default: from the first one on.
            section: or the section of this title, as doc_outline gives it.
            format: markdown, or text without its marks.
            start: the character to begin with, counted from 0, to read on where a text was cut.
            length: how many characters.
        """
        if pages is not None and section is not None:
            return ToolResult.failure(
                "invalid_argument", "give pages or section, one of them", hint='such as {"pages": "3-4"}'
            )
        try:
            opened = await _opened(state, doc)
            chosen = None if section is None else choose_section(section, opened.head)
            if chosen is not None:
                numbers = list(range(chosen.section.page, chosen.section.end + 1))
            else:
                numbers = choose_pages(pages or "1-", opened.head)
            rest, numbers = numbers[_MOST_PAGES:], numbers[:_MOST_PAGES]
            found = await state.pages(opened, numbers)
        except Unreadable as error:
            return failure(error, doc)
        if all(page.is_scan and page.lacks for page in found):
            return failure(_no_text(found[0]), opened.document.name)
        parts = [(page, page.blocks) for page in found] if chosen is None else in_section(found, chosen)
        return read_result(
            opened,
            parts,
            numbers,
            section=None if chosen is None else chosen.section.title,
            plain=format == "text",
            start=start,
            length=length,
            more=f"{rest[0]}-{rest[-1]}" if len(rest) > 1 else (str(rest[0]) if rest else None),
        )

    @tool(read_only=True, timeout_s=_LONG_S)
    async def page_image(
        self,
        state: Library,
        doc: Name,
        page: PageNumber,
        region: Annotated[list[float], Range(4, 4)] | None = None,
        dpi: Dpi = 110,
    ) -> ToolResult:
        """See a page, or a region of it, as an image; the text on it comes with it.

        Args:
            doc: the document's name, as doc_list gives it.
            page: the page, counted from 1.
            region: left, top, right and bottom in points from the page's upper left corner, such as the box of a hit.
            dpi: pixels an inch; more show smaller print.
        """
        try:
            opened = await _opened(state, doc)
            (shown,) = await _page(state, opened, page)
            box = None if region is None else _region(region, shown)
            answer = await state.render(opened, page, box, dpi)
        except Unreadable as error:
            return failure(error, doc)
        blocks = [block for block in shown.blocks if box is None or (block.box is not None and inside(block.box, box))]
        named = f"page {page}" if box is None else f"a region of page {page}"
        return image_result(opened, shown, blocks, answer, named=named, extra={})

    @tool(read_only=True, timeout_s=_LONG_S)
    async def figure(
        self,
        state: Library,
        doc: Name,
        page: PageNumber,
        index: Annotated[int, Range(1, 10_000)] = 1,
        dpi: Dpi = 110,
    ) -> ToolResult:
        """See a figure, chart or picture of a page as an image, with its caption and the text in it.

        Args:
            doc: the document's name, as doc_list gives it.
            page: the page, counted from 1.
            index: which figure of the page, counted from 1, as doc_read numbers them.
            dpi: pixels an inch; more show smaller print.
        """
        try:
            opened = await _opened(state, doc)
            (shown,) = await _page(state, opened, page)
            block = _nth(shown, "figure", index)
            if block.image:
                answer = await state.picture(opened, block.image)
            else:
                answer = await state.render(opened, page, _grown(block.box, shown), dpi)
        except Unreadable as error:
            return failure(error, doc)
        captions = [one for one in shown.blocks if block.caption and one.text.startswith(block.caption)]
        said = f", {block.caption!r}" if block.caption else ""
        named = f"figure {index} on page {page}{said}"
        extra = {"index": index, "caption": block.caption}
        return image_result(opened, shown, [block, *captions], answer, named=named, extra=extra)

    @tool(read_only=True, timeout_s=_LONG_S)
    async def table(
        self, state: Library, doc: Name, page: PageNumber, index: Annotated[int, Range(1, 10_000)] = 1
    ) -> ToolResult:
        """Get a table of a page as columns and rows.

        Args:
            doc: the document's name, as doc_list gives it.
            page: the page, counted from 1.
            index: which table of the page, counted from 1.
        """
        try:
            opened = await _opened(state, doc)
            (shown,) = await _page(state, opened, page)
            block = _nth(shown, "table", index)
        except Unreadable as error:
            return failure(error, doc)
        count = sum(one.kind == "table" for one in shown.blocks)
        return table_result(opened, shown, block, count)


async def _opened(library: Library, doc: str) -> Opened:
    return await library.open(library.find(doc))


async def _page(library: Library, opened: Opened, page: int) -> list[Page]:
    choose_pages(str(page), opened.head)
    return await library.pages(opened, [page])


def _nth(page: Page, kind: str, index: int) -> Block:
    found = [block for block in page.blocks if block.kind == kind]
    for block in found:
        if block.index == index:
            return block
    count = f"{len(found)} {kind}{'' if len(found) == 1 else 's'}" if found else f"no {kind}"
    raise Unreadable(
        "not_found",
        "missing",
        f"page {page.number} has {count}",
        hint="doc_read shows what is on a page, doc_page_image all of it",
    )


def _no_text(page: Page) -> Unreadable:
    return Unreadable(
        "unsupported",
        "scan",
        f"page {page.number} is an image without text; {page.lacks}",
        hint="doc_page_image shows it",
    )


def _region(region: list[float], page: Page) -> Box:
    left, top, right, bottom = region
    box = (max(0.0, left), max(0.0, top), min(page.width, right), min(page.height, bottom))
    if not all(map(math.isfinite, region)) or (page.width and (box[2] - box[0] < 1 or box[3] - box[1] < 1)):
        raise Unreadable(
            "invalid_argument",
            "missing",
            f"region: {region} shows nothing",
            hint=f"the page measures {page.width:g} × {page.height:g}",
        )
    return box


def _grown(box: Box | None, page: Page) -> Box | None:
    if box is None:
        return None
    return (
        max(0.0, box[0] - _AROUND),
        max(0.0, box[1] - _AROUND),
        min(page.width, box[2] + _AROUND),
        min(page.height, box[3] + _AROUND),
    )
