"""Read PPTX files by python-pptx: a page a slide, with the boxes of its shapes, tables, charts and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_doc.reading.archives import check_archive
from agentflow_doc.reading.base import Picture, Settings, marks_of, sections_of, title_of, unsupported_rendering
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.reading.images import opened, picture_of
from agentflow_doc.reading.tables import table_block
from agentflow_doc.records import Block, Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from agentflow_doc.records import Box, Section

__all__ = ["SlidesReader"]

_EMU: Final = 12_700  # in a point
_MOST_SHAPES: Final = 2000
_DEEPEST: Final = 8


class SlidesReader:
    """An open PPTX."""

    def __init__(self, path: Path, settings: Settings) -> None:
        import pptx

        check_archive(path, settings, "PPTX")
        self._path = path
        self._settings = settings
        self._show: Any = pptx.Presentation(str(path))
        self._slides = list(self._show.slides)
        if not self._slides:
            raise Unreadable("unsupported", "empty", "the presentation has no slides")
        self._count = min(len(self._slides), settings.pages)
        self.notes: list[str] = []
        if self._count < len(self._slides):
            self.notes.append(
                f"slides {self._count + 1}-{len(self._slides)} are not read: limits.pages is {settings.pages}"
            )
        self.title = title_of(path, self._show.core_properties.title, [self.page(1)])

    def read(self) -> Iterator[Page]:
        """All slides."""
        for number in range(1, self._count + 1):
            yield self.page(number)

    def page(self, number: int) -> Page:
        """One slide: its shapes from top to bottom, then the notes of the speaker."""
        slide = self._slides[number - 1]
        found = list(self._shapes(slide.shapes, number, slide.shapes.title, 0))
        found.sort(key=lambda block: (block.kind != "heading", *(block.box[1::-1] if block.box else (0.0, 0.0))))
        counts = {"table": 0, "figure": 0}
        blocks = []
        for block in found:
            if block.kind in counts:
                counts[block.kind] += 1
                block = evolve(block, index=counts[block.kind])
                if block.kind == "figure":
                    said = f" {block.caption}" if block.caption else ""
                    block = evolve(block, text=f"[figure {block.index} on page {number}]{said}")
            blocks.append(block)
        if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
            blocks.append(Block(kind="text", text=f"Notes: {' '.join(frame.text.split())}"))
        return Page(
            number=number,
            width=round((self._show.slide_width or 0) / _EMU, 1),
            height=round((self._show.slide_height or 0) / _EMU, 1),
            blocks=tuple(blocks),
        )

    def _shapes(self, shapes: Iterable[Any], number: int, title: Any, depth: int) -> Iterator[Block]:
        from pptx.shapes.group import GroupShape

        for count, shape in enumerate(shapes):
            if count >= _MOST_SHAPES:
                break
            if isinstance(shape, GroupShape):
                if depth < _DEEPEST:
                    yield from self._shapes(shape.shapes, number, title, depth + 1)
                continue
            box = _box(shape)
            if getattr(shape, "has_table", False):
                rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
                if rows:
                    yield table_block(rows, box)
            elif getattr(shape, "has_chart", False):
                yield from _chart(shape.chart, box)
            elif hasattr(shape, "image"):
                caption = str(shape._element.nvPicPr.cNvPr.get("descr") or "")
                yield Block(kind="figure", text="", box=box, caption=caption, image=f"{number}/{shape.shape_id}")
            elif shape.has_text_frame and shape.text_frame.text.strip():
                is_title = title is not None and shape.shape_id == title.shape_id
                if is_title:
                    yield Block(kind="heading", text=" ".join(shape.text_frame.text.split()), level=1, box=box)
                else:
                    lines = [" ".join(one.text.split()) for one in shape.text_frame.paragraphs]
                    yield Block(kind="text", text="\n".join(line for line in lines if line), box=box)

    def sections(self, pages: Sequence[Page]) -> tuple[Section, ...]:
        """The titles of the slides."""
        return sections_of(marks_of(pages), len(pages))

    def render(self, number: int, region: Box | None, dpi: float) -> Picture:
        """Not possible."""
        raise unsupported_rendering("PPTX")

    def picture(self, name: str) -> Picture:
        """An image of a slide."""
        number, _, shape_id = name.partition("/")
        for shape in _every(self._slides[int(number) - 1].shapes, 0):
            if shape.shape_id == int(shape_id) and hasattr(shape, "image"):
                return picture_of(opened(shape.image.blob, self._settings))
        raise Unreadable("not_found", "missing", "the image is not in the file")

    def close(self) -> None:
        """Nothing is open."""


def _every(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    from pptx.shapes.group import GroupShape

    for shape in shapes:
        if isinstance(shape, GroupShape):
            if depth < _DEEPEST:
                yield from _every(shape.shapes, depth + 1)
        else:
            yield shape


def _box(shape: Any) -> Box | None:
    if None in (shape.left, shape.top, shape.width, shape.height):
        return None
    left, top = shape.left / _EMU, shape.top / _EMU
    return (round(left, 1), round(top, 1), round(left + shape.width / _EMU, 1), round(top + shape.height / _EMU, 1))


def _chart(chart: Any, box: Box | None) -> Iterator[Block]:
    """The numbers behind a chart, as a table."""
    title = ""
    if chart.has_title and chart.chart_title.has_text_frame:
        title = " ".join(chart.chart_title.text_frame.text.split())
    for plot in chart.plots:
        names = [str(category) for category in plot.categories]
        series = list(plot.series)
        head = [title or "Chart", *(str(one.name) for one in series)]
        values = [[*one.values] for one in series]
        rows = [
            [name, *("" if at >= len(told) or told[at] is None else f"{told[at]:g}" for told in values)]
            for at, name in enumerate(names)
        ]
        if rows and series:
            yield table_block([head, *rows], box, caption=title)
