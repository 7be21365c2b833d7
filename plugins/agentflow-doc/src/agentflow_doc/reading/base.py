"""What every format's reader does, and what it is told."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.records import Box, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agentflow_doc.records import Page

__all__ = ["Mark", "Picture", "Reader", "Settings", "marks_of", "sections_of", "title_of", "unsupported_rendering"]

_JUNK = frozenset(
    {"untitled", "unknown", "anonymous", "document", "title", "none", "powerpoint presentation", "slide 1"}
)
_MOST_SECTIONS = 1000


@frozen(kw_only=True)
class Settings:
    """What of the configuration the reading depends on, and which program reads scans."""

    file_bytes: int
    unpacked_bytes: int
    pages: int
    pixels: int
    memory_bytes: int
    table_pages: int
    ocr_pages: int
    ocr_languages: str
    tesseract: str = ""  #: its path; none: why not stands in ``lacks_ocr``
    lacks_ocr: str = ""
    call_s: float

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Settings:
        """What ``attrs.asdict`` made."""
        return cls(**row)


@frozen(kw_only=True)
class Mark:
    """Where a section begins."""

    title: str
    level: int
    page: int
    opens_page: bool = False  #: nothing stands above it on its page


@frozen(kw_only=True)
class Picture:
    """An image to show."""

    mime: str
    data: bytes
    width: int
    height: int
    dpi: float = 0.0  #: 0: pixels have no size
    region: Box | None = None  #: of the page


class Reader(Protocol):
    """An open document. Any method may raise `Unreadable`, and whatever a library raises on a broken file."""

    title: str
    notes: list[str]  #: what was left out

    def read(self) -> Iterator[Page]:
        """All pages, in order."""
        ...

    def sections(self, pages: Sequence[Page]) -> tuple[Section, ...]:
        """The outline, from the pages that were read."""
        ...

    def page(self, number: int) -> Page:
        """One page with all that is on it."""
        ...

    def render(self, number: int, region: Box | None, dpi: float) -> Picture:
        """The page, or a region of it, as an image."""
        ...

    def picture(self, name: str) -> Picture:
        """A figure by the name that its block has."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def title_of(path: Path, said: str | None, pages: Iterable[Page]) -> str:
    """The title that the file gives, if it means something; else its first heading; else its name."""
    stem = " ".join(path.stem.replace("_", " ").replace("-", " ").split()) or path.name
    told = " ".join((said or "").split()).strip("()")
    if 2 < len(told) <= 200 and told.casefold() not in _JUNK and not told.lower().startswith("microsoft "):
        return told
    for page in pages:
        headings = [block for block in page.blocks if block.kind == "heading"]
        if headings:
            return min(headings, key=lambda block: block.level).text[:200]
    return stem


def marks_of(pages: Sequence[Page]) -> list[Mark]:
    """The headings of the pages, without those that stand at the head or foot of many."""
    marks = [
        Mark(title=block.text, level=block.level, page=page.number, opens_page=at == 0)
        for page in pages
        for at, block in enumerate(page.blocks)
        if block.kind == "heading"
    ]
    often = Counter(mark.title for mark in marks)
    most = max(3, len(pages) // 5)
    return [mark for mark in marks if often[mark.title] <= most]


def sections_of(marks: Sequence[Mark], pages: int) -> tuple[Section, ...]:
    """Sections from headings in order: levels without gaps, and the page on which each one ends."""
    found: list[Section] = []
    levels: list[int] = []
    marks = marks[:_MOST_SECTIONS]
    for at, mark in enumerate(marks):
        while levels and levels[-1] >= mark.level:
            levels.pop()
        levels.append(mark.level)
        following = next((later for later in marks[at + 1 :] if later.level <= mark.level), None)
        end = pages if following is None else following.page - following.opens_page
        found.append(
            Section(title=mark.title[:300], level=len(levels), page=mark.page, end=min(pages, max(mark.page, end)))
        )
    return tuple(found)


def unsupported_rendering(kind: str) -> Unreadable:
    """The refusal to draw the pages of a format that has none."""
    return Unreadable(
        "unsupported",
        "unsupported",
        f"pages of {kind} files are not drawn",
        hint="doc_read gives their text and tables, doc_figure the images in them",
    )
