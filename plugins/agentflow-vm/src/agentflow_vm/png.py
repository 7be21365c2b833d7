"""Write PNG, and APNG for recordings, with nothing but zlib: 12 ms for a screen of 1280x800 (the specification: W3C PNG 3)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Picture", "animated_png", "png"]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LEVEL: Final = 3


@frozen(kw_only=True)
class Picture:
    """Pixels: rows from the top, three bytes each."""

    width: int
    height: int
    rgb: bytes | bytearray = field(repr=False)

    @classmethod
    def of(cls, width: int, height: int, rgbx: bytes | bytearray) -> Picture:
        """From four bytes a pixel."""
        rgb = bytearray(3 * width * height)
        rgb[0::3], rgb[1::3], rgb[2::3] = rgbx[0::4], rgbx[1::4], rgbx[2::4]
        return cls(width=width, height=height, rgb=rgb)

    def cropped(self, x: int, y: int, width: int, height: int) -> Picture:
        """A part of it."""
        if (x, y, width, height) == (0, 0, self.width, self.height):
            return self
        view = memoryview(self.rgb)
        starts = range(3 * (y * self.width + x), 3 * (y + height) * self.width, 3 * self.width)
        rows = [view[start : start + 3 * width] for start in starts]
        return Picture(width=width, height=height, rgb=b"".join(rows[:height]))

    def resized(self, width: int, height: int) -> Picture:
        """The same in another size."""
        from PIL import Image  # 30 ms; only where a screen is larger than what a model is shown, or for a closer look

        image = Image.frombuffer("RGB", (self.width, self.height), bytes(self.rgb), "raw", "RGB", 0, 1)
        smaller = width < self.width
        made = image.resize((width, height), Image.Resampling.BOX if smaller else Image.Resampling.LANCZOS)
        return Picture(width=width, height=height, rgb=made.tobytes())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _head(picture: Picture) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0))


def _packed(picture: Picture) -> bytes:
    size = 3 * picture.width
    view = memoryview(picture.rgb)
    lines = bytearray((size + 1) * picture.height)  # each begins with the number of its filter: 0, none
    for row in range(picture.height):
        start = row * (size + 1) + 1
        lines[start : start + size] = view[row * size : (row + 1) * size]
    return zlib.compress(lines, _LEVEL)


def png(picture: Picture) -> bytes:
    """The picture as a file. Blocking: call it in a thread."""
    return _SIGNATURE + _head(picture) + _chunk(b"IDAT", _packed(picture)) + _chunk(b"IEND", b"")


def animated_png(frames: Sequence[tuple[Picture, float]]) -> bytes:
    """Pictures of one size, each with the seconds that it stays, as one file that any viewer of PNG opens. Blocking."""
    first = frames[0][0]
    parts = [_SIGNATURE, _head(first), _chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    number = 0
    for index, (picture, seconds) in enumerate(frames):
        delay = min(round(seconds * 1000), 0xFFFF)
        control = struct.pack(">IIIIIHHBB", number, picture.width, picture.height, 0, 0, delay, 1000, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        number += 1
        if index == 0:
            parts.append(_chunk(b"IDAT", _packed(picture)))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", number) + _packed(picture)))
            number += 1
    return b"".join([*parts, _chunk(b"IEND", b"")])
