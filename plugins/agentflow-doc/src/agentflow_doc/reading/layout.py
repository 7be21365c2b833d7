"""Put the lines, tables and figures of a page in the order of reading, and make paragraphs and headings of the lines."""

from __future__ import annotations

import re
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from agentflow_doc.reading.lines import JOIN, Line
from agentflow_doc.reading.tables import table_block
from agentflow_doc.records import Block, Box, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["BodyStyle", "blocks_of", "body_style"]

#: What is set larger than the body by this factor, or in bold on a line of its own, is a heading.
_LARGER: Final = 1.15
_LONGEST_HEADING: Final = 160
_LONGEST_PARAGRAPH: Final = 3000
#: Columns of prose have so many lines, of so many characters, at least; what has less is a table.
_COLUMN_LINES: Final = 3
_COLUMN_CHARS: Final = 20
_BULLET: Final = re.compile(r"^(?:[•‣◦▪–—·*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_NUMBERED: Final = re.compile(r"^\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+\D")
#: Rows of text side by side that are a table, at least.
_TABLE_ROWS: Final = 3
_MARK: Final = re.compile(r"[•‣◦▪–—·*-]|\(?(?:\d{1,2}|[a-zA-Z])[.)]|\d{1,2}(?:\.\d{1,2}){0,3}\.?")
_ENDS: Final = re.compile(r"[.!?:;。！？]['\"”’)]*$")


@frozen(kw_only=True)
class BodyStyle:
    """How the running text of a document is set: the size of most letters, and the larger sizes, greatest first."""

    size: float = 10.0
    is_bold: bool = False
    larger: tuple[float, ...] = ()

    def level(self, line: Line) -> int:
        """The level of a heading that is set like this line; 0 if it is none."""
        if line.size >= self.size * _LARGER:
            return next(
                (at for at, size in enumerate(self.larger, 1) if line.size >= size * 0.97), len(self.larger) + 1
            )
        if line.is_bold and not self.is_bold and line.size >= self.size * 0.95:
            return len(self.larger) + 1
        return 0


def body_style(lines: Iterable[Line]) -> BodyStyle:
    """The style of a document, from its lines."""
    sizes: Counter[float] = Counter()
    bold = 0
    total = 0
    heads: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
        heads[line.size] += 1
        total += len(line.text)
        bold += len(line.text) if line.is_bold else 0
    if not sizes:
        return BodyStyle()
    size = sizes.most_common(1)[0][0]
    larger: list[float] = []
    for one in sorted((one for one in heads if one >= size * _LARGER), reverse=True):
        if not larger or one < larger[-1] * 0.97:
            larger.append(one)
    return BodyStyle(size=size, is_bold=bold > total / 2, larger=tuple(larger[:4]))


Item = Line | Block


def blocks_of(lines: Sequence[Line], others: Sequence[Block], style: BodyStyle) -> tuple[Block, ...]:
    """The blocks of a page in the order of reading.

    Args:
        lines: of text; those in a table or figure are not among them.
        others: tables and figures, with their boxes.
        style: of the document.
    """
    items: list[Item] = [*lines, *others]
    return tuple(_blocks(_ordered(items, 0), style))


def _box(item: Item) -> Box:
    if item.box is None:
        raise AssertionError("an item of a page has no box")
    return item.box


def _ordered(items: list[Item], depth: int) -> Iterator[list[Item]]:
    """Bands of items that stand side by side, from top to bottom, column by column."""
    bands = _bands(items)
    if depth > 6:
        yield from bands
        return
    at = 0
    while at < len(bands):
        end, gutter = _zone(bands, at)
        if gutter is None:
            yield bands[at]
            at += 1
            continue
        inside = [item for band in bands[at:end] for item in band]
        yield from _ordered([item for item in inside if _box(item)[2] <= gutter], depth + 1)
        yield from _ordered([item for item in inside if _box(item)[2] > gutter], depth + 1)
        at = end


def _bands(items: Iterable[Item]) -> list[list[Item]]:
    """Items whose heights overlap, from top to bottom; each band from left to right."""
    bands: list[list[Item]] = []
    low = high = 0.0
    for item in sorted(items, key=lambda one: (_box(one)[1], _box(one)[0])):
        top, bottom = _box(item)[1], _box(item)[3]
        overlap = min(high, bottom) - max(low, top)
        if bands and overlap > 0.5 * min(bottom - top, high - low):
            bands[-1].append(item)
            low, high = min(low, top), max(high, bottom)
        else:
            bands.append([item])
            low, high = top, bottom
    for band in bands:
        band.sort(key=lambda one: _box(one)[0])
    return bands


def _zone(bands: Sequence[list[Item]], start: int) -> tuple[int, float | None]:
    """The end of the run of bands from ``start`` that stand in columns, and where the left column ends."""
    gaps: list[tuple[float, float]] = []
    for left, right in zip(bands[start], bands[start][1:], strict=False):
        gaps.append((_box(left)[2], _box(right)[0]))
    for low, high in gaps:
        end = start
        pairs = 0
        while end < len(bands):
            crossing = [one for one in bands[end] if _box(one)[0] < high - 1 and _box(one)[2] > low + 1]
            if crossing:
                lows = [_box(one)[2] for one in crossing if _box(one)[2] < high - 4 and _box(one)[0] < low]
                highs = [_box(one)[0] for one in crossing if _box(one)[0] > low + 4 and _box(one)[2] > high]
                if len(lows) + len(highs) != len(crossing):
                    break
                low, high = max([low, *lows]), min([high, *highs])
                if high - low < 4:
                    break
            pairs += len(bands[end]) > 1
            end += 1
        inside = [item for band in bands[start:end] for item in band]
        left_side = [one for one in inside if _box(one)[2] <= low + 1]
        right_side = [one for one in inside if _box(one)[2] > low + 1]
        if pairs >= 2 and _is_prose(left_side) and _is_prose(right_side):
            return end, low + 1
    return start + 1, None


def _is_prose(items: Sequence[Item]) -> bool:
    lines = [item for item in items if isinstance(item, Line)]
    others = len(items) - len(lines)
    if not lines:
        return others > 0
    return len(lines) >= _COLUMN_LINES and median(len(line.text) for line in lines) >= _COLUMN_CHARS


def _blocks(bands: Iterable[list[Item]], style: BodyStyle) -> Iterator[Block]:
    held: list[Line] = []
    rows: list[list[Line]] = []
    for found in bands:
        band = _with_marks(found)
        lines = [item for item in band if isinstance(item, Line)]
        is_row = len(lines) == len(band) > 1
        is_line = len(lines) == len(band) == 1
        if rows and not (is_row and lines[0].box[1] - rows[-1][0].box[3] <= 2 * lines[0].size):
            yield _rows(rows)
            rows = []
        if held and not (is_line and _goes_on(held, lines[0], style)):
            yield _paragraph(held, style)
            held = []
        if is_row:
            rows.append(lines)
        elif is_line:
            held.append(lines[0])
        else:
            for item in band:
                yield item if isinstance(item, Block) else _paragraph([item], style)
    if held:
        yield _paragraph(held, style)
    if rows:
        yield _rows(rows)


def _with_marks(band: list[Item]) -> list[Item]:
    """The band, where the bullet or number of a list or heading is one with what follows it."""
    if len(band) < 2 or not isinstance(band[0], Line) or not isinstance(band[1], Line):
        return band
    first, second = band[0], band[1]
    if not _MARK.fullmatch(first.text) or not any(letter.isalpha() for letter in second.text):
        return band
    joined = evolve(second, text=f"{first.text} {second.text}", box=union([first.box, second.box]) or second.box)
    return [joined, *band[2:]]


def _goes_on(held: Sequence[Line], line: Line, style: BodyStyle) -> bool:
    """Is this line one more of the paragraph?"""
    last = held[-1]
    if abs(line.size - last.size) > 0.12 * last.size or style.level(line) != style.level(last):
        return False
    gap = line.box[1] - last.box[3]
    if gap > 0.75 * line.size or gap < -1.5 * line.size:
        return False
    if _BULLET.match(line.text) or sum(len(one.text) for one in held) > _LONGEST_PARAGRAPH:
        return False
    width = max(one.box[2] for one in (*held, line)) - min(one.box[0] for one in (*held, line))
    ends_early = bool(_ENDS.search(last.text)) and last.box[2] < max(one.box[2] for one in (*held, line)) - 0.15 * width
    is_item = bool(_BULLET.match(held[0].text))
    is_indented = not is_item and line.box[0] > last.box[0] + 0.8 * line.size and bool(_ENDS.search(last.text))
    if style.level(line) and len(held) >= 3:
        return False
    starts_apart = abs(line.box[0] - last.box[0]) > 0.4 * max(width, 1.0) and not style.level(line)
    return not (ends_early or is_indented or starts_apart)


def _paragraph(lines: Sequence[Line], style: BodyStyle) -> Block:
    text = _joined([line.text for line in lines])
    box = union(line.box for line in lines)
    level = style.level(lines[0])
    numbered = bool(_NUMBERED.match(text))
    is_heading = (
        level > 0
        and len(text) <= _LONGEST_HEADING
        and len(lines) <= 3
        and any(letter.isalpha() for letter in text)
        and (numbered or not text.endswith((".", ",", ";")))
        and (numbered or not _BULLET.match(text))
    )
    return Block(kind="heading" if is_heading else "text", text=text, box=box, level=level if is_heading else 0)


def _rows(rows: Sequence[list[Line]]) -> Block:
    """Runs of text side by side, row by row: a table, if they stand below one another."""
    boxes = [union(line.box for line in row) for row in rows]
    cells = _cells(rows)
    if cells is not None:
        return table_block(cells, union(boxes), boxes)
    texts = (" | ".join(_plain(line.text) for line in row) for row in rows)
    return Block(kind="text", text="\n".join(texts), box=union(boxes))


def _cells(rows: Sequence[list[Line]]) -> list[list[str]] | None:
    """The rows in columns, if most have the same number of them, and no column reaches into the next."""
    width = max(map(len, rows))
    full = [row for row in rows if len(row) == width]
    if len(rows) < _TABLE_ROWS or len(full) * 2 < len(rows):
        return None
    lows = [min(row[at].box[0] for row in full) for at in range(width)]
    highs = [max(row[at].box[2] for row in full) for at in range(width)]
    if any(high > low for high, low in zip(highs, lows[1:], strict=False)):
        return None
    made = []
    for row in rows:
        cells = [""] * width
        for line in row:
            within = [at for at in range(width) if line.box[0] <= highs[at] and line.box[2] >= lows[at]]
            if len(within) != 1 or cells[within[0]]:
                return None
            cells[within[0]] = _plain(line.text)
        made.append(cells)
    return made


def _joined(texts: Sequence[str]) -> str:
    """Lines as one text; words that were parted at the end of a line are whole again."""
    made = ""
    for text in texts:
        following = _plain(text)
        if made.endswith(JOIN):
            made = made[:-1] + following if following[:1].islower() else f"{made[:-1]}-{following}"
        elif made.endswith("-") and len(made) > 1 and made[-2].isalpha() and following[:1].islower():
            made = made[:-1] + following
        elif made:
            made = f"{made} {following}"
        else:
            made = following
        if text.endswith(JOIN):
            made += JOIN
    return made.replace(JOIN, "-") if made.endswith(JOIN) else made


def _plain(text: str) -> str:
    return text.replace(JOIN, "")
