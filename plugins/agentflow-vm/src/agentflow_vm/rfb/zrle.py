"""ZRLE (RFC 6143, 7.7.6): tiles of 64x64 pixels, each in the shortest of five forms, in one zlib stream a connection."""

from __future__ import annotations

import zlib
from typing import Final

from agentflow_vm.rfb.errors import ProtocolError
from agentflow_vm.rfb.framebuffer import Box, Framebuffer

__all__ = ["Zrle"]

_TILE: Final = 64
_PIXEL: Final = 3  # of the four bytes, those that hold a colour


class _Cursor:
    """What was unpacked, read from the start."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise ProtocolError("the display sent a tile that ends too early")
        part = self.data[self.at : end]
        self.at = end
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def length(self) -> int:
        """A run length: 1 and the sum of bytes up to one that is not 255."""
        total = 1
        while (byte := self.byte()) == 255:
            total += 255
            if total > _TILE * _TILE:
                raise ProtocolError("the display sent a run that is longer than its tile")
        return total + byte


class Zrle:
    """The decoder of one connection."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()

    @staticmethod
    def most_bytes(box: Box) -> int:
        """How long the packed form of a rectangle can be, generously."""
        return 4096 + 8 * (box.width + _TILE) * (box.height + _TILE)

    def draw(self, framebuffer: Framebuffer, box: Box, packed: bytes) -> None:
        """Unpack a rectangle into the framebuffer; raises `ProtocolError`."""
        framebuffer.check(box)
        most = self.most_bytes(box)
        try:
            data = self._stream.decompress(packed, most)
        except zlib.error as error:
            raise ProtocolError(f"the display sent what zlib cannot read: {error}") from error
        if self._stream.unconsumed_tail or self._stream.eof:
            raise ProtocolError("the display sent more than its rectangle can hold")
        cursor = _Cursor(data)
        for y in range(box.y, box.y + box.height, _TILE):
            height = min(_TILE, box.y + box.height - y)
            for x in range(box.x, box.x + box.width, _TILE):
                self._tile(framebuffer, Box(x, y, min(_TILE, box.x + box.width - x), height), cursor)

    def _tile(self, framebuffer: Framebuffer, tile: Box, cursor: _Cursor) -> None:
        kind = cursor.byte()
        count = tile.width * tile.height
        if kind == 0:
            framebuffer.put(tile, _widened(cursor.take(_PIXEL * count)))
        elif kind == 1:
            framebuffer.fill(tile, cursor.take(_PIXEL) + b"\0")
        elif 2 <= kind <= 16:
            palette = _colours(cursor, kind)
            framebuffer.put(tile, _unpacked(cursor, tile, palette))
        elif kind == 128:
            framebuffer.put(tile, _plain_runs(cursor, count))
        elif kind >= 130:
            framebuffer.put(tile, _palette_runs(cursor, count, _colours(cursor, kind - 128)))
        else:
            raise ProtocolError(f"the display sent a tile of the unknown form {kind}")


def _widened(data: bytes) -> bytearray:
    wide = bytearray(len(data) // _PIXEL * 4)
    wide[0::4], wide[1::4], wide[2::4] = data[0::3], data[1::3], data[2::3]
    return wide


def _colours(cursor: _Cursor, count: int) -> list[bytes]:
    data = cursor.take(_PIXEL * count)
    return [data[start : start + _PIXEL] + b"\0" for start in range(0, len(data), _PIXEL)]


def _unpacked(cursor: _Cursor, tile: Box, palette: list[bytes]) -> bytes:
    """Indices of 1, 2 or 4 bits, each row from a byte of its own; looked up by whole bytes."""
    bits = 1 if len(palette) == 2 else 2 if len(palette) <= 4 else 4
    each = 8 // bits
    mask = (1 << bits) - 1
    size = (tile.width + each - 1) // each
    data = cursor.take(size * tile.height)
    padded = palette + [palette[0]] * (16 - len(palette))  # the bits that fill up a row may say anything
    pixels = {
        byte: b"".join(padded[byte >> shift & mask] for shift in range(8 - bits, -1, -bits)) for byte in set(data)
    }
    rows = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"".join([pixels[byte] for byte in row])[: 4 * tile.width] for row in rows)


def _plain_runs(cursor: _Cursor, count: int) -> bytes:
    parts = []
    while count > 0:
        pixel = cursor.take(_PIXEL) + b"\0"
        length = cursor.length()
        parts.append(pixel * length)
        count -= length
    return _whole(parts, count)


def _palette_runs(cursor: _Cursor, count: int, palette: list[bytes]) -> bytes:
    parts = []
    while count > 0:
        index = cursor.byte()
        length = cursor.length() if index & 128 else 1
        if index & 127 >= len(palette):
            raise ProtocolError("the display sent a colour that its palette does not have")
        parts.append(palette[index & 127] * length)
        count -= length
    return _whole(parts, count)


def _whole(parts: list[bytes], left: int) -> bytes:
    if left:
        raise ProtocolError("the display sent a run that is longer than its tile")
    return b"".join(parts)
