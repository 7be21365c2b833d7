"""A held display: what clients say, what becomes of keys that are down, and how it ends."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import anyio
import pytest

from agentflow_vm.keyboard import chord, presses, stroke_of
from agentflow_vm.rfb.display import connected
from agentflow_vm.rfb.errors import DisplayError, DisplayLost, ProtocolError
from agentflow_vm.rfb.framebuffer import Box


def key(keysym: int, down: bool) -> bytes:
    return struct.pack(">BBxxI", 4, down, keysym)


async def test_it_asks_for_what_it_can_draw(wires, server_of):
    ours, theirs = wires
    server = server_of(theirs)
    wanted = []

    async def serve():
        await server.greet()
        wanted.extend(await server.asked())
        assert await server.request() == (0, 0, 0, 8, 4)
        await server.update(server.raw(bytes(4)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        async with connected(ours, prefer="zrle") as display:
            assert display.name == "test"
    assert set(wanted) == {0, 1, 16, -223, -224, -239, -258, -308, 0xC0A1E5CE - (1 << 32)}


async def test_keys_are_told_by_what_they_mean(shown):
    async with shown() as (display, server):
        await display.keys(presses([stroke_of("A")]))
        assert await server.wire.read(32) == key(0xFFE1, True) + key(65, True) + key(65, False) + key(0xFFE1, False)


async def test_keys_are_told_by_their_place_too_where_the_server_wants_that(shown, rect):
    async with shown() as (display, server):
        await server.update(rect(0, 0, 0, 0, -258))
        await server.request()
        await display.keys(presses([stroke_of("a"), stroke_of("é")]))
        assert await server.wire.read(24) == struct.pack(">BBHIIBBHII", 255, 0, 1, 97, 30, 255, 0, 0, 97, 30)
        assert await server.wire.read(16) == key(0xE9, True) + key(0xE9, False)


async def test_what_is_down_is_released_at_the_end(wires, shown):
    async def fail():
        async with shown() as (display, server):
            await display.keys((stroke.keysym, stroke.scancode, True) for stroke in chord("ctrl+shift+a"))
            await display.point(3, 2, 5)
            await server.wire.read(30)
            raise RuntimeError("trouble")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="trouble")):  # of the task group around the server
        await fail()
    said = b""
    while len(said) < 30:
        said += await wires[1].receive()
    assert said == key(65, False) + key(0xFFE1, False) + key(0xFFE3, False) + struct.pack(">BBHH", 5, 0, 3, 2)


async def test_releasing_what_is_not_held_says_nothing(shown):
    async with shown() as (display, server):
        await display.release()
        await display.keys(presses([stroke_of("x")]))
        await display.release()
        assert await server.wire.read(16) == key(120, True) + key(120, False)


async def test_buttons_go_down_and_up_in_one_go(shown):
    async with shown() as (display, server):
        await display.point(3, 2, 1, 0, 1, 0)
        assert await server.wire.receive() == b"".join(struct.pack(">BBHH", 5, mask, 3, 2) for mask in (1, 0, 1, 0))
        assert display.held == 0


async def test_a_watch_sees_only_its_part(shown, rect):
    async with shown() as (display, server):
        with display.watch(Box(4, 0, 4, 4)) as part, display.watch() as all_of_it:
            await server.update(rect(0, 0, 4, 4, 0) + bytes(64))
            await all_of_it.change()
            assert part.changes == 0
            await server.request()
            await server.update(rect(3, 3, 2, 1, 0) + bytes(8))
            await part.change()


async def test_it_is_stable_when_nothing_has_changed_for_so_long(shown, rect):
    async with shown() as (display, server):
        with display.watch() as watch:
            await watch.stable(0.01)
            await server.update(rect(0, 0, 1, 1, 0) + bytes(4))
            await watch.change()
            with anyio.move_on_after(0.05) as scope:
                await watch.stable(60)
            assert scope.cancelled_caught


async def test_a_connection_that_ends_wakes_all_who_wait(shown):
    async with shown() as (display, server):
        with display.watch() as watch:
            await server.wire.send_eof()
            with anyio.fail_after(10), pytest.raises(DisplayLost):
                await watch.change()
        with pytest.raises(DisplayLost):
            await display.frame()
        with pytest.raises(DisplayLost):
            await display.point(1, 1)
        with display.watch() as late, pytest.raises(DisplayLost):
            await late.stable(60)


@pytest.mark.parametrize(
    "said",
    [
        b"\x09",
        b"\0\0\0\x01" + struct.pack(">HHHHi", 0, 0, 9, 4, 0),
        b"\0\0\0\x01" + struct.pack(">HHHHi", 0, 0, 8, 4, 7),
        b"\0\0\0\x01" + struct.pack(">HHHHiI", 0, 0, 8, 4, 16, 0xFFFFFFFF),
        b"\0\0\0\x01" + struct.pack(">HHHHi", 0, 0, 60000, 60000, -239),
        b"\0\0\0\x01" + struct.pack(">HHHHi", 0, 0, 60000, 60000, -223),
        b"\0\0\0\x01" + struct.pack(">HHHHiHH", 0, 0, 2, 2, 1, 7, 0),
        b"\x03\0\0\0\xff\xff\xff\xfe" + b"\0\0",
    ],
)
async def test_what_rfb_does_not_allow_ends_the_display(shown, said):
    async with shown() as (display, server):
        with display.watch() as watch:
            await server.wire.send(said)
            with anyio.fail_after(10), pytest.raises(ProtocolError):
                await watch.change()


async def test_what_is_told_beside_pictures_is_passed_over(shown, rect):
    async with shown() as (display, server):
        with display.watch() as watch:
            colours = b"\x01\0\0\0\0\x02" + bytes(12)
            await server.wire.send(b"\x02" + colours + b"\x03\0\0\0\0\0\0\x05gr\xfc\xdfe")
            await server.update(rect(0, 0, 1, 1, 0) + bytes(4))
            await watch.change()
        assert await display.get_clipboard() == "grüße"


async def test_plain_clipboards_take_latin_1_alone(shown):
    async with shown() as (display, server):
        await display.put_clipboard("grüße")
        assert await server.wire.read(13) == b"\x06\0\0\0\0\0\0\x05gr\xfc\xdfe"
        with pytest.raises(ValueError, match="latin-1"):
            await display.put_clipboard("漢")


def extended(flags: int, data: bytes = b"") -> bytes:
    return struct.pack(">BxxxiI", 3, -(4 + len(data)), flags) + data


async def test_the_extended_clipboard_carries_any_text_both_ways(shown):
    async with shown() as (display, server):
        await server.wire.send(extended(0x1F000001, b"\0\x10\0\0"))
        caps = await server.wire.read(16)
        assert struct.unpack(">BxxxiII", caps) == (6, -8, 0x1F000001, 0)
        await display.put_clipboard("漢\n😀")
        assert struct.unpack(">BxxxiI", await server.wire.read(12)) == (6, -4, 0x08000001)
        await server.wire.send(extended(0x02000001))
        kind, size, flags = struct.unpack(">BxxxiI", await server.wire.read(12))
        assert (kind, flags) == (6, 0x10000001)
        told = zlib.decompress(await server.wire.read(-size - 4))
        assert told == struct.pack(">I", 10) + "漢\r\n😀\0".encode()
        await server.wire.send(extended(0x08000001))
        assert struct.unpack(">BxxxiI", await server.wire.read(12)) == (6, -4, 0x02000001)
        text = "späte Antwort\0".encode()
        answer = zlib.compress(struct.pack(">I", len(text)) + text)

        async def later():
            await server.wire.send(extended(0x10000001, answer))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later)
            with anyio.fail_after(10):
                assert await display.get_clipboard() == "späte Antwort"


async def test_a_clipboard_that_unpacks_to_a_gigabyte_counts_as_none(shown, rect):
    packer = zlib.compressobj(9)
    head = packer.compress(struct.pack(">I", 1 << 30))
    bomb = head + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    async with shown() as (display, server):
        with display.watch() as watch:
            await server.wire.send(extended(0x10000001, bomb))
            await server.update(rect(0, 0, 1, 1, 0) + bytes(4))
            await watch.change()
        assert await display.get_clipboard() is None


async def test_a_display_that_shows_nothing_is_given_up(wires, server_of, monkeypatch):
    monkeypatch.setattr("agentflow_vm.rfb.display.HELLO_S", 0.2)
    ours, theirs = wires
    server = server_of(theirs)

    async def serve():
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await server.greet()  # it is given up within that on a machine that is busy

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        with pytest.raises(DisplayError, match="showed nothing"):
            async with connected(ours):
                pass
