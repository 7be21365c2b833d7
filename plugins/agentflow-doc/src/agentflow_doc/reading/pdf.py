"""Read PDF files: text, outline and images by PDFium, ruled tables by pdfplumber."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_doc.reading.base import Mark, Picture, Settings, marks_of, sections_of, title_of
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.reading.figures import Drawn, covers, drawn_on, figure_blocks
from agentflow_doc.reading.images import MOST_PIXELS, encoded, picture_of
from agentflow_doc.reading.layout import BodyStyle, blocks_of, body_style
from agentflow_doc.reading.lines import Line, Shown, lines_of
from agentflow_doc.reading.ocr import OCR_DPI, read_text
from agentflow_doc.reading.tables import tables_of
from agentflow_doc.records import Block, Page, inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pypdfium2

    from agentflow_doc.records import Box, Section

__all__ = ["PdfReader"]

#: Pages from which the style of a document is taken.
_STYLE_PAGES: Final = 40
#: Lines and areas on a page from which on tables and charts are looked for.
_FEW_PATHS: Final = 3
#: Of lines that are all lower than this, in points, some are rules and underlines; a table or chart has others.
_THIN: Final = 3.0
_MOST_NOTES: Final = 20
_LONGEST_SIDE: Final = 20_000.0


class PdfReader:
    """An open PDF file."""

    def __init__(self, path: Path, settings: Settings) -> None:
        import pypdfium2

        self._path = path
        self._settings = settings
        self._plumber: Any = None
        self._is_plain = False  # pdfplumber cannot open it
        self._ruled = False
        self._style: BodyStyle | None = None
        try:
            self._document = pypdfium2.PdfDocument(path)
            self._total = len(self._document)
        except pypdfium2.PdfiumError as error:
            raise _refusal(error) from error
        if not self._total:
            raise Unreadable("unsupported", "empty", "the PDF has no pages")
        self._count = min(self._total, settings.pages)
        self.notes: list[str] = []
        if self._count < self._total:
            self.notes.append(f"pages {self._count + 1}-{self._total} are not read: limits.pages is {settings.pages}")
        self.title = title_of(path, None, ())

    def read(self) -> Iterator[Page]:
        """All pages; tables, charts and scans of as many as the settings allow."""
        tables, scans = self._settings.table_pages, self._settings.ocr_pages
        first: Page | None = None
        for number in range(1, self._count + 1):
            page = self._read(number, tables=tables > 0, scan=scans > 0)
            tables -= page.is_deep and bool(self._ruled)
            scans -= page.is_scan and page.is_deep
            if first is None:
                first = page
                self.title = title_of(self._path, self._metadata_title(), [page])
            yield page

    def page(self, number: int) -> Page:
        """One page with its tables, figures and, if it is a scan, its text."""
        return self._read(number, tables=True, scan=True)

    def _read(self, number: int, *, tables: bool, scan: bool) -> Page:
        style = self.style
        self._ruled = False
        page = self._loaded(number)
        if page is None:
            return Page(number=number)
        try:
            shown = Shown.of(page)
            width, height = (round(side, 1) for side in shown.size)
            lines = lines_of(page, shown)
            drawn = drawn_on(page, shown)
            self._ruled = len(drawn.paths) > _FEW_PATHS and any(box[3] - box[1] > _THIN for box in drawn.paths)
            if not lines and covers(drawn.images, width, height):
                return self._scan(page, number, width, height, is_read=scan)
        finally:
            page.close()
        drawn = _without_backgrounds(drawn, width, height)
        found: list[Block] = []
        is_deep = True
        if self._ruled:
            is_deep = tables
            found = self._tables(number) if tables else []
        figures, labels = figure_blocks(
            drawn if is_deep else evolve(drawn, paths=()), _outside(lines, found), found, number
        )
        rest = [line for at, line in enumerate(_outside(lines, found)) if at not in labels]
        blocks = _numbered(blocks_of(rest, [*found, *figures], style), rest)
        return Page(number=number, width=width, height=height, blocks=blocks, is_deep=is_deep)

    def _scan(self, page: pypdfium2.PdfPage, number: int, width: float, height: float, *, is_read: bool) -> Page:
        blocks: Sequence[Block] = ()
        lacks = self._settings.lacks_ocr
        if self._settings.tesseract and is_read:
            try:
                blocks = read_text(encoded(_drawn(page, OCR_DPI), lossless=True)[1], 72 / OCR_DPI, self._settings)
            except Unreadable as error:
                lacks = error.message
        is_deep = is_read or not self._settings.tesseract
        return Page(
            number=number,
            width=width,
            height=height,
            blocks=tuple(blocks),
            is_deep=is_deep,
            is_scan=True,
            lacks=lacks,
        )

    def _loaded(self, number: int) -> pypdfium2.PdfPage | None:
        """The page, or a note that it is broken."""
        import pypdfium2

        try:
            return self._document[number - 1]
        except pypdfium2.PdfiumError:
            self._note(f"page {number} is broken")
            return None

    def _note(self, said: str) -> None:
        if said not in self.notes and len(self.notes) < _MOST_NOTES:
            self.notes.append(said)

    def _has_plumber(self) -> bool:
        """Open the file with pdfplumber too, once."""
        import pdfplumber

        if self._plumber is None and not self._is_plain:
            try:
                self._plumber = pdfplumber.open(self._path)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - pdfminer raises anything on files that PDFium reads well
                self._is_plain = True
                self._note(f"tables with lines are not found: {type(error).__name__}")
        return self._plumber is not None

    def _tables(self, number: int) -> list[Block]:
        if not self._has_plumber():
            return []
        page = self._plumber.pages[number - 1]
        try:
            return tables_of(page)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - pdfminer raises anything on files that PDFium reads well
            self._note(f"tables with lines are not found on page {number}: {type(error).__name__}")
            return []
        finally:
            page.close()

    @property
    def style(self) -> BodyStyle:
        """The style of the running text, from pages all over the document."""
        if self._style is None:
            step = max(1, math.ceil(self._count / _STYLE_PAGES))
            lines: list[Line] = []
            for at in range(0, self._count, step):
                page = self._loaded(at + 1)
                if page is not None:
                    lines += lines_of(page, Shown.of(page))
                    page.close()
            self._style = body_style(lines)
        return self._style

    def _metadata_title(self) -> str:
        said: str = self._document.get_metadata_value("Title")
        return said

    def sections(self, pages: Sequence[Page]) -> tuple[Section, ...]:
        """The bookmarks of the file; without any, its headings."""
        tops = {page.number: page.blocks[0].text for page in pages if page.blocks}
        marks = [
            Mark(title=title, level=bookmark.level + 1, page=at, opens_page=_same(title, tops.get(at, "")))
            for bookmark in self._document.get_toc()
            if (title := " ".join(bookmark.get_title().split())) and (at := _target(bookmark)) <= self._count
        ]
        return sections_of(marks or marks_of(pages), self._count)

    def render(self, number: int, region: Box | None, dpi: float) -> Picture:
        """The page, or a region of it, at so many pixels an inch; fewer where that would be too large."""
        page = self._loaded(number)
        if page is None:
            raise Unreadable("unsupported", "broken", f"page {number} is broken")
        try:
            width, height = Shown.of(page).size
            box = region or (0.0, 0.0, width, height)
            longer = max(box[2] - box[0], box[3] - box[1], 1.0) / 72
            dpi = min(dpi, MOST_PIXELS / longer)
            return picture_of(_drawn(page, dpi, region), dpi=dpi, region=region)
        finally:
            page.close()

    def picture(self, name: str) -> Picture:
        """Figures of a PDF are regions of its pages."""
        raise Unreadable("internal", "unsupported", "figures of a PDF have no names")

    def close(self) -> None:
        """Close the file."""
        if self._plumber is not None:
            self._plumber.close()
        self._document.close()


def _refusal(error: pypdfium2.PdfiumError) -> Unreadable:
    said = str(error)
    if "assword" in said or "security" in said.lower():
        return Unreadable(
            "unsupported", "encrypted", "the PDF is encrypted with a password", hint="remove the password from the file"
        )
    return Unreadable("unsupported", "broken", f"it is no PDF that can be read: {said}"[:300])


def _drawn(page: pypdfium2.PdfPage, dpi: float, region: Box | None = None) -> Any:
    """The page, or a region of it, as a Pillow image."""
    width, height = page.get_size()
    if max(width, height) > _LONGEST_SIDE:
        raise Unreadable("unsupported", "too_large", f"the page measures {width:.0f} × {height:.0f} points")
    crop = (0.0, 0.0, 0.0, 0.0)
    if region is not None:
        crop = (region[0], max(0.0, height - region[3]), max(0.0, width - region[2]), region[1])
    scale = min(dpi / 72, 2 * MOST_PIXELS / max(width - crop[0] - crop[2], height - crop[1] - crop[3], 1.0))
    bitmap = page.render(scale=scale, crop=crop, may_draw_forms=False)
    image = bitmap.to_pil()
    copied = image.copy()  # the bitmap's memory goes with the bitmap
    bitmap.close()
    return copied


def _without_backgrounds(drawn: Drawn, width: float, height: float) -> Drawn:
    """Images behind the text of a whole page are no figures."""
    kept = tuple(box for box in drawn.images if (box[2] - box[0]) * (box[3] - box[1]) < 0.8 * width * height)
    return evolve(drawn, images=kept)


def _outside(lines: Sequence[Line], tables: Sequence[Block]) -> list[Line]:
    return [line for line in lines if not any(table.box and inside(line.box, table.box) for table in tables)]


def _numbered(blocks: Sequence[Block], lines: Sequence[Line]) -> tuple[Block, ...]:
    """The blocks with the tables numbered, and with their captions."""
    made = []
    count = 0
    for block in blocks:
        if block.kind == "table":
            count += 1
            made.append(_captioned(evolve(block, index=count), lines))
        else:
            made.append(block)
    return tuple(made)


def _captioned(table: Block, lines: Sequence[Line]) -> Block:
    """The table with the line next to it that begins with "Table"."""
    if table.box is None:
        return table
    near = []
    for line in lines:
        away = max(line.box[1] - table.box[3], table.box[1] - line.box[3])
        if line.text.lower().startswith("table") and away <= 3 * line.size:
            near.append((away, line.text))
    return evolve(table, caption=min(near)[1]) if near else table


def _target(bookmark: Any) -> int:
    dest = bookmark.get_dest()
    index = dest.get_index() if dest is not None else None
    return 1 if index is None else int(index) + 1


def _same(title: str, text: str) -> bool:
    """Is this text the heading of the bookmark, perhaps with its number?"""
    return "".join(text.split()).casefold().endswith("".join(title.split()).casefold())
