"""The first words on a connection: version, security, and what the screen is (RFC 6143, 7.1 to 7.3)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_vm.rfb.des import vnc_response
from agentflow_vm.rfb.errors import AccessRefused, ProtocolError

if TYPE_CHECKING:
    from agentflow_vm.rfb.incoming import Incoming

__all__ = ["Screen", "shake_hands"]

_NONE: Final = 1
_VNC_AUTH: Final = 2
_MAX_TEXT: Final = 1 << 16

Send = Callable[[bytes], Awaitable[None]]


@frozen(kw_only=True)
class Screen:
    """What the server tells of its screen at first."""

    width: int
    height: int
    name: str


async def shake_hands(incoming: Incoming, send: Send, password: str | None) -> Screen:
    """Speak RFB up to the point where updates can be asked for.

    Raises:
        ProtocolError: it is not RFB.
        AccessRefused: the server wants another kind of security, or another password.
        DisplayLost: the connection ended.
    """
    minor = await _version(incoming, send)
    security = await _security(incoming, send, minor, password)
    if security == _VNC_AUTH:
        if password is None:
            raise AccessRefused("the display asks for a password", hint="set password")
        await send(vnc_response(password, await incoming.read(16)))
    if security == _VNC_AUTH or minor >= 8:
        await _result(incoming, minor)
    await send(b"\x01")  # others may look too
    told = await incoming.read(24)
    name = await _text(incoming, int.from_bytes(told[20:]))
    return Screen(width=int.from_bytes(told[:2]), height=int.from_bytes(told[2:4]), name=name)


async def _version(incoming: Incoming, send: Send) -> int:
    said = await incoming.read(12)
    found = re.fullmatch(rb"RFB (\d{3})\.(\d{3})\n", said)
    if found is None:
        raise ProtocolError(f"what answers is no RFB server: it says {said!r}")
    version = (int(found[1]), int(found[2]))
    if version < (3, 3):
        raise ProtocolError(f"the display speaks RFB {version[0]}.{version[1]}, which is too old")
    minor = 8 if version >= (3, 8) else 7 if version == (3, 7) else 3  # others are to be treated as 3.3
    await send(b"RFB 003.%03d\n" % minor)
    return minor


async def _security(incoming: Incoming, send: Send, minor: int, password: str | None) -> int:
    wanted = (_NONE, _VNC_AUTH) if password is None else (_VNC_AUTH, _NONE)
    if minor == 3:
        chosen = int.from_bytes(await incoming.read(4))
        if chosen == 0:
            raise AccessRefused(f"the display refuses: {await _reason(incoming)}")
        if chosen not in wanted:
            raise AccessRefused(f"the display wants security of type {chosen}; None (1) and VncAuth (2) are known")
        return chosen
    count = (await incoming.read(1))[0]
    if count == 0:
        raise AccessRefused(f"the display refuses: {await _reason(incoming)}")
    offered = await incoming.read(count)
    for kind in wanted:
        if kind in offered:
            await send(bytes([kind]))
            return kind
    listed = ", ".join(map(str, offered))
    raise AccessRefused(f"the display offers security of types {listed}; None (1) and VncAuth (2) are known")


async def _result(incoming: Incoming, minor: int) -> None:
    status = int.from_bytes(await incoming.read(4))
    if status:
        reason = await _reason(incoming) if minor >= 8 else "the password is wrong"
        raise AccessRefused(f"the display refuses: {reason}")


async def _reason(incoming: Incoming) -> str:
    return await _text(incoming, int.from_bytes(await incoming.read(4)))


async def _text(incoming: Incoming, size: int) -> str:
    if size > _MAX_TEXT:
        raise ProtocolError(f"the display announces a text of {size} bytes")
    return (await incoming.read(size)).decode("utf-8", "replace")
