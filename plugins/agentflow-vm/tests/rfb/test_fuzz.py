"""A server that says anything: no hang, no memory without bound, and an error of ours at the end."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import anyio
from anyio.abc import ByteStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow_vm.rfb.display import connected
from agentflow_vm.rfb.errors import DisplayError
from agentflow_vm.rfb.framebuffer import MAX_PIXELS

HELLO = (
    b"RFB 003.008\n\x01\x01\0\0\0\0"
    + struct.pack(">HH16xI", 64, 48, 0)
    + b"\0\0\0\x01"
    + struct.pack(">HHHHi", 0, 0, 64, 48, 0)
) + bytes(64 * 48 * 4)


class Said(ByteStream):
    """A server that says this in pieces, ends, and takes everything."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._data = memoryview(data)
        self._piece = piece

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._data:
            raise anyio.EndOfStream
        size = min(self._piece, max_bytes)
        part, self._data = self._data[:size], self._data[size:]
        return bytes(part)

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def heard(data: bytes, piece: int) -> DisplayError | None:
    """How a display ends that says this."""

    async def run() -> DisplayError | None:
        with anyio.fail_after(20):
            try:
                async with connected(Said(data, piece)) as display:
                    with display.watch() as watch:
                        while True:
                            await watch.stable(60)
            except DisplayError as error:
                return error

    return anyio.run(run)


def bounded(data: bytes, piece: int) -> None:
    tracemalloc.start()
    try:
        assert heard(data, piece) is not None
        assert tracemalloc.get_traced_memory()[1] < 3 * 4 * MAX_PIXELS
    finally:
        tracemalloc.stop()


sizes = st.sampled_from([0, 1, 2, 7, 48, 64, 65, 512, 65535])
encodings = st.sampled_from([0, 1, 16, -223, -224, -239, -258, -308, 5, 0xC0A1E5CE - (1 << 32)])


@st.composite
def rectangles(draw):
    encoding = draw(encodings)
    head = struct.pack(">HHHHi", draw(sizes), draw(sizes), draw(sizes), draw(sizes), encoding)
    body = draw(st.binary(max_size=200))
    if encoding == 16 and draw(st.booleans()):
        packed = zlib.compress(body)
        body = struct.pack(">I", draw(st.sampled_from([len(packed), 0, 5, 0xFFFFFFFF]))) + packed
    return head + body


messages = st.one_of(
    st.binary(max_size=100),
    st.builds(
        lambda count, parts: struct.pack(">BxH", 0, count) + b"".join(parts),
        st.sampled_from([0, 1, 2, 0xFFFF]),
        st.lists(rectangles(), max_size=4),
    ),
    st.builds(
        lambda size, data: struct.pack(">Bxxxi", 3, size) + data, st.integers(-300, 300), st.binary(max_size=300)
    ),
    st.builds(
        lambda flags, data: struct.pack(">BxxxiI", 3, -4 - len(data), flags) + data,
        st.integers(0, 0xFFFFFFFF),
        st.one_of(st.binary(max_size=50), st.binary(max_size=50).map(zlib.compress)),
    ),
)


@given(data=st.lists(messages, max_size=6).map(b"".join), piece=st.sampled_from([1, 3, 100, 65536]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_server_that_says_anything_after_its_first_picture(data, piece):
    bounded(HELLO + data, max(piece, 3))


@given(st.binary(max_size=200), st.integers(0, len(HELLO)))
@settings(max_examples=60, deadline=None)
def test_a_server_that_says_anything_at_all(data, cut):
    bounded(HELLO[: cut % 60] + data, 7)
