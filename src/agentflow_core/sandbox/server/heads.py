"""HTTP/1.1 as uvicorn speaks it by httptools, but for requests whose heads do not end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["HEAD_S", "MAX_HEAD_BYTES", "BoundedHeads"]

#: As h11 has it, which uvicorn uses where httptools is not installed.
MAX_HEAD_BYTES: Final = 64 * 1024
#: Seconds for the first head of a connection, and for any that has begun.
HEAD_S: Final = 60.0


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 and closes once a request's line and headers are too long; the parser keeps them in memory till then.

    Those that take too long to come are closed without a word, as is a connection that asks for nothing.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_head = False
        self._head_bytes = 0
        self._too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._too_late = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._came()
        super().connection_lost(exc)

    def _came(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None

    def data_received(self, data: bytes) -> None:
        """Count what comes, and how long it takes, while a head has begun and not ended."""
        had_begun = self._is_head
        super().data_received(data)
        if self._is_head and self._too_late is None:
            self._too_late = self.loop.call_later(HEAD_S, self.transport.close)
        if not (had_begun and self._is_head):
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is longer than {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._is_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It has ended."""
        self._is_head = False
        self._came()
        super().on_headers_complete()
