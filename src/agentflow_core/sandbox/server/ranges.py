"""Answer with bytes, or with the one range of them that a request asks for."""

from __future__ import annotations

import re
from typing import Literal

from attrs import frozen

from agentflow_core.records import ToolResult
from agentflow_core.sandbox.server.replies import Reply, reply_with

__all__ = ["ByteRange", "asked_range", "bytes_reply"]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_MEDIA_TYPE = b"application/octet-stream"
_ACCEPTS = (b"accept-ranges", b"bytes")


@frozen
class ByteRange:
    """The range ``[start, end)``, ``end`` None for the rest; or, with ``suffix``, so many bytes from the end."""

    start: int = 0
    end: int | None = None
    suffix: int | None = None

    def start_in(self, size: int) -> int:
        """Where it begins in so many bytes."""
        return self.start if self.suffix is None else max(0, size - self.suffix)


def asked_range(header: bytes | None) -> ByteRange | None:
    """What a Range header asks for; one of any other form than one range is not looked at, as RFC 9110 allows."""
    match = _RANGE.fullmatch((header or b"").decode("latin-1").strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        return ByteRange(suffix=int(last))
    return ByteRange(start=int(first), end=int(last) + 1 if last else None)


def bytes_reply(data: bytes, *, what: Literal["artifact", "file"], start: int | None = None, size: int = 0) -> Reply:
    """The whole, or the part of ``size`` bytes that begins at ``start``; an empty part lies past its end."""
    if start is None:
        return Reply(200, data, media_type=_MEDIA_TYPE, headers=(_ACCEPTS,))
    if not data:
        failure = ToolResult.failure("invalid_argument", f"the {what} has {size} bytes")
        return reply_with(failure, status=416, headers=((b"content-range", b"bytes */%d" % size),))
    span = (b"content-range", b"bytes %d-%d/%d" % (start, start + len(data) - 1, size))
    return Reply(206, data, media_type=_MEDIA_TYPE, headers=(_ACCEPTS, span))
