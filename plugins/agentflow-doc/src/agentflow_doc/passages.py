"""Cut the pages of a document into passages to search: some paragraphs under one heading, or one table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_doc.records import Block, Box, Page, Part, union

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentflow_doc.records import Section

__all__ = ["Passage", "join_blocks", "passages_of"]

#: A passage ends with the paragraph that makes it longer than this; longer paragraphs are cut between sentences.
_FULL: Final = 500
_LONGEST: Final = 1200
_CAPTION: Final = re.compile(r"tab(?:le|elle|\.)\s*\d.{0,300}$", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?。！？]['\"”’)]*\s+|\n")


@frozen(kw_only=True)
class Passage:
    """A piece of one page, and where each part of its text stands."""

    page: int
    section: str  #: the title of the section that it begins in
    text: str
    parts: tuple[Part, ...]

    @property
    def box(self) -> Box | None:
        """What holds all of it."""
        return union(part.box for part in self.parts)


def join_blocks(blocks: Sequence[Block], *, plain: bool = False) -> tuple[str, tuple[Part, ...]]:
    """Blocks as one text, Markdown or ``plain``, with where each of them, and each row of a table, stands on the page."""
    texts: list[str] = []
    parts: list[Part] = []
    at = 0
    for block in blocks:
        text, rows = _plain(block) if plain else (block.markdown, block.parts)
        parts += [Part(start=at + one.start, end=at + one.end, box=one.box) for one in rows]
        parts.append(Part(start=at, end=at + len(text), box=block.box))
        texts.append(text)
        at += len(text) + 2
    return "\n\n".join(texts), tuple(parts)


def _plain(block: Block) -> tuple[str, tuple[Part, ...]]:
    if block.kind != "table":
        return block.text, ()
    lines: list[str] = []
    parts: list[Part] = []
    at = 0
    for number, row in enumerate((block.columns, *block.rows)):
        line = " | ".join(row)
        box = block.parts[number].box if number < len(block.parts) else None
        parts.append(Part(start=at, end=at + len(line), box=box))
        lines.append(line)
        at += len(line) + 1
    return "\n".join(lines), tuple(parts)


def passages_of(page: Page, sections: Sequence[Section]) -> Iterator[Passage]:
    """The passages of a page, in order.

    Args:
        page: the page.
        sections: of the document, sorted by their first page.
    """
    section = next((one.title for one in reversed(sections) if one.page < page.number <= one.end), "")
    starts = {_key(one.title): one.title for one in sections if one.page == page.number}
    held: list[Block] = []
    size = 0
    for block in _pieces(page):
        title = starts.get(_key(block.text)) if block.kind == "heading" else None
        opens = block.kind in ("heading", "table") and any(one.kind != "heading" for one in held)
        if held and (opens or size + len(block.text) > _LONGEST):
            caption = [held.pop()] if block.kind == "table" and _CAPTION.match(held[-1].text) else []
            if held:
                yield _passage(page, section, held)
            held, size = caption, sum(len(one.text) for one in caption)
        if title is not None:
            section = title
        held.append(block)
        size += len(block.text)
        if size >= _FULL and block.kind != "heading":
            yield _passage(page, section, held)
            held, size = [], 0
    if held:
        yield _passage(page, section, held)


def _passage(page: Page, section: str, blocks: Sequence[Block]) -> Passage:
    text, parts = join_blocks(blocks)
    return Passage(page=page.number, section=section, text=text, parts=parts)


def _pieces(page: Page) -> Iterator[Block]:
    """The blocks, long ones in pieces."""
    for block in page.blocks:
        if len(block.text) <= _LONGEST:
            yield block
        elif block.kind == "table" and block.parts:
            yield from _table_pieces(block)
        else:
            yield from (Block(kind=block.kind, text=text, box=block.box) for text in _cut(block.text))


def _table_pieces(block: Block) -> Iterator[Block]:
    """A long table in pieces, each with the head of the columns."""
    head = block.text[: block.parts[1].start] if len(block.parts) > 1 else ""
    start = 0
    rows = block.parts[1:]
    while start < len(rows):
        end = start + 1
        while end < len(rows) and len(head) + rows[end].end - rows[start].start <= _LONGEST:
            end += 1
        body = block.text[rows[start].start : rows[end - 1].end]
        shift = len(head) - rows[start].start
        parts = (
            Part(start=0, end=block.parts[0].end, box=block.parts[0].box),
            *tuple(Part(start=row.start + shift, end=row.end + shift, box=row.box) for row in rows[start:end]),
        )
        yield Block(kind="table", text=head + body, box=union(part.box for part in parts), parts=parts)
        start = end


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _LONGEST:
        ends = [match.end() for match in _SENTENCE_END.finditer(text, start + _FULL // 2, start + _LONGEST)]
        end = next((one for one in ends if one - start >= _FULL), ends[-1] if ends else 0)
        if not end:
            end = text.rfind(" ", start + _FULL, start + _LONGEST) + 1 or start + _LONGEST
        yield text[start:end].strip()
        start = end
    if text[start:].strip():
        yield text[start:].strip()


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()
