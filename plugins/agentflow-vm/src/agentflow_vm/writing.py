"""Write text on a screen: by keys where keys make it, by keysyms where the server finds keys for them, else by pasting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import anyio

from agentflow_core.errors import SandboxError
from agentflow_vm.keyboard import Stroke, UnknownKeyError, chord, presses, stroke_of
from agentflow_vm.machines.machine import Clipping, Settling

if TYPE_CHECKING:
    from agentflow_vm.rfb.display import Display
    from agentflow_vm.session import VmSession

__all__ = ["checked", "get_clipboard", "press", "put_clipboard", "write"]

Method = Literal["auto", "keys", "paste"]

#: Keys that go out together; a call that is given up ends between two lots.
_LOT: Final = 50
#: How many keysyms an X server finds free keys for before it is given its layout anew; Xvnc has twenty.
_SPARE_KEYS: Final = 16
#: Seconds that programs get to take in what was typed, before keys change their meaning or the clipboard its text.
_DIGEST_S: Final = 0.25
_SYNC_S: Final = 5.0


async def write(session: VmSession, display: Display, text: str, method: Method) -> str:
    """Type or paste a text; which of ``keys`` and ``paste`` it was.

    Raises:
        SandboxError: ``invalid_argument``: a character that cannot be typed; ``unsupported``.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        strokes = [stroke_of(char) for char in text]
    except UnknownKeyError as error:
        raise SandboxError(f"text: {error}", code="invalid_argument", hint="use vm:key for keys") from error
    unicode = session.machine.unicode if session.config.unicode == "auto" else session.config.unicode
    foreign = sorted({text[place] for place, stroke in enumerate(strokes) if stroke.scancode is None})
    if method == "auto":
        method = "paste" if foreign and unicode == "clipboard" else "keys"
    if method == "paste":
        await _paste(session, display, text)
        return "paste"
    if foreign and unicode != "keysym":
        raise SandboxError(
            f"text: no key of this machine makes {foreign[0]!r}",
            code="unsupported" if unicode == "none" else "invalid_argument",
            hint="leave such characters out" if unicode == "none" else "method: paste",
        )
    if foreign:
        await _type_keysyms(session, display, strokes)
    else:
        await _send(display, strokes)
    return "keys"


async def _send(display: Display, strokes: list[Stroke]) -> None:
    for start in range(0, len(strokes), _LOT):
        await display.keys(presses(strokes[start : start + _LOT]))


async def _type_keysyms(session: VmSession, display: Display, strokes: list[Stroke]) -> None:
    """The server gives each new keysym a free key; when they run out, the layout is set anew, which frees them."""
    lot: list[Stroke] = []
    for stroke in strokes:
        if stroke.scancode is None and stroke.keysym not in session.typed:
            if len(session.typed) >= _SPARE_KEYS:
                await _send(display, lot)
                lot = []
                await _fresh_keys(session)
            session.typed.add(stroke.keysym)
        lot.append(stroke)
    await _send(display, lot)


async def _fresh_keys(session: VmSession) -> None:
    if session.machine.guest is not None:
        await _digest(session)
        await session.machine.guest.run(("setxkbmap", session.config.layout), timeout_s=10.0)
    session.typed.clear()


async def _paste(session: VmSession, display: Display, text: str) -> None:
    await put_clipboard(session, display, text)
    await press(display, session.config.paste_keys)
    await _digest(session)


async def _digest(session: VmSession) -> None:
    """Let programs take in what was typed."""
    if isinstance(session.machine.guest, Settling):
        await session.machine.guest.sync(_SYNC_S)
    await anyio.sleep(_DIGEST_S)  # not all of them can tell


async def put_clipboard(session: VmSession, display: Display, text: str) -> None:
    """Put a text into the clipboard: over RFB, or by a program in the machine where RFB cannot carry it.

    Raises:
        SandboxError: ``unsupported``: neither can.
    """
    if isinstance(session.machine.guest, Clipping):
        await session.machine.guest.put_clipboard(text)
        return
    try:
        await display.put_clipboard(text)
    except ValueError as error:
        raise SandboxError(
            "the display's clipboard carries Latin-1 alone", code="unsupported", hint="leave other characters out"
        ) from error


async def get_clipboard(session: VmSession, display: Display) -> str | None:
    """The text of the clipboard; None where it holds none."""
    if isinstance(session.machine.guest, Clipping):
        return await session.machine.guest.get_clipboard()
    return await display.get_clipboard()


async def press(display: Display, keys: str) -> None:
    """Press the keys of a chord together.

    Raises:
        SandboxError: ``invalid_argument``: no key has one of the names.
    """
    strokes = checked(keys)
    down = [(stroke.keysym, stroke.scancode, True) for stroke in strokes]
    await display.keys([*down, *((keysym, scancode, False) for keysym, scancode, _ in reversed(down))])


def checked(keys: str) -> tuple[Stroke, ...]:
    """The keys of a chord; raises as `press` does."""
    try:
        return chord(keys)
    except UnknownKeyError as error:
        raise SandboxError(f"keys: {error}", code="invalid_argument", hint="such as ctrl+s, Enter or F5") from error
