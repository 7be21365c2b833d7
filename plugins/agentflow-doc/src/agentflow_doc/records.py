"""What a document is once it is read: pages of blocks, and sections; as JSON for the store and between processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Block", "Box", "Head", "Page", "Part", "Section", "inside", "union"]

#: Left, top, right, bottom, from the upper left corner of the page as it is shown; in points, of images in pixels.
Box = tuple[float, float, float, float]


@frozen(kw_only=True)
class Part:
    """A range of a block's text and where it stands on the page, such as the row of a table."""

    start: int
    end: int
    box: Box | None = None


@frozen(kw_only=True)
class Block:
    """A heading, a paragraph, a table (its text is Markdown) or a figure (its text is the reference and its labels)."""

    kind: str  #: heading, text, table or figure
    text: str
    box: Box | None = None
    level: int = 0  #: of a heading, from 1
    index: int = 0  #: of a table or figure, from 1 on each page
    caption: str = ""
    parts: tuple[Part, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    image: str = ""  #: of a figure in an archive: the name of its part

    @property
    def markdown(self) -> str:
        """The text, of a heading with its marks."""
        return f"{'#' * self.level} {self.text}" if self.kind == "heading" else self.text


@frozen(kw_only=True)
class Page:
    """One page; of a presentation a slide, of documents without pages a part of some thousand characters."""

    number: int  #: from 1
    width: float = 0.0  #: 0: it has no shape
    height: float = 0.0
    blocks: tuple[Block, ...] = ()
    is_deep: bool = True  #: False: tables and drawn figures have not been looked for
    is_scan: bool = False  #: it shows something and has no text
    lacks: str = ""  #: why the text of a scan is not there

    def to_json(self) -> dict[str, Any]:
        """As JSON, without what is empty."""
        return asdict(self, filter=lambda attribute, value: value != attribute.default, recurse=True)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Page:
        """What `to_json` gave."""
        return cls(**{**row, "blocks": tuple(map(_block, row.get("blocks", ())))})


@frozen(kw_only=True)
class Section:
    """A part of the outline, from its heading to the next one of its level or above."""

    title: str
    level: int
    page: int
    end: int  #: its last page


@frozen(kw_only=True)
class Head:
    """What a store tells of a document before its pages."""

    title: str
    format: str
    pages: int
    sections: tuple[Section, ...] = ()
    passages: int = 0
    words: int = 0
    notes: tuple[str, ...] = ()  #: what was left out

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Head:
        """What `to_json` gave."""
        sections = tuple(Section(**section) for section in row["sections"])
        return cls(**{**row, "sections": sections, "notes": tuple(row["notes"])})


def _block(row: Mapping[str, Any]) -> Block:
    made = dict(row)
    if made.get("box") is not None:
        made["box"] = tuple(made["box"])
    if "parts" in made:
        made["parts"] = tuple(
            Part(start=part["start"], end=part["end"], box=tuple(part["box"]) if part.get("box") else None)
            for part in made["parts"]
        )
    if "columns" in made:
        made["columns"] = tuple(made["columns"])
    if "rows" in made:
        made["rows"] = tuple(tuple(cells) for cells in made["rows"])
    return Block(**made)


def union(boxes: Iterable[Box | None]) -> Box | None:
    """The smallest box that holds those that are there."""
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    return (
        min(box[0] for box in there),
        min(box[1] for box in there),
        max(box[2] for box in there),
        max(box[3] for box in there),
    )


def inside(box: Box, outer: Box, by: float = 0.0) -> bool:
    """Does the middle of a box lie in the other one, or so near to it?"""
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return outer[0] - by <= across <= outer[2] + by and outer[1] - by <= down <= outer[3] + by
