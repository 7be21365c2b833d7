"""Rectangles of every form: what is drawn is what was meant, and what cannot be is refused."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_vm.rfb.errors import ProtocolError
from agentflow_vm.rfb.framebuffer import MAX_PIXELS, Box, Framebuffer
from agentflow_vm.rfb.zrle import Zrle

COLOURS = [bytes([red, green, blue]) for red in (0, 9, 255) for green in (1, 77) for blue in (3, 200, 254)]


def run_length(count: int) -> bytes:
    return b"\xff" * ((count - 1) // 255) + bytes([(count - 1) % 255])


def encoded(form: str, pixels: list[bytes], width: int) -> bytes:
    """A tile in one of ZRLE's forms, as RFC 6143 describes it."""
    palette = sorted(set(pixels))
    if form == "raw":
        return b"\0" + b"".join(pixels)
    if form == "solid":
        return b"\x01" + pixels[0]
    if form == "packed":
        bits = 1 if len(palette) == 2 else 2 if len(palette) <= 4 else 4
        rows = []
        for start in range(0, len(pixels), width):
            line = "".join(f"{palette.index(pixel):0{bits}b}" for pixel in pixels[start : start + width])
            line += "1" * (-len(line) % 8)  # what fills a row up may be anything
            rows.append(int(line, 2).to_bytes(len(line) // 8))
        return bytes([len(palette)]) + b"".join(palette) + b"".join(rows)
    runs: list[tuple[bytes, int]] = []
    for pixel in pixels:
        if runs and runs[-1][0] == pixel:
            runs[-1] = (pixel, runs[-1][1] + 1)
        else:
            runs.append((pixel, 1))
    if form == "runs":
        return b"\x80" + b"".join(pixel + run_length(count) for pixel, count in runs)
    body = b"".join(
        bytes([palette.index(pixel)]) if count == 1 else bytes([palette.index(pixel) | 128]) + run_length(count)
        for pixel, count in runs
    )
    return bytes([128 + len(palette)]) + b"".join(palette) + body


@given(
    width=st.integers(1, 150),
    height=st.integers(1, 140),
    form=st.sampled_from(["raw", "solid", "packed", "runs", "palette runs"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_zrle_draws_what_was_encoded(width, height, form, seed):
    rng = random.Random(seed)
    frame = Framebuffer(width + 7, height + 5)
    most = {"solid": 1, "packed": 16}.get(form, len(COLOURS))
    least = 1 if form in ("raw", "solid", "runs") else 2
    tiles, expected = [], {}
    for top in range(0, height, 64):
        for left in range(0, width, 64):
            wide, high = min(64, width - left), min(64, height - top)
            colours = rng.sample(COLOURS, rng.randint(least, most))
            pixels = [rng.choice(colours) for _ in range(wide * high)]
            pixels = sorted(pixels) if rng.random() < 0.5 else pixels
            chosen = "solid" if least == 2 and len(set(pixels)) < 2 else form
            tiles.append(encoded(chosen, pixels, wide))
            for number, pixel in enumerate(pixels):
                expected[3 + left + number % wide, 2 + top + number // wide] = pixel
    packer = zlib.compressobj()
    packed = packer.compress(b"".join(tiles)) + packer.flush(zlib.Z_SYNC_FLUSH)
    Zrle().draw(frame, Box(3, 2, width, height), packed)
    for (x, y), pixel in expected.items():
        at = 4 * (y * frame.width + x)
        assert frame.pixels[at : at + 3] == pixel
    untouched = [(x, y) for y in range(frame.height) for x in range(frame.width) if (x, y) not in expected]
    assert all(frame.pixels[4 * (y * frame.width + x)] == 0 for x, y in untouched)


def test_one_zlib_stream_serves_a_whole_connection():
    packer, zrle, frame = zlib.compressobj(), Zrle(), Framebuffer(4, 4)
    for colour in COLOURS:
        packed = packer.compress(b"\x01" + colour) + packer.flush(zlib.Z_SYNC_FLUSH)
        zrle.draw(frame, frame.box, packed)
        assert frame.pixels == (colour + b"\0") * 16


@pytest.mark.parametrize(
    "tile",
    [
        b"",
        b"\x01\0",
        b"\x11" + bytes(100),
        b"\x81" + bytes(100),
        b"\x80" + b"\x01\x02\x03" + b"\xff" * 30,
        b"\x80" + b"\x01\x02\x03\x20",
        b"\x82" + bytes(6) + b"\x05",
        b"\0" + bytes(5),
    ],
)
def test_a_tile_that_cannot_be_is_refused(tile):
    frame = Framebuffer(4, 4)
    with pytest.raises(ProtocolError):
        Zrle().draw(frame, frame.box, zlib.compress(tile)[:-4])


def test_a_rectangle_that_unpacks_to_a_gigabyte_is_refused_early():
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush(zlib.Z_SYNC_FLUSH)
    frame = Framebuffer(16, 16)
    with pytest.raises(ProtocolError, match="more than its rectangle"):
        Zrle().draw(frame, frame.box, bomb)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_copied_rectangle_may_overlap_itself(data):
    frame = Framebuffer(9, 7)
    frame.pixels[:] = bytes(range(252))
    width, height = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 7))
    x, to_x = (data.draw(st.integers(0, 9 - width)) for _ in range(2))
    y, to_y = (data.draw(st.integers(0, 7 - height)) for _ in range(2))
    before = bytes(frame.pixels)
    frame.copy(x, y, Box(to_x, to_y, width, height))
    for row in range(7):
        for column in range(9):
            inside = to_x <= column < to_x + width and to_y <= row < to_y + height
            source = (row - to_y + y, column - to_x + x) if inside else (row, column)
            at, came = 4 * (row * 9 + column), 4 * (source[0] * 9 + source[1])
            assert frame.pixels[at : at + 4] == before[came : came + 4]


@pytest.mark.parametrize("box", [Box(1, 0, 8, 1), Box(0, 4, 1, 1), Box(65535, 65535, 65535, 65535)])
def test_nothing_is_drawn_off_the_screen(box):
    frame = Framebuffer(8, 4)
    for draw in (lambda: frame.fill(box, b"\1\1\1\1"), lambda: frame.copy(0, 0, box), lambda: frame.check(box)):
        with pytest.raises(ProtocolError):
            draw()
    assert bytes(frame.pixels) == bytes(128)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (65535, 65535)])
def test_a_screen_of_no_size_or_of_any_is_refused(width, height):
    assert MAX_PIXELS < 65535 * 65535
    with pytest.raises(ProtocolError):
        Framebuffer(width, height)


async def test_updates_of_every_form_are_drawn(shown, rect):
    async with shown() as (display, server):
        with display.watch() as watch:
            await server.update(
                rect(0, 0, 2, 1, 0) + b"\x01\x02\x03\0" * 2,
                rect(6, 3, 2, 1, 1) + struct.pack(">HH", 0, 0),
                rect(1, 2, 2, 1, -239) + b"\xff\0\0\0" * 2 + b"\x80",
            )
            await watch.change()
            await server.request()
        frame = await display.frame()
        assert frame.pixels[:12] == b"\x01\x02\x03\0" * 2 + b"\xff\xff\xff\0"
        assert frame.pixels[-8:] == b"\x01\x02\x03\0" * 2
        assert display.cursor is not None
        assert display.cursor.hot == (1, 2)
        pixels = frame.crop(frame.box)
        display.cursor.draw(pixels, frame.box, (0, 0))
        assert pixels == frame.pixels  # its hot place is left of and above what it shows
        display.cursor.draw(pixels, frame.box, (4, 3))
        assert pixels[4 * (1 * 8 + 3) : 4 * (1 * 8 + 5)] == b"\xff\0\0\0\xff\xff\xff\0"


async def test_an_update_may_end_by_a_last_rectangle(shown, rect):
    async with shown() as (display, server):
        with display.watch() as watch:
            head = struct.pack(">BxH", 0, 0xFFFF)
            await server.wire.send(head + rect(0, 0, 1, 1, 0) + b"\x05\0\0\0" + rect(0, 0, 0, 0, -224))
            await watch.change()
        assert display.framebuffer.pixels[0] == 5


@pytest.mark.parametrize("extended", [False, True])
async def test_a_screen_that_changes_its_size_is_asked_for_anew(shown, rect, extended):
    screens = b"\x01\0\0\0" + bytes(16) if extended else b""
    async with shown() as (display, server):
        await server.update(rect(0, 0, 20, 10, -308 if extended else -223) + screens)
        assert await server.request() == (0, 0, 0, 20, 10)
        assert (display.framebuffer.width, display.framebuffer.height) == (20, 10)


async def test_a_refused_change_of_size_changes_nothing(shown, rect):
    async with shown() as (display, server):
        await server.update(rect(1, 2, 20, 10, -308) + bytes(4))
        assert await server.request() == (1, 0, 0, 8, 4)
        assert display.framebuffer.width == 8
