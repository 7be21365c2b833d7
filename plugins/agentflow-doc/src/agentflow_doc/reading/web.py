"""Read HTML files by trafilatura: the main text with its headings and tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_doc.reading.base import Picture, Settings, marks_of, sections_of, title_of, unsupported_rendering
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.reading.flowing import flowing_pages
from agentflow_doc.reading.tables import table_block
from agentflow_doc.records import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_doc.records import Box, Page, Section

__all__ = ["WebReader"]

_HEADING: Final = re.compile(r"(#{1,6})\s+(.*\S)")
_RULE: Final = re.compile(r"\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?")
_CELLS: Final = re.compile(r"(?<!\\)\|")


class WebReader:
    """An HTML file. It has no pages: long ones are cut into parts of some thousand characters."""

    def __init__(self, path: Path, settings: Settings) -> None:
        import trafilatura

        tree: Any = trafilatura.load_html(path.read_bytes())
        if tree is None:
            raise Unreadable("unsupported", "broken", "it is no HTML that can be read")
        said = " ".join((tree.findtext(".//title") or "").split())
        text = trafilatura.extract(
            tree, output_format="markdown", include_tables=True, include_comments=False, favor_recall=True
        )
        if not text:
            text = trafilatura.html2txt(tree)
        if not text:
            raise Unreadable("unsupported", "empty", "the page has no text")
        self._pages, is_cut = flowing_pages(_blocks(text), settings.pages)
        self.notes = [f"what follows part {settings.pages} is not read: limits.pages"] if is_cut else []
        self.title = title_of(path, said, self._pages[:1])

    def read(self) -> Iterator[Page]:
        """All parts."""
        yield from self._pages

    def page(self, number: int) -> Page:
        """One part."""
        return self._pages[number - 1]

    def sections(self, pages: Sequence[Page]) -> tuple[Section, ...]:
        """By the headings."""
        return sections_of(marks_of(pages), len(pages))

    def render(self, number: int, region: Box | None, dpi: float) -> Picture:
        """Not possible."""
        raise unsupported_rendering("HTML")

    def picture(self, name: str) -> Picture:
        """Images are not fetched."""
        raise unsupported_rendering("HTML")

    def close(self) -> None:
        """Nothing is open."""


def _blocks(markdown: str) -> Iterator[Block]:
    """The blocks of what trafilatura writes: a paragraph a line, headings, lists and tables."""
    rows: list[list[str]] = []
    for raw in (*markdown.split("\n"), ""):
        line = raw.strip()
        if line.startswith("|"):
            if not _RULE.fullmatch(line):
                rows.append([" ".join(cell.split()) for cell in _CELLS.split(line.strip("|"))])
            continue
        if rows:
            if any(any(row) for row in rows):
                yield table_block(rows)
            rows = []
        if match := _HEADING.fullmatch(line):
            yield Block(kind="heading", text=match[2].strip("* "), level=len(match[1]))
        elif line:
            yield Block(kind="text", text=line)
