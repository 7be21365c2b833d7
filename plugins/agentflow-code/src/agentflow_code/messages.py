"""Our side of the control FIFOs: requests with a number, and the replies that bear it, from an interpreter we do not trust."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.sandbox.launchers import Control

__all__ = ["Garbled", "Messages"]

_LENGTH: Final = struct.Struct(">I")
#: A longer reply is none of our runner's.
LIMIT_BYTES: Final = 32 * 1024 * 1024


class Garbled(Exception):
    """The interpreter sent what is no reply: code of the user's has written to where it should not."""


class Messages:
    """See the module. One task at a time waits for a reply; a cancelled wait loses nothing."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._pending = bytearray()
        self._last = 0

    def number(self) -> int:
        """The number of the next request."""
        self._last += 1
        return self._last

    async def ask(self, number: int, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its reply; raises as `reply` does."""
        body = orjson.dumps({**message, "id": number})
        await self._control.commands.send(_LENGTH.pack(len(body)) + body)
        return await self.reply(number)

    async def reply(self, number: int) -> dict[str, Any]:
        """The reply to a request; those to requests that were given up are passed over.

        Raises:
            Garbled: see there.
            EndOfStream: the session has ended.
        """
        while True:
            message = await self._receive()
            if message.get("id") == number:
                return message

    async def hello(self) -> dict[str, Any]:
        """What the interpreter says first."""
        return await self._receive()

    async def _receive(self) -> dict[str, Any]:
        while (message := self._taken()) is None:
            self._pending += await self._control.replies.receive(1 << 18)
        return message

    def _taken(self) -> dict[str, Any] | None:
        if len(self._pending) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._pending)
        if size > LIMIT_BYTES:
            raise Garbled(f"a reply of {size} bytes")
        end = _LENGTH.size + size
        if len(self._pending) < end:
            return None
        body = bytes(self._pending[_LENGTH.size : end])
        del self._pending[:end]
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Garbled(f"a reply that is not JSON: {error}") from error
        if not isinstance(message, dict):
            raise Garbled("a reply that is no object")
        return message
