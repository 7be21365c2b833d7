"""Ask an X server for its windows, in the X protocol itself (X11R7, "X Window System Protocol"): nothing needs be installed."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from typing import Any

__all__ = ["XClient", "main"]

_PROPERTY_CHANGE = 1 << 22
_SUBSTRUCTURE_NOTIFY = 1 << 19
_SUBSTRUCTURE_REDIRECT = 1 << 20
_CLIENT_MESSAGE = 33
_CLIENTS = "_NET_CLIENT_LIST"
_MAX_WORDS = 1 << 14  # of a property, in four bytes


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _cookie() -> tuple[bytes, bytes]:
    """The first entry of the authority file; empty where there is none."""
    try:
        with open(os.environ.get("XAUTHORITY") or os.path.expanduser("~/.Xauthority"), "rb") as file:
            data = file.read()[2:]
    except OSError:
        return b"", b""
    parts: list[bytes] = []
    while data and len(parts) < 4:
        size = struct.unpack(">H", data[:2])[0]
        parts.append(data[2 : 2 + size])
        data = data[2 + size :]
    return (parts[2], parts[3]) if len(parts) == 4 else (b"", b"")


class XClient:
    """A connection to the display that the environment names."""

    def __init__(self) -> None:
        number = os.environ["DISPLAY"].rpartition(":")[2].partition(".")[0]
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect("/tmp/.X11-unix/X" + number)
        name, data = _cookie()
        self._socket.sendall(struct.pack("<BxHHHHxx", 0x6C, 11, 0, len(name), len(data)) + _pad(name) + _pad(data))
        head = self._read(8)
        body = self._read(4 * struct.unpack("<H", head[6:8])[0])
        if head[0] != 1:
            raise OSError("the X server refuses: " + body[: head[1]].decode(errors="replace"))
        vendor = struct.unpack("<H", body[16:18])[0]
        screen = 32 + vendor + -vendor % 4 + 8 * body[21]
        self.root: int = struct.unpack("<I", body[screen : screen + 4])[0]
        self._atoms: dict[str, int] = {}

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise OSError("the X server has gone")
            data += part
        return data

    def _packet(self) -> bytes:
        head = self._read(32)
        if head[0] == 1:
            head += self._read(4 * int(struct.unpack("<I", head[4:8])[0]))
        return head

    def _ask(self, request: bytes) -> bytes | None:
        """The reply, or None for an error, such as a window that is gone."""
        self._socket.sendall(request)
        while (packet := self._packet())[0] > 1:
            pass  # an event
        return packet if packet[0] == 1 else None

    def atom(self, name: str) -> int:
        """The number of a name."""
        if name not in self._atoms:
            data = name.encode()
            head = struct.pack("<BBHHxx", 16, 0, 2 + (len(data) + 3) // 4, len(data))
            reply = self._ask(head + _pad(data))
            self._atoms[name] = 0 if reply is None else struct.unpack("<I", reply[8:12])[0]
        return self._atoms[name]

    def property(self, window: int, name: str) -> bytes:
        """What a window says under a name; empty if nothing."""
        reply = self._ask(struct.pack("<BBHIIIII", 20, 0, 6, window, self.atom(name), 0, 0, _MAX_WORDS))
        if reply is None or not reply[1]:
            return b""
        return reply[32 : 32 + struct.unpack("<I", reply[16:20])[0] * reply[1] // 8]

    def numbers(self, window: int, name: str) -> list[int]:
        """A property of 32 bit numbers."""
        data = self.property(window, name)
        return list(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))

    def windows(self) -> list[dict[str, Any]]:
        """The windows that the window manager knows, in the order in which they came."""
        active = self.numbers(self.root, "_NET_ACTIVE_WINDOW")[:1]
        hidden = self.atom("_NET_WM_STATE_HIDDEN")
        found = []
        for window in self.numbers(self.root, _CLIENTS):
            size = self._ask(struct.pack("<BxHI", 14, 2, window))
            place = self._ask(struct.pack("<BxHIIhh", 40, 4, window, self.root, 0, 0))
            if size is None or place is None:
                continue
            x, y = struct.unpack("<hh", place[12:16])
            width, height = struct.unpack("<HH", size[16:20])
            title = self.property(window, "_NET_WM_NAME") or self.property(window, "WM_NAME")
            names = self.property(window, "WM_CLASS").split(b"\0")
            found.append(
                {
                    "id": window,
                    "title": title.decode("utf-8", "replace"),
                    "app": names[1].decode("utf-8", "replace") if len(names) > 1 else "",
                    "pid": (self.numbers(window, "_NET_WM_PID") or [0])[0],
                    "x": x,
                    "y": y,
                    "width": width,
                    "height": height,
                    "active": [window] == active,
                    "hidden": hidden in self.numbers(window, "_NET_WM_STATE"),
                }
            )
        return found

    def _select(self, mask: int) -> None:
        self._socket.sendall(struct.pack("<BxHIII", 2, 4, self.root, 1 << 11, mask))

    def _event(self, until: float) -> bytes | None:
        """The next event, or None when it is too late."""
        left = until - time.monotonic()
        if left <= 0:
            return None
        self._socket.settimeout(left)
        try:
            return self._packet()
        except TimeoutError:
            return None
        finally:
            self._socket.settimeout(10)

    def wait(self, name: str, least: int, timeout_s: float) -> bool:
        """Wait until a property of the root window has so many numbers; whether it has."""
        self._select(_PROPERTY_CHANGE)
        until = time.monotonic() + timeout_s
        while len(self.numbers(self.root, name)) < least:
            if self._event(until) is None:
                return False
        return True

    def ping(self, timeout_s: float) -> int:
        """Wait until the programs behind the windows have taken in all events so far; how many of them have said so.

        By ``_NET_WM_PING`` (Extended Window Manager Hints), which a program answers in turn; not all know it.
        """
        protocols, ping = self.atom("WM_PROTOCOLS"), self.atom("_NET_WM_PING")
        hidden = self.atom("_NET_WM_STATE_HIDDEN")
        waiting = {
            window
            for window in self.numbers(self.root, _CLIENTS)
            if ping in self.numbers(window, "WM_PROTOCOLS") and hidden not in self.numbers(window, "_NET_WM_STATE")
        }
        count = len(waiting)
        self._select(_SUBSTRUCTURE_NOTIFY)
        stamp = time.monotonic_ns() // 1000 & 0x7FFFFFFF
        for window in waiting:
            event = struct.pack("<BBHIIIII8x", _CLIENT_MESSAGE, 32, 0, window, protocols, ping, stamp, window)
            self._socket.sendall(struct.pack("<BBHII", 25, 0, 11, window, 0) + event)
        until = time.monotonic() + timeout_s
        while waiting and (event := self._event(until) or b""):
            if event[0] & 0x7F == _CLIENT_MESSAGE:
                kind, asked, told, window = struct.unpack("<4I", event[8:24])
                if (kind, asked, told) == (protocols, ping, stamp):
                    waiting.discard(window)
        return count - len(waiting)


def main() -> None:
    """Print the windows as JSON; with a number and seconds, when there are so many, or the time is over."""
    client = XClient()
    if len(sys.argv) > 1:
        client.wait(_CLIENTS, int(sys.argv[1]), float(sys.argv[2]))
    print(json.dumps(client.windows()))  # noqa: T201 - this is what it is run for
