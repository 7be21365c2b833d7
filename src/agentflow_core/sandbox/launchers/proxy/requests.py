"""Read the head of a request to a proxy: a tunnel (CONNECT), or a request for an absolute ``http://`` address.

Strict, since what two readers understand differently is how requests are smuggled (RFC 9112, sections 3.2, 6 and 11.2).
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from agentflow_core.sandbox.launchers.proxy.hosts import Host, read_host, read_port, split_port
from agentflow_core.sandbox.launchers.proxy.refusals import bad_request

__all__ = ["Forward", "Tunnel", "read_chunk_size", "read_request"]

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VERSION: Final = re.compile(rb"HTTP/1\.[01]")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_PATH: Final = re.compile(rb"[?#/]")

#: What is said to a proxy alone. The head that goes on is told to close, so that each request is judged by itself.
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"}
    | {b"te", b"upgrade"}
)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


@frozen(kw_only=True)
class Tunnel:
    """``CONNECT host:port``: from there on bytes, of which the proxy knows nothing."""

    host: Host
    port: int


@frozen(kw_only=True)
class Forward:
    """A request for ``http://host:port/…``, and what is sent there."""

    host: Host
    port: int
    head: bytes
    body_bytes: int | None  #: None: in chunks


def read_request(head: bytes) -> Tunnel | Forward:
    """What is asked, from the head with the empty line at its end.

    Raises:
        Refusal: with status 400, 405 or 501, and what is wrong.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _VERSION.fullmatch(parts[2]):
        raise bad_request("the request line is not HTTP/1.1")
    method, target, version = parts
    if _CONTROL.search(target) or not target:
        raise bad_request("the address holds control characters")
    fields = [_field(line) for line in lines]
    if method == b"CONNECT":
        host, port = _authority(target, "")
        return Tunnel(host=host, port=port)
    if target[:7].lower() != b"http://":
        raise bad_request(_unlike_a_proxy(target))
    authority, path = _split(target[7:])
    host, port = _authority(authority, "80")
    return Forward(
        host=host, port=port, head=_head(method, path, version, authority, fields), body_bytes=_body_bytes(fields)
    )


def read_chunk_size(line: bytes) -> int:
    """The bytes of a chunk, from the line before it.

    Raises:
        Refusal: it is not such a line.
    """
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise bad_request("the body's chunks cannot be read")
    return int(found[1], 16)


def _unlike_a_proxy(target: bytes) -> str:
    if target.startswith(b"/"):
        return "this is a proxy; ask it for whole addresses (http://host/path), or for a tunnel (CONNECT host:port)"
    scheme = target.partition(b":")[0][:20].decode("ascii", "replace")
    return f"only http:// can be asked for; for https, a tunnel (CONNECT host:port), not {scheme}"


def _split(rest: bytes) -> tuple[bytes, bytes]:
    """Authority and path of an address, which goes on without its fragment."""
    found = _PATH.search(rest)
    authority, path = (rest, b"") if found is None else (rest[: found.start()], rest[found.start() :])
    path = path.partition(b"#")[0]
    return authority, path if path.startswith(b"/") else b"/" + path


def _authority(authority: bytes, default_port: str) -> tuple[Host, int]:
    try:
        text = authority.decode("ascii")
        host, port = split_port(text)
        return read_host(host), read_port(port if port is not None else default_port)
    except ValueError as error:
        raise bad_request(f"the address cannot be read: {error}") from error


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
        raise bad_request("a header cannot be read")
    return name, value.strip(b" \t")


def _head(method: bytes, path: bytes, version: bytes, authority: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    """The head that goes on: its ``Host`` is the one that was judged."""
    listed = {
        name.strip().lower() for key, value in fields if key.lower() == b"connection" for name in value.split(b",")
    }
    if listed & _FRAMING:
        raise bad_request("the header Connection names headers that tell the body's length")
    dropped = _HOP_BY_HOP | listed
    kept = [b"%s: %s" % (name, value) for name, value in fields if name.lower() not in dropped]
    return b"\r\n".join(
        [b"%s %s %s" % (method, path, version), b"Host: " + authority, *kept, b"Connection: close", b"", b""]
    )


def _body_bytes(fields: list[tuple[bytes, bytes]]) -> int | None:
    lengths = {value for name, value in fields if name.lower() == b"content-length"}
    codings = [value.lower() for name, value in fields if name.lower() == b"transfer-encoding"]
    if codings:
        if lengths or codings != [b"chunked"]:
            raise bad_request("the body's length is told in two ways, or in one that is unknown")
        return None
    if not lengths:
        return 0
    (length, *others) = lengths
    if others or not re.fullmatch(rb"[0-9]{1,15}", length):
        raise bad_request("the body's length cannot be read")
    return int(length)
