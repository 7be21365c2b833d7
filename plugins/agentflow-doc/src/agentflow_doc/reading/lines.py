"""Take the lines of text off a page of a PDF, with their boxes, sizes and weights, by PDFium."""

from __future__ import annotations

import math
from ctypes import byref, c_double, c_int, create_string_buffer
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_doc.records import Box, union

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pypdfium2

__all__ = ["JOIN", "Line", "Shown", "lines_of"]

#: At the end of a line: its last word goes on in the next one.
JOIN: Final = "\u00ad"
#: Characters of one page that are read.
_MOST_CHARS: Final = 200_000
_BREAKS: Final = frozenset((10, 13))
_HYPHENS: Final = frozenset((2, 0xAD, 0xFFFE))
#: A gap of so many times the size of the letters parts two columns, or two cells.
_GAP: Final = 1.0
_BOLD: Final = 600


@frozen(kw_only=True)
class Line:
    """A run of text on one base line, without wide gaps."""

    text: str
    box: Box
    size: float  #: of its letters, in points
    is_bold: bool = False


@frozen(kw_only=True)
class Shown:
    """How a page is shown: the part of its space that one sees, and how it is turned."""

    left: float
    bottom: float
    right: float
    top: float
    rotation: int  #: clockwise, in degrees

    @classmethod
    def of(cls, page: pypdfium2.PdfPage) -> Shown:
        """Of a page."""
        left, bottom, right, top = page.get_bbox()
        return cls(left=left, bottom=bottom, right=right, top=top, rotation=page.get_rotation() % 360)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as it is shown."""
        width, height = self.right - self.left, self.top - self.bottom
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """A box in the page's own space, as one sees it: from the upper left corner."""
        if self.rotation == 90:
            made = (bottom - self.bottom, left - self.left, top - self.bottom, right - self.left)
        elif self.rotation == 180:
            made = (self.right - right, bottom - self.bottom, self.right - left, top - self.bottom)
        elif self.rotation == 270:
            made = (self.top - top, self.right - right, self.top - bottom, self.right - left)
        else:
            made = (left - self.left, self.top - top, right - self.left, self.top - bottom)
        return (round(made[0], 1), round(made[1], 1), round(made[2], 1), round(made[3], 1))


def lines_of(page: pypdfium2.PdfPage, shown: Shown) -> list[Line]:
    """The lines, in the order of the file."""
    textpage = page.get_textpage()
    try:
        return [line for line in _lines(textpage, shown) if line.text.strip()]
    finally:
        textpage.close()


def _lines(textpage: pypdfium2.PdfTextPage, shown: Shown) -> Iterator[Line]:
    from pypdfium2 import raw

    count = min(raw.FPDFText_CountChars(textpage), _MOST_CHARS)
    codes = [raw.FPDFText_GetUnicode(textpage, at) for at in range(count)]
    start = 0
    for at in range(count + 1):
        if at < count and codes[at] not in _BREAKS:
            continue
        if start < at:
            yield from _line(textpage, codes, start, at, shown)
        start = at + 1


def _line(textpage: pypdfium2.PdfTextPage, codes: list[int], start: int, end: int, shown: Shown) -> Iterator[Line]:
    from pypdfium2 import raw

    while start < end and codes[start] in (32, 0xA0):
        start += 1
    if start == end:
        return
    size = _size(textpage, start)
    is_bold = raw.FPDFText_GetFontWeight(textpage, start) >= _BOLD or _has_bold_name(textpage, start)
    boxes = _rectangles(textpage, start, end - start)
    if len(boxes) == 1:
        box = shown.box(*boxes[0])
        yield Line(text=_text(codes, start, end), box=box, size=size, is_bold=is_bold)
        return
    held: list[Box] = []
    first = start
    before: tuple[float, float, float, float] | None = None
    for at in range(start, end):
        if codes[at] == 32:
            continue
        letter = _char_box(textpage, at)
        if letter is None:
            continue
        if before is not None and _is_apart(before, letter, size):
            joined = union(held)
            if joined is not None:
                yield Line(text=_text(codes, first, at), box=shown.box(*joined), size=size, is_bold=is_bold)
            held, first, size = [], at, _size(textpage, at)
            is_bold = raw.FPDFText_GetFontWeight(textpage, at) >= _BOLD or _has_bold_name(textpage, at)
        held.append(letter)
        before = letter
    joined = union(held)
    if joined is not None:
        yield Line(text=_text(codes, first, end), box=shown.box(*joined), size=size, is_bold=is_bold)


def _is_apart(before: tuple[float, float, float, float], box: tuple[float, float, float, float], size: float) -> bool:
    """Does another run begin here: after a gap, further back, or on another base line?"""
    along = box[0] - before[2]
    across = max(before[1] - box[3], box[1] - before[3])
    upright = abs(box[0] - before[0]) < 0.2 * size  # letters below each other: text that runs down the page
    if upright:
        return across > _GAP * size
    return along > _GAP * size or along < -2 * size or across > 0.3 * size


def _text(codes: list[int], start: int, end: int) -> str:
    letters = []
    for code in codes[start:end]:
        if code in _HYPHENS:
            letters.append(JOIN)
        elif code >= 32 and not 0xD800 <= code < 0xE000 and code <= 0x10FFFF:
            letters.append(chr(code))
        elif code == 9:
            letters.append(" ")
    return " ".join("".join(letters).split())


def _rectangles(textpage: pypdfium2.PdfTextPage, start: int, count: int) -> list[tuple[float, float, float, float]]:
    from pypdfium2 import raw

    found = []
    for index in range(raw.FPDFText_CountRects(textpage, start, count)):
        left, top, right, bottom = c_double(), c_double(), c_double(), c_double()
        if raw.FPDFText_GetRect(textpage, index, byref(left), byref(top), byref(right), byref(bottom)):
            found.append((left.value, bottom.value, right.value, top.value))
    return found


def _char_box(textpage: pypdfium2.PdfTextPage, at: int) -> tuple[float, float, float, float] | None:
    from pypdfium2 import raw

    left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
    if not raw.FPDFText_GetCharBox(textpage, at, byref(left), byref(right), byref(bottom), byref(top)):
        return None
    return (left.value, bottom.value, right.value, top.value)


def _size(textpage: pypdfium2.PdfTextPage, at: int) -> float:
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    scale = math.hypot(matrix.c, matrix.d) if raw.FPDFText_GetMatrix(textpage, at, byref(matrix)) else 1.0
    size = float(raw.FPDFText_GetFontSize(textpage, at))
    return round(max(1.0, size * (scale or 1.0)), 1)


def _has_bold_name(textpage: pypdfium2.PdfTextPage, at: int) -> bool:

    from pypdfium2 import raw

    name = create_string_buffer(128)
    flags = c_int()
    raw.FPDFText_GetFontInfo(textpage, at, name, 128, byref(flags))
    return b"bold" in name.value.lower() or b"black" in name.value.lower()
