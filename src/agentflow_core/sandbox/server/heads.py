"""HTTP/1.1 as uvicorn speaks it by httptools, but for heads of requests that do not end."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD_BYTES", "BoundedHeads"]

#: As h11 has it, which uvicorn uses where httptools is not installed.
MAX_HEAD_BYTES: Final = 64 * 1024


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 and closes once a request's line and headers are longer; the parser keeps them in memory till then."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_head = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Count what comes while a head has begun and not ended."""
        had_begun = self._is_head
        super().data_received(data)
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
        super().on_headers_complete()
