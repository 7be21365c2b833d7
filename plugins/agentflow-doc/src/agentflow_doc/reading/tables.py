"""Find the tables of a PDF page that are drawn with lines, by pdfplumber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentflow_doc.records import Block, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_doc.records import Box

__all__ = ["markdown_table", "table_block", "tables_of"]

#: Of the cells of a table so many have text at least; a chart's grid has less.
_FILLED: Final = 0.5
_MOST_CELLS: Final = 20_000


def tables_of(page: Any) -> list[Block]:
    """The tables of a ``pdfplumber`` page, from top to bottom."""
    found = []
    left, top = page.bbox[0], page.bbox[1]
    for table in page.find_tables():
        rows = [[" ".join((cell or "").split()) for cell in row] for row in table.extract()]
        boxes = [_moved(row.bbox, left, top) for row in table.rows]
        kept = [(cells, box) for cells, box in zip(rows, boxes, strict=False) if any(cells)]
        if _is_table([cells for cells, _ in kept]):
            found.append(
                table_block([cells for cells, _ in kept], _moved(table.bbox, left, top), [box for _, box in kept])
            )
    return sorted(found, key=lambda block: (block.box or (0, 0))[1])


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return False
    cells = [cell for row in rows for cell in row]
    if len(cells) > _MOST_CELLS or sum(map(bool, cells)) < _FILLED * len(cells):
        return False
    return sum(any(row[at:]) for row in rows for at in (1,)) >= 2


def _moved(box: Sequence[float], left: float, top: float) -> Box:
    return (round(box[0] - left, 1), round(box[1] - top, 1), round(box[2] - left, 1), round(box[3] - top, 1))


def table_block(
    rows: Sequence[Sequence[str]], box: Box | None = None, row_boxes: Sequence[Box | None] = (), caption: str = ""
) -> Block:
    """A table whose first row names the columns; its parts are that row and the others."""
    width = max(map(len, rows))
    cells = [tuple(row) + ("",) * (width - len(row)) for row in rows]
    text, parts = markdown_table(cells, row_boxes)
    return Block(
        kind="table", text=text, box=box, columns=cells[0], rows=tuple(cells[1:]), parts=parts, caption=caption
    )


def markdown_table(rows: Sequence[Sequence[str]], boxes: Sequence[Box | None] = ()) -> tuple[str, tuple[Part, ...]]:
    """Rows as a Markdown table, the first one as its head; and where each row stands in it."""
    lines: list[str] = []
    parts: list[Part] = []
    at = 0
    for number, row in enumerate(rows):
        line = f"| {' | '.join(_cell(cell) for cell in row)} |"
        parts.append(Part(start=at, end=at + len(line), box=boxes[number] if number < len(boxes) else None))
        if number == 0:
            line += f"\n|{' --- |' * len(row)}"
        lines.append(line)
        at += len(line) + 1
    return "\n".join(lines), tuple(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
