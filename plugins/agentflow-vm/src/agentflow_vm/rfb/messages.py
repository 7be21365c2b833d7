"""What a client says: the bytes of each message, and the numbers of encodings."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentflow_vm.rfb.framebuffer import Box

__all__ = [
    "BUTTONS",
    "PIXEL_FORMAT",
    "Encoding",
    "cut_text",
    "extended_cut_text",
    "extended_key",
    "key",
    "pointer",
    "set_encodings",
    "set_pixel_format",
    "update_request",
]


class Encoding(IntEnum):
    """Forms of rectangles, and the extensions that are asked for like them."""

    RAW = 0
    COPY_RECT = 1
    ZRLE = 16
    DESKTOP_SIZE = -223
    LAST_RECT = -224
    CURSOR = -239
    EXTENDED_KEY = -258
    EXTENDED_DESKTOP_SIZE = -308
    EXTENDED_CLIPBOARD = 0xC0A1E5CE - (1 << 32)


#: By name, the bit of each button in a pointer message; the last four are how wheels are told.
BUTTONS: Final = {
    "left": 1,
    "middle": 2,
    "right": 4,
    "scroll_up": 8,
    "scroll_down": 16,
    "scroll_left": 32,
    "scroll_right": 64,
}

#: 32 bits a pixel, the lowest byte first: red, green, blue, nothing.
PIXEL_FORMAT: Final = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)


def set_pixel_format() -> bytes:
    """Every update from here on is in `PIXEL_FORMAT`."""
    return b"\0\0\0\0" + PIXEL_FORMAT


def set_encodings(encodings: tuple[Encoding, ...]) -> bytes:
    """What the server may send, the preferred first."""
    return struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings)


def update_request(box: Box, *, incremental: bool) -> bytes:
    """Ask for what changed, or for all."""
    return struct.pack(">BBHHHH", 3, incremental, box.x, box.y, box.width, box.height)


def key(keysym: int, *, down: bool) -> bytes:
    """A key by what it means."""
    return struct.pack(">BBxxI", 4, down, keysym)


def extended_key(keysym: int, scancode: int, *, down: bool) -> bytes:
    """A key by what it means and by its place (QEMU's extension): an XT scancode, with 0x80 for those after 0xE0."""
    return struct.pack(">BBHII", 255, 0, down, keysym, scancode)


def pointer(x: int, y: int, mask: int) -> bytes:
    """Where the pointer is, and which buttons are down."""
    return struct.pack(">BBHH", 5, mask, x, y)


def cut_text(data: bytes) -> bytes:
    """A text for the server's clipboard, in Latin-1."""
    return struct.pack(">BxxxI", 6, len(data)) + data


def extended_cut_text(flags: int, data: bytes = b"") -> bytes:
    """A message of the Extended Clipboard, which is told by a negative length."""
    return struct.pack(">BxxxiI", 6, -(4 + len(data)), flags) + data
