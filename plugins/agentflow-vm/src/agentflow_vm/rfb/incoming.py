"""Read a byte stream in the pieces that a protocol wants; what is held is never more than what was asked for and one chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream

from agentflow_vm.rfb.errors import DisplayLost

if TYPE_CHECKING:
    from anyio.abc import ByteReceiveStream

__all__ = ["Incoming"]

_CHUNK: Final = 1 << 18


class Incoming:
    """A stream with a position; every method raises `DisplayLost` where it ends too early."""

    def __init__(self, stream: ByteReceiveStream) -> None:
        self._stream = stream
        self._rest = memoryview(b"")

    async def _more(self, wanted: int) -> None:
        try:
            self._rest = memoryview(await self._stream.receive(max(_CHUNK, min(wanted, 4 * _CHUNK))))
        except (EndOfStream, BrokenResourceError, ClosedResourceError, OSError) as error:
            raise DisplayLost("the display's connection has ended") from error

    async def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; the caller bounds them."""
        if len(self._rest) < size:
            held = bytearray(size)
            await self.fill(memoryview(held))
            return bytes(held)
        data, self._rest = self._rest[:size], self._rest[size:]
        return bytes(data)

    async def fill(self, view: memoryview) -> None:
        """Write exactly as many bytes as the view has room for into it."""
        done = 0
        while done < len(view):
            if not self._rest:
                await self._more(len(view) - done)
            part, self._rest = self._rest[: len(view) - done], self._rest[len(view) - done :]
            view[done : done + len(part)] = part
            done += len(part)

    async def skip(self, size: int) -> None:
        """Drop ``size`` bytes, holding no more than a chunk."""
        while size:
            if not self._rest:
                await self._more(size)
            dropped = min(size, len(self._rest))
            self._rest = self._rest[dropped:]
            size -= dropped
