"""Messages between the interpreter and the server: JSON behind four bytes that say how long it is."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Final

__all__ = ["Channel"]

_LENGTH: Final = struct.Struct(">I")


class Channel:
    """The interpreter's ends of the two control FIFOs; they block, and an interrupt does not tear a message apart."""

    def __init__(self, folder: str) -> None:
        self._commands = os.open(f"{folder}/commands", os.O_RDONLY | os.O_CLOEXEC)
        self._replies = os.open(f"{folder}/replies", os.O_WRONLY | os.O_CLOEXEC)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the server is gone."""
        header = self._read(_LENGTH.size)
        if header is None:
            return None
        body = self._read(_LENGTH.unpack(header)[0])
        if body is None:
            return None
        message: dict[str, Any] = json.loads(body)
        return message

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            part = os.read(self._commands, size - len(data))
            if not part:
                return None
            data += part
        return data

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, whole."""
        body = json.dumps(message, separators=(",", ":")).encode("ascii")
        rest = memoryview(_LENGTH.pack(len(body)) + body)
        while rest:
            rest = rest[os.write(self._replies, rest) :]
