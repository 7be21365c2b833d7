"""The clipboard that both sides share: plain cut text in Latin-1, or the Extended Clipboard in UTF-8.

The extension is described in the community's RFB specification (rfbproto, "Extended Clipboard Pseudo-Encoding"): who
has a text notifies, who wants it requests, and who is asked provides it, packed by zlib. Lines end in CRLF on the wire.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import anyio

from agentflow_vm.rfb import messages
from agentflow_vm.rfb.errors import ProtocolError

__all__ = ["MAX_TEXT_BYTES", "Clipboard"]

_TEXT: Final = 1 << 0
_CAPS: Final = 1 << 24
_REQUEST: Final = 1 << 25
_PEEK: Final = 1 << 26
_NOTIFY: Final = 1 << 27
_PROVIDE: Final = 1 << 28

#: The longest text that is taken from a server; what is longer counts as none.
MAX_TEXT_BYTES: Final = 1 << 22


class Clipboard:
    """What is known of the server's clipboard, and what we offer it. `heard` and `extended` give the answers to send."""

    def __init__(self) -> None:
        self.text: str | None = None  #: what the server has, as last told; None if that is no text, or nothing
        self.is_extended = False  #: does the server know the extension?
        self._offered = ""
        self._awaited: anyio.Event | None = None

    async def settled(self) -> None:
        """Wait until a text that the server announced has come."""
        if self._awaited is not None:
            await self._awaited.wait()

    def offer(self, text: str) -> bytes:
        """What to send so that the text is in the server's clipboard; raises ValueError where it cannot carry it."""
        if not self.is_extended:
            data = text.encode("latin-1")  # a UnicodeEncodeError is a ValueError
            self._take(text)
            return messages.cut_text(data)
        self._offered = text
        self._take(text)
        return messages.extended_cut_text(_NOTIFY | _TEXT)

    def heard(self, data: bytes) -> None:
        """Plain cut text has come."""
        self._take(data.decode("latin-1").replace("\r\n", "\n"))

    def extended(self, data: bytes) -> bytes:
        """A message of the extension has come; what to answer, perhaps nothing."""
        if len(data) < 4:
            raise ProtocolError("the display sent a clipboard message that is too short")
        flags = int.from_bytes(data[:4])
        if flags & _CAPS:
            self.is_extended = True
            known = _CAPS | _REQUEST | _PEEK | _NOTIFY | _PROVIDE | _TEXT
            return messages.extended_cut_text(known, struct.pack(">I", 0))
        if flags & _NOTIFY:
            if not flags & _TEXT:
                self._take(None)
                return b""
            if self._awaited is None:
                self._awaited = anyio.Event()
            return messages.extended_cut_text(_REQUEST | _TEXT)
        if flags & _REQUEST:
            return messages.extended_cut_text(_PROVIDE | _TEXT, _packed(self._offered)) if flags & _TEXT else b""
        if flags & _PEEK:
            return messages.extended_cut_text(_NOTIFY | (_TEXT if self._offered else 0))
        if flags & _PROVIDE and flags & _TEXT:
            self._take(_unpacked(data[4:]))
        return b""

    def lose(self) -> None:
        """Nothing will come any more: nobody waits for it."""
        self._take(self.text)

    def _take(self, text: str | None) -> None:
        self.text = text
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None


def _packed(text: str) -> bytes:
    data = text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "replace") + b"\0"
    return zlib.compress(struct.pack(">I", len(data)) + data)


def _unpacked(data: bytes) -> str | None:
    try:
        plain = zlib.decompressobj().decompress(data, MAX_TEXT_BYTES + 4)
    except zlib.error as error:
        raise ProtocolError(f"the display sent a clipboard that zlib cannot read: {error}") from error
    if len(plain) < 4:
        raise ProtocolError("the display sent a clipboard that ends too early")
    size = int.from_bytes(plain[:4])
    if size > len(plain) - 4:
        return None  # too long, or not all there
    return plain[4 : 4 + size].decode("utf-8", "replace").rstrip("\0").replace("\r\n", "\n")
