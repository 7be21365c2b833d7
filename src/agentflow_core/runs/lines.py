"""One line of a journal: ``{v, seq, ts, unit, type, data, crc}``, encoded once, checked without being parsed."""

from __future__ import annotations

import json
import re
from typing import Any
from zlib import crc32

import orjson
from attrs import frozen

from agentflow_core.errors import RunCorruptError
from agentflow_core.records.base import Record
from agentflow_core.records.codec import dump, dumps

__all__ = [
    "END",
    "STRING",
    "Line",
    "decode",
    "encode",
    "encoded",
    "frame",
    "is_sound",
    "line_of",
    "parse",
    "peek",
    "peeked",
    "quoted",
    "unquoted",
]

#: The type of the line that ends a unit and with it makes the lines before count.
END = "unit.end"
_TAIL_BYTES = len(b',"crc":"00000000"}\n')
#: A string of JSON, captured with its quotes.
STRING = rb'("(?:[^"\\]|\\.)*")'
_HEAD = re.compile(rb'\{"v":1,"seq":(\d+),"ts":[\d.]+,"unit":' + STRING + rb',"type":' + STRING + rb',"data":')


@frozen(kw_only=True)
class Line:
    """What a line says beside its data; ``data_at`` is where the data begins in it."""

    seq: int
    unit: str
    type: str
    data_at: int


def encode(data: Any) -> bytes:
    """``data`` as JSON; records in it as `codec.dump` writes them.

    What orjson cannot write without loss (integers over 64 bits, lone surrogates) the standard library writes, and a
    leading space tells `parse` to read it with the same care.
    """
    try:
        return orjson.dumps(data, default=_dump)
    except TypeError:
        return b" " + json.dumps(data, default=_dump, separators=(",", ":"), allow_nan=False).encode("ascii")


def _dump(value: Any) -> Any:
    if isinstance(value, Record):
        return dump(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def decode(data: bytes) -> Any:
    """What `encode` encoded."""
    return json.loads(data) if data.startswith(b" ") else orjson.loads(data)


def line_of(data: bytes) -> bytes:
    """What `encode` encoded as a line of a derived file, as `codec.dumps` writes it."""
    return dumps(decode(data)) if data.startswith(b" ") else data + b"\n"


def frame(*, seq: int, ts: float, unit: str, type_: str, data: bytes) -> bytes:
    """The line of encoded data; ``crc`` is the CRC-32 of the bytes before its key, in hexadecimal."""
    head = b'{"v":1,"seq":%d,"ts":%.3f,"unit":%b,"type":%b,"data":%b' % (seq, ts, quoted(unit), quoted(type_), data)
    return head + _tail(head)


def quoted(text: str) -> bytes:
    """A string of JSON in ASCII."""
    return json.dumps(text).encode("ascii")


def unquoted(text: bytes) -> str:
    """What `quoted` quoted."""
    try:
        found: str = orjson.loads(text)
    except orjson.JSONDecodeError:  # a lone surrogate
        found = json.loads(text)
    return found


def _tail(head: bytes) -> bytes:
    return b',"crc":"%08x"}\n' % crc32(head)


def is_sound(line: bytes) -> bool:
    """Whether the line is whole and its checksum right."""
    return line[-_TAIL_BYTES:] == _tail(line[:-_TAIL_BYTES])


def peek(line: bytes) -> Line | None:
    """What a sound line says, without parsing its data; None for a line of another making."""
    head = _HEAD.match(line)
    if head is None:
        return None
    return Line(seq=int(head[1]), unit=unquoted(head[2]), type=unquoted(head[3]), data_at=head.end())


def peeked(line: bytes) -> Line:
    """What a line says that is known to be sound and ours."""
    about = peek(line)
    if about is None:
        raise RunCorruptError("a line of the journal is not of this version", hint="upgrade agentflow-core")
    return about


def encoded(line: bytes, about: Line) -> bytes:
    """The data of a sound line, as `encode` made it."""
    return line[about.data_at : -_TAIL_BYTES]


def parse(line: bytes, about: Line) -> Any:
    """The data of a sound line."""
    return decode(encoded(line, about))
