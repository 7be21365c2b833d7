"""Find what is drawn on a PDF page: images, and charts made of lines and areas, by PDFium."""

from __future__ import annotations

import re
from ctypes import byref, c_float
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_doc.records import Block, Box, inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pypdfium2

    from agentflow_doc.reading.lines import Line, Shown

__all__ = ["Drawn", "covers", "drawn_on", "figure_blocks"]

_MOST_OBJECTS: Final = 5000
#: Points that an image measures at least, and a chart; smaller ones are ornaments.
_IMAGE: Final = 24.0
_CHART: Final = (60.0, 40.0)
_CHART_PATHS: Final = 5
#: Points between parts of one chart, and from it to its labels.
_NEAR: Final = 10.0
_LABEL_CHARS: Final = 40
_MOST_LABELS: Final = 80
_CAPTION: Final = re.compile(r"^(?:fig(?:ure|\.)|chart|diagram|exhibit|abbildung|plate|map)\s*\d", re.IGNORECASE)


@frozen(kw_only=True)
class Drawn:
    """The boxes of the images of a page, and of its lines and areas."""

    images: tuple[Box, ...] = ()
    paths: tuple[Box, ...] = ()


def drawn_on(page: pypdfium2.PdfPage, shown: Shown) -> Drawn:
    """What is drawn, without what lies outside of the page or fills it as a background."""
    from pypdfium2 import raw

    images: list[Box] = []
    paths: list[Box] = []
    width, height = shown.size
    for index in range(min(raw.FPDFPage_CountObjects(page), _MOST_OBJECTS)):
        thing = raw.FPDFPage_GetObject(page, index)
        kind = raw.FPDFPageObj_GetType(thing)
        if kind not in (raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM, raw.FPDF_PAGEOBJ_SHADING):
            continue
        left, bottom, right, top = c_float(), c_float(), c_float(), c_float()
        if not raw.FPDFPageObj_GetBounds(thing, byref(left), byref(bottom), byref(right), byref(top)):
            continue
        box = _clipped(shown.box(left.value, bottom.value, right.value, top.value), width, height)
        if box is None:
            continue
        if kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM):
            images.append(box)
        elif (box[2] - box[0]) * (box[3] - box[1]) < 0.8 * width * height:
            paths.append(box)
    return Drawn(images=tuple(images), paths=tuple(paths))


def _clipped(box: Box, width: float, height: float) -> Box | None:
    made = (max(0.0, box[0]), max(0.0, box[1]), min(round(width, 1), box[2]), min(round(height, 1), box[3]))
    return made if made[0] <= made[2] and made[1] <= made[3] else None


def covers(boxes: Sequence[Box], width: float, height: float) -> bool:
    """Do images fill most of the page, so that it may be a scan?"""
    return sum((box[2] - box[0]) * (box[3] - box[1]) for box in boxes) > 0.5 * width * height


def figure_blocks(
    drawn: Drawn, lines: Sequence[Line], tables: Sequence[Block], page: int
) -> tuple[list[Block], set[int]]:
    """The figures of a page from top to bottom, and which of the lines are labels in them."""
    images = [box for box in drawn.images if box[2] - box[0] >= _IMAGE and box[3] - box[1] >= _IMAGE]
    paths = [
        box for box in drawn.paths if not any(table.box is not None and inside(box, table.box, 2) for table in tables)
    ]
    charts = [
        box
        for box, count in _clusters(paths)
        if count >= _CHART_PATHS and box[2] - box[0] >= _CHART[0] and box[3] - box[1] >= _CHART[1]
    ]
    boxes = [box for box, _ in _clusters([*images, *charts])]
    found: list[Block] = []
    labels: set[int] = set()
    for index, box in enumerate(sorted(boxes, key=lambda one: (one[1], one[0])), 1):
        inner = [at for at, line in enumerate(lines) if at not in labels and _is_label(line, box)]
        whole = union([box, *(lines[at].box for at in inner)]) or box
        caption = _caption(whole, lines, inner)
        named = f"[figure {index} on page {page}]"
        said = " | ".join(lines[at].text for at in inner[:_MOST_LABELS])
        text = f"{named} {said}" if said else named
        found.append(Block(kind="figure", text=text, box=whole, index=index, caption=caption))
        labels.update(inner)
    return found, labels


def _is_label(line: Line, box: Box) -> bool:
    if _CAPTION.match(line.text):
        return False
    if inside(line.box, box):
        return True
    return len(line.text) <= _LABEL_CHARS and inside(line.box, box, _NEAR)


def _caption(box: Box, lines: Sequence[Line], labels: Sequence[int]) -> str:
    """The nearest line that begins like a caption, just below the figure or above it."""
    near = []
    for at, line in enumerate(lines):
        if at in labels or not _CAPTION.match(line.text):
            continue
        away = max(line.box[1] - box[3], box[1] - line.box[3])
        beside = max(line.box[0] - box[2], box[0] - line.box[2])
        if away <= 4 * line.size and beside <= 0:
            near.append((away, line.text))
    return min(near)[1] if near else ""


def _clusters(boxes: Sequence[Box]) -> list[tuple[Box, int]]:
    """Boxes that touch each other, or nearly so, as one; and how many each is made of."""
    groups: list[tuple[Box, int]] = []
    for box in boxes:
        grown, count = box, 1
        joined = True
        while joined:
            joined = False
            rest = []
            for other, size in groups:
                if _touch(grown, other):
                    grown = union([grown, other]) or grown
                    count += size
                    joined = True
                else:
                    rest.append((other, size))
            groups = rest
        groups.append((grown, count))
    return groups


def _touch(one: Box, other: Box) -> bool:
    return (
        one[0] - _NEAR <= other[2]
        and other[0] - _NEAR <= one[2]
        and one[1] - _NEAR <= other[3]
        and other[1] - _NEAR <= one[3]
    )
