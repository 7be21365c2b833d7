"""Read DOCX files by python-docx: headings, paragraphs, tables and images, in their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_doc.reading.archives import check_archive
from agentflow_doc.reading.base import Picture, Settings, marks_of, sections_of, title_of, unsupported_rendering
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.reading.flowing import BREAK, flowing_pages
from agentflow_doc.reading.images import opened, picture_of
from agentflow_doc.reading.tables import table_block
from agentflow_doc.records import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_doc.records import Box, Page, Section

__all__ = ["WordReader"]

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BLIP: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}blip"
_EMBED: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}embed"
_ABOUT: Final = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
_HEADING: Final = re.compile(r"heading (\d)")
_MOST_CELLS: Final = 50_000


class WordReader:
    """An open DOCX. Its pages are those between the breaks that are written in it; long stretches are cut."""

    def __init__(self, path: Path, settings: Settings) -> None:
        import docx

        check_archive(path, settings, "DOCX")
        self._settings = settings
        self._document: Any = docx.Document(str(path))
        self._pages, is_cut = flowing_pages(self._blocks(), settings.pages)
        self.notes = [f"what follows page {settings.pages} is not read: limits.pages"] if is_cut else []
        self.title = title_of(path, self._document.core_properties.title, self._pages[:1])

    def _blocks(self) -> Iterator[Block]:
        from docx.table import Table
        from docx.text.paragraph import Paragraph

        for item in self._document.iter_inner_content():
            if isinstance(item, Table):
                table = self._table(item)
                if table is not None:
                    yield table
            elif isinstance(item, Paragraph):
                yield from self._paragraph(item)

    def _paragraph(self, paragraph: Any) -> Iterator[Block]:
        element = paragraph._p
        broken = element.find(f".//{_W}lastRenderedPageBreak") is not None
        broken = broken or any(one.get(f"{_W}type") == "page" for one in element.iter(f"{_W}br"))
        if broken or paragraph.paragraph_format.page_break_before:
            yield BREAK
        text = " ".join(paragraph.text.split())
        name = (paragraph.style.name if paragraph.style is not None else "").lower()
        level = int(match[1]) if (match := _HEADING.match(name)) else int(name == "title")
        if text:
            if level:
                yield Block(kind="heading", text=text, level=level)
            else:
                yield Block(kind="text", text=f"- {text}" if name.startswith("list") else text)
        about = [one.get("descr") or "" for one in element.iter(_ABOUT)]
        for at, blip in enumerate(element.iter(_BLIP)):
            if embedded := blip.get(_EMBED):
                said = about[at] if at < len(about) else ""
                yield Block(kind="figure", text=said, caption=said, image=embedded)

    def _table(self, table: Any) -> Block | None:
        rows = []
        cells = 0
        for row in table.rows:
            told: list[str] = []
            before = None
            for cell in row.cells:
                # a cell that spans several columns is given once for each
                told.append("" if cell._tc is before else " ".join(cell.text.split()))
                before = cell._tc
            cells += len(told)
            if any(told):
                rows.append(told)
            if cells > _MOST_CELLS:
                break
        return table_block(rows) if rows else None

    def read(self) -> Iterator[Page]:
        """All pages."""
        yield from self._pages

    def page(self, number: int) -> Page:
        """One page."""
        return self._pages[number - 1]

    def sections(self, pages: Sequence[Page]) -> tuple[Section, ...]:
        """By the headings."""
        return sections_of(marks_of(pages), len(pages))

    def render(self, number: int, region: Box | None, dpi: float) -> Picture:
        """Not possible."""
        raise unsupported_rendering("DOCX")

    def picture(self, name: str) -> Picture:
        """An embedded image."""
        part = self._document.part.related_parts.get(name)
        if part is None:
            raise Unreadable("not_found", "missing", "the image is not in the file")
        return picture_of(opened(part.blob, self._settings))

    def close(self) -> None:
        """Nothing is open."""
