"""The picture of a screen, as the server has told of it: four bytes a pixel, of which the first are red, green and blue."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_vm.rfb.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_PIXELS", "Box", "Framebuffer"]

#: The largest screen that is accepted: it takes four times as many bytes.
MAX_PIXELS: Final = 1 << 25


@frozen
class Box:
    """A rectangle of the screen, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def meets(self, other: Box) -> bool:
        """Do they share a pixel?"""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


class Framebuffer:
    """See the module. Every method that writes checks that it stays within."""

    def __init__(self, width: int, height: int) -> None:
        self.width = self.height = 0
        self.pixels = bytearray()
        self.version = 0  #: grows with every change
        self._digest: tuple[int, str] | None = None
        self.resize(width, height)

    @property
    def box(self) -> Box:
        """All of it."""
        return Box(0, 0, self.width, self.height)

    def resize(self, width: int, height: int) -> None:
        """Begin again, black, in another size."""
        if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
            raise ProtocolError(f"the display says that its screen has {width}x{height} pixels")
        self.width, self.height = width, height
        self.pixels = bytearray(4 * width * height)
        self.version += 1

    def check(self, box: Box) -> None:
        """Raises `ProtocolError` for a rectangle that is not within the screen."""
        if box.x + box.width > self.width or box.y + box.height > self.height:
            raise ProtocolError(
                f"the display sent {box.width}x{box.height} pixels for ({box.x}, {box.y}) "
                f"of a screen of {self.width}x{self.height}"
            )

    def rows(self, box: Box) -> Iterator[slice]:
        """Where each row of a rectangle lies among `pixels`."""
        size = 4 * box.width
        for start in range(4 * (box.y * self.width + box.x), 4 * ((box.y + box.height) * self.width), 4 * self.width):
            yield slice(start, start + size)

    def whole(self, box: Box) -> slice:
        """Where a rectangle that is as wide as the screen lies among `pixels`."""
        return slice(4 * box.y * self.width, 4 * (box.y + box.height) * self.width)

    def put(self, box: Box, data: bytes | bytearray | memoryview) -> None:
        """Write a rectangle, four bytes a pixel, row after row."""
        self.check(box)
        view = memoryview(data)
        size = 4 * box.width
        if box.width == self.width:
            self.pixels[self.whole(box)] = view
        else:
            for number, row in enumerate(self.rows(box)):
                self.pixels[row] = view[number * size : (number + 1) * size]
        self.version += 1

    def fill(self, box: Box, pixel: bytes) -> None:
        """Write one colour."""
        self.check(box)
        line = pixel * box.width
        for row in self.rows(box):
            self.pixels[row] = line
        self.version += 1

    def copy(self, x: int, y: int, to: Box) -> None:
        """Copy what is at (x, y) to a rectangle, which may overlap."""
        source = Box(x, y, to.width, to.height)
        self.check(source)
        self.check(to)
        pairs = list(zip(self.rows(source), self.rows(to), strict=True))
        for here, there in pairs if to.y <= y else reversed(pairs):
            self.pixels[there] = self.pixels[here]
        self.version += 1

    def crop(self, box: Box) -> bytearray:
        """A rectangle, four bytes a pixel."""
        self.check(box)
        if box.width == self.width:
            return self.pixels[self.whole(box)]
        return bytearray(b"").join(self.pixels[row] for row in self.rows(box))

    def rgb(self) -> bytes:
        """All of it, three bytes a pixel."""
        made = bytearray(3 * self.width * self.height)
        made[0::3], made[1::3], made[2::3] = self.pixels[0::4], self.pixels[1::4], self.pixels[2::4]
        return bytes(made)

    def digest(self) -> str:
        """What names this picture: equal for equal ones."""
        if self._digest is None or self._digest[0] != self.version:
            told = hashlib.blake2b(self.pixels, digest_size=8, salt=b"%dx%d" % (self.width, self.height)).hexdigest()
            self._digest = (self.version, told)
        return self._digest[1]
