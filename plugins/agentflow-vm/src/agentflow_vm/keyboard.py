"""Names of keys and characters, turned into the keys of a US keyboard that go down and up."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.names import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentflow_vm.rfb.display import Press

__all__ = ["SHIFT", "Stroke", "UnknownKeyError", "chord", "keysym_of", "presses", "stroke_of"]


class UnknownKeyError(ValueError):
    """A name that no key has; the message says which, with a suggestion."""


@frozen
class Stroke:
    """A key: what it means, where it is (an XT scancode, None if no key of the layout makes it), and whether with Shift."""

    keysym: int
    scancode: int | None = None
    shift: bool = False


#: The rows of the layout, by the scancode of their first key: as they are, and with Shift.
_ROWS: Final = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (0x39, " ", " "),
)
_PLAIN: Final = {
    char: Stroke(ord(char), first + place) for first, plain, _ in _ROWS for place, char in enumerate(plain)
}
_SHIFTED: Final = {
    char: Stroke(ord(char), first + place, True)
    for first, _, shifted in _ROWS
    for place, char in enumerate(shifted)
    if char != " "
}
_BY_SCANCODE: Final = {stroke.scancode: stroke for stroke in _SHIFTED.values()}

_NAMED: Final = {
    "backspace": Stroke(0xFF08, 0x0E),
    "tab": Stroke(0xFF09, 0x0F),
    "enter": Stroke(0xFF0D, 0x1C),
    "escape": Stroke(0xFF1B, 0x01),
    "space": Stroke(0x20, 0x39),
    "delete": Stroke(0xFFFF, 0xD3),
    "insert": Stroke(0xFF63, 0xD2),
    "home": Stroke(0xFF50, 0xC7),
    "left": Stroke(0xFF51, 0xCB),
    "up": Stroke(0xFF52, 0xC8),
    "right": Stroke(0xFF53, 0xCD),
    "down": Stroke(0xFF54, 0xD0),
    "pageup": Stroke(0xFF55, 0xC9),
    "pagedown": Stroke(0xFF56, 0xD1),
    "end": Stroke(0xFF57, 0xCF),
    "menu": Stroke(0xFF67, 0xDD),
    "pause": Stroke(0xFF13, 0xC6),
    "printscreen": Stroke(0xFF61, 0xB7),
    "scrolllock": Stroke(0xFF14, 0x46),
    "numlock": Stroke(0xFF7F, 0x45),
    "capslock": Stroke(0xFFE5, 0x3A),
    "shift": Stroke(0xFFE1, 0x2A),
    "rightshift": Stroke(0xFFE2, 0x36),
    "ctrl": Stroke(0xFFE3, 0x1D),
    "rightctrl": Stroke(0xFFE4, 0x9D),
    "alt": Stroke(0xFFE9, 0x38),
    "rightalt": Stroke(0xFFEA, 0xB8),
    "altgr": Stroke(0xFE03, 0xB8),
    "super": Stroke(0xFFEB, 0xDB),
    "rightsuper": Stroke(0xFFEC, 0xDC),
    **{f"f{number}": Stroke(0xFFBD + number, 0x3A + number) for number in range(1, 11)},
    "f11": Stroke(0xFFC8, 0x57),
    "f12": Stroke(0xFFC9, 0x58),
    **{
        f"kp{digit}": Stroke(0xFFB0 + digit, code)
        for digit, code in enumerate((0x52, 0x4F, 0x50, 0x51, 0x4B, 0x4C, 0x4D, 0x47, 0x48, 0x49))
    },
    "kpenter": Stroke(0xFF8D, 0x9C),
    "kpadd": Stroke(0xFFAB, 0x4E),
    "kpsubtract": Stroke(0xFFAD, 0x4A),
    "kpmultiply": Stroke(0xFFAA, 0x37),
    "kpdivide": Stroke(0xFFAF, 0xB5),
    "kpdecimal": Stroke(0xFFAE, 0x53),
    "plus": Stroke(ord("+"), 0x0D, True),
    "minus": Stroke(ord("-"), 0x0C),
}
#: What else people, X and other programs call them.
_ALIASES: Final = {
    "return": "enter",
    "linefeed": "enter",
    "esc": "escape",
    "del": "delete",
    "ins": "insert",
    "bksp": "backspace",
    "control": "ctrl",
    "controll": "ctrl",
    "controlr": "rightctrl",
    "shiftl": "shift",
    "shiftr": "rightshift",
    "altl": "alt",
    "altr": "rightalt",
    "option": "alt",
    "isolevel3shift": "altgr",
    "win": "super",
    "windows": "super",
    "meta": "super",
    "cmd": "super",
    "command": "super",
    "superl": "super",
    "superr": "rightsuper",
    "arrowleft": "left",
    "arrowright": "right",
    "arrowup": "up",
    "arrowdown": "down",
    "leftarrow": "left",
    "rightarrow": "right",
    "uparrow": "up",
    "downarrow": "down",
    "prior": "pageup",
    "next": "pagedown",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "pgdown": "pagedown",
    "print": "printscreen",
    "prtsc": "printscreen",
    "spacebar": "space",
}
_MODIFIERS: Final = ("ctrl", "alt", "shift", "super", "rightctrl", "rightalt", "rightshift", "rightsuper", "altgr")
#: The key that a capital is typed with.
SHIFT: Final = _NAMED["shift"]


def keysym_of(char: str) -> int:
    """The keysym of a character: Latin-1 as it is, others above 0x01000000 (X protocol, appendix A)."""
    code = ord(char)
    return code if 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xFF else 0x01000000 | code


def stroke_of(char: str) -> Stroke:
    """The key that types a character; one that no key has is told by its keysym alone.

    Raises:
        UnknownKeyError: a control character other than newline and tab.
    """
    if char == "\n":
        return _NAMED["enter"]
    if char == "\t":
        return _NAMED["tab"]
    found = _PLAIN.get(char) or _SHIFTED.get(char)
    if found is not None:
        return found
    if unicodedata.category(char) in ("Cc", "Cs", "Cn"):
        raise UnknownKeyError(f"U+{ord(char):04X} is no character that can be typed")
    return Stroke(keysym_of(char))


def presses(strokes: Sequence[Stroke]) -> Iterator[Press]:
    """Each key down and up, in turn, with Shift held around those that want it."""
    is_shifted = False
    for stroke in strokes:
        if stroke.shift != is_shifted:
            is_shifted = stroke.shift
            yield (SHIFT.keysym, SHIFT.scancode, is_shifted)
        yield (stroke.keysym, stroke.scancode, True)
        yield (stroke.keysym, stroke.scancode, False)
    if is_shifted:
        yield (SHIFT.keysym, SHIFT.scancode, False)


def chord(keys: str) -> tuple[Stroke, ...]:
    """The keys of ``ctrl+s`` in the order in which they go down; a letter is the key, whatever its case.

    Raises:
        UnknownKeyError: no key has one of the names.
    """
    names = _split(keys)
    strokes = [_named(name) for name in names]
    modifiers = {name for name in map(_plain_name, names) if name in _MODIFIERS}
    last = strokes[-1]
    if len(strokes) > 1 and len(names[-1]) == 1 and names[-1].isalpha() and last.shift:
        last = _PLAIN[names[-1].lower()]  # "ctrl+S" means the key
    if modifiers & {"shift", "rightshift"}:
        # what a key means with Shift: told otherwise, an X server would take Shift away again
        last = _BY_SCANCODE.get(last.scancode, last) if last.scancode is not None else last
    elif last.shift:
        strokes.insert(len(strokes) - 1, SHIFT)
    strokes[-1] = last
    return tuple(strokes)


def _split(keys: str) -> list[str]:
    if keys and len(keys.strip()) == 0:
        return ["space"]
    text = keys.strip()
    if len(text) == 1:
        return [text]
    ends_in_plus = text.endswith("++") or text == "+"
    names = [part.strip() for part in text.removesuffix("+" if ends_in_plus else "").split("+")]
    if ends_in_plus:
        names[-1] = "+"
    if not all(names):
        raise UnknownKeyError(f"{keys!r} names no key where one should be")
    return names


def _plain_name(name: str) -> str:
    plain = name.lower().replace("_", "").replace("-", "").replace(" ", "")
    return _ALIASES.get(plain, plain)


def _named(name: str) -> Stroke:
    if len(name) == 1:
        return stroke_of(name)
    found = _NAMED.get(_plain_name(name))
    if found is None:
        guess = suggest(name.lower(), [*_NAMED, *_ALIASES])
        raise UnknownKeyError(f"no key is called {name!r}" + (f"; did you mean {guess!r}?" if guess else ""))
    return found
