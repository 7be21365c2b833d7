"""Characters and names of keys become the keys of a US keyboard."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_vm.keyboard import SHIFT, Stroke, UnknownKeyError, chord, presses, stroke_of

#: Of a PC keyboard, by XT scancode: what keys make alone and with Shift.
ROWS = {
    0x02: ("1234567890-=", "!@#$%^&*()_+"),
    0x10: ("qwertyuiop[]", "QWERTYUIOP{}"),
    0x1E: ("asdfghjkl;'`", 'ASDFGHJKL:"~'),
    0x2B: ("\\zxcvbnm,./", "|ZXCVBNM<>?"),
    0x39: (" ", " "),
}
MAKES = {
    (first + place, shifted): char
    for first, rows in ROWS.items()
    for shifted, row in enumerate(rows)
    for place, char in enumerate(row)
}


def typed(text: str) -> str:
    """What a machine makes of scancodes alone, as QEMU does."""
    made, shift = "", 0
    for keysym, scancode, down in presses([stroke_of(char) for char in text]):
        if keysym == SHIFT.keysym:
            shift = int(down)
        elif down:
            made += MAKES[scancode, shift]
    assert shift == 0
    return made


@given(st.text(alphabet=[chr(code) for code in range(32, 127)], max_size=40))
def test_scancodes_and_shift_make_every_printable_ascii_text(text):
    assert typed(text) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=20))
def test_every_key_that_goes_down_goes_up(text):
    held = set()
    for keysym, _, down in presses([stroke_of(char) for char in text]):
        (held.add if down else held.remove)(keysym)
    assert not held


@pytest.mark.parametrize(("char", "keysym"), [("é", 0xE9), ("漢", 0x01006F22), ("😀", 0x0101F600), ("\xa0", 0xA0)])
def test_other_characters_are_told_by_their_keysym(char, keysym):
    assert stroke_of(char) == Stroke(keysym)


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x7f", "\ud800"])
def test_control_characters_are_no_text(char):
    with pytest.raises(UnknownKeyError, match="no character that can be typed"):
        stroke_of(char)


@pytest.mark.parametrize(
    ("keys", "keysyms"),
    [
        ("ctrl+s", [0xFFE3, ord("s")]),
        ("CTRL+S", [0xFFE3, ord("s")]),
        ("Control_L+shift+t", [0xFFE3, 0xFFE1, ord("T")]),
        ("shift+1", [0xFFE1, ord("!")]),
        ("ctrl++", [0xFFE3, 0xFFE1, ord("+")]),
        ("ctrl+plus", [0xFFE3, 0xFFE1, ord("+")]),
        ("A", [0xFFE1, ord("A")]),
        ("+", [0xFFE1, ord("+")]),
        (" ", [0x20]),
        ("Return", [0xFF0D]),
        ("Page_Down", [0xFF56]),
        ("ArrowLeft", [0xFF51]),
        ("alt+F4", [0xFFE9, 0xFFC1]),
        ("F12", [0xFFC9]),
        ("KP_5", [0xFFB5]),
        ("super", [0xFFEB]),
        ("é", [0xE9]),
        ("alt+Tab", [0xFFE9, 0xFF09]),
    ],
)
def test_chords_are_read_as_people_and_models_write_them(keys, keysyms):
    assert [stroke.keysym for stroke in chord(keys)] == keysyms


@pytest.mark.parametrize(
    ("keys", "said"), [("ctrl+shft", "did you mean 'shift'"), ("ctrl+", "no key"), ("+a", "no key"), ("", "no key")]
)
def test_unknown_keys_are_named(keys, said):
    with pytest.raises(UnknownKeyError, match=said):
        chord(keys)


def test_every_character_of_the_layout_is_a_key():
    assert all(stroke_of(char).scancode is not None for char in string.printable[:95])
