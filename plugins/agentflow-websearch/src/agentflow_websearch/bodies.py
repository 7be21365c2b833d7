"""Read the body of a response in bounded memory."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_websearch.failures import WebFailure

if TYPE_CHECKING:
    import httpx

__all__ = ["ACCEPT_ENCODING", "Body", "read_body"]

ACCEPT_ENCODING = "gzip, deflate"
_STEP = 65536


@frozen(kw_only=True)
class Body:
    """The bytes, unpacked, and whether there were more."""

    data: bytes
    is_cut: bool


async def read_body(response: httpx.Response, max_bytes: int) -> Body:
    """The body of a streamed response, unpacked, of ``max_bytes`` at most; what is more is not even unpacked.

    Raises:
        WebFailure: it is packed in a way that was not asked for, or broken.
        httpx.HTTPError: the connection failed.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _unpacker(coding)
    kept = bytearray()
    async for raw in response.aiter_raw(_STEP):
        kept += raw if unpack is None else _unpacked(unpack, raw, max_bytes + 1 - len(kept))
        if len(kept) > max_bytes:
            return Body(data=bytes(kept[:max_bytes]), is_cut=True)
    return Body(data=bytes(kept), is_cut=False)


class _Unpacker:
    """zlib or gzip; ``deflate`` may come without its header."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._packed: zlib._Decompress | None = None

    def __call__(self, raw: bytes, most: int) -> bytes:
        if self._packed is None:
            bare = self._coding == "deflate" and (len(raw) < 2 or raw[0] & 0x0F != 8)
            self._packed = zlib.decompressobj(-zlib.MAX_WBITS if bare else 32 + zlib.MAX_WBITS)
        return self._packed.decompress(raw, most)


def _unpacker(coding: str) -> _Unpacker | None:
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return _Unpacker(coding)
    raise WebFailure("upstream_error", f"the answer is packed as {coding[:40]!r}, which was not asked for")


def _unpacked(unpack: _Unpacker, raw: bytes, most: int) -> bytes:
    try:
        return unpack(raw, most)
    except zlib.error as error:
        raise WebFailure("upstream_error", f"the answer cannot be unpacked: {error}") from error
