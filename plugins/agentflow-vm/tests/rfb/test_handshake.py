"""The first words of a connection: which versions and kinds of security are spoken, and what is refused."""

from __future__ import annotations

import struct

import anyio
import pytest

from agentflow_vm.rfb.des import vnc_response
from agentflow_vm.rfb.errors import AccessRefused, DisplayLost, ProtocolError
from agentflow_vm.rfb.handshake import shake_hands
from agentflow_vm.rfb.incoming import Incoming

INIT = struct.pack(">HH16xI", 640, 480, 5) + b"hello"
CHALLENGE = bytes(range(16))


@pytest.fixture
def shake(wires):
    """Let a server say all of this at once; what the client says, and its result."""

    async def run(*said: bytes, password: str | None = None):
        ours, theirs = wires
        for part in said:
            await theirs.send(part)
        await theirs.send_eof()
        with anyio.fail_after(10):
            screen = await shake_hands(Incoming(ours), ours.send, password)
        await ours.send_eof()
        answered = b""
        while True:
            try:
                answered += await theirs.receive()
            except anyio.EndOfStream:
                return screen, answered

    return run


async def test_version_3_8_without_security(shake):
    screen, said = await shake(b"RFB 003.008\n", b"\x01\x01", b"\0\0\0\0", INIT)
    assert (screen.width, screen.height, screen.name) == (640, 480, "hello")
    assert said == b"RFB 003.008\n\x01\x01"


async def test_version_3_7_tells_no_result_where_there_is_no_security(shake):
    _, said = await shake(b"RFB 003.007\n", b"\x02\x02\x01", INIT)
    assert said == b"RFB 003.007\n\x01\x01"


async def test_version_3_3_lets_the_server_choose(shake):
    _, said = await shake(b"RFB 003.003\n", b"\0\0\0\x01", INIT)
    assert said == b"RFB 003.003\n\x01"


@pytest.mark.parametrize(("theirs", "ours"), [("003.889", "003.008"), ("004.001", "003.008"), ("003.005", "003.003")])
async def test_other_versions_are_taken_as_the_nearest(shake, theirs, ours):
    security = b"\x01\x01\0\0\0\0" if ours == "003.008" else b"\0\0\0\x01"
    _, said = await shake(f"RFB {theirs}\n".encode(), security, INIT)
    assert said.startswith(f"RFB {ours}\n".encode())


@pytest.mark.parametrize("version", ["003.008", "003.007", "003.003"])
async def test_a_password_is_answered_with_the_challenge_encrypted(shake, version):
    offer = b"\0\0\0\x02" if version == "003.003" else b"\x01\x02"
    _, said = await shake(f"RFB {version}\n".encode(), offer, CHALLENGE, b"\0\0\0\0", INIT, password="secret")
    assert vnc_response("secret", CHALLENGE) in said


async def test_a_wrong_password_is_told_with_the_reason(shake):
    with pytest.raises(AccessRefused, match="try again") as caught:
        await shake(b"RFB 003.008\n", b"\x01\x02", CHALLENGE, b"\0\0\0\x01\0\0\0\x09try again", password="x")
    assert caught.value.code == "display_error"


async def test_a_display_that_wants_a_password_says_so(shake):
    with pytest.raises(AccessRefused, match="asks for a password"):
        await shake(b"RFB 003.008\n", b"\x01\x02")


async def test_unknown_kinds_of_security_are_named(shake):
    with pytest.raises(AccessRefused, match="types 19, 5"):
        await shake(b"RFB 003.008\n", b"\x02\x13\x05")


@pytest.mark.parametrize("version", ["003.008", "003.003"])
async def test_a_refusal_gives_its_reason(shake, version):
    none = b"\0\0\0\0" if version == "003.003" else b"\0"
    with pytest.raises(AccessRefused, match="too many"):
        await shake(f"RFB {version}\n".encode(), none, b"\0\0\0\x08too many")


@pytest.mark.parametrize("said", [b"HTTP/1.1 400", b"RFB 3.8\n    ", b"RFB 002.009\n", bytes(12)])
async def test_what_does_not_speak_rfb_is_told(shake, said):
    with pytest.raises(ProtocolError):
        await shake(said)


async def test_a_name_without_end_is_not_read(shake):
    with pytest.raises(ProtocolError, match="4294967295"):
        await shake(b"RFB 003.008\n", b"\x01\x01", b"\0\0\0\0", INIT[:20] + b"\xff\xff\xff\xff")


async def test_a_connection_that_ends_is_lost(shake):
    with pytest.raises(DisplayLost):
        await shake(b"RFB 003")
