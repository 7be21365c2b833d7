"""Clean what comes from the web, once, so that quotes and offsets hold wherever a text goes."""

from __future__ import annotations

import re
import unicodedata

from agentflow_core.records import clean_text

__all__ = ["clean_page", "one_line", "window_end"]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_BREAKS = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def clean_page(text: str) -> str:
    """The text in Unicode form NFC, without ANSI sequences, control characters and runs of blank lines."""
    plain = _CONTROL.sub("", _BREAKS.sub("\n", clean_text(text)))
    return unicodedata.normalize("NFC", _BLANK_LINES.sub("\n\n", plain)).strip()


def one_line(text: object, limit: int = 2000) -> str:
    """The text on one line of so many characters; nothing for what is no text."""
    if not isinstance(text, str):
        return ""
    line = " ".join(clean_page(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def window_end(text: str, start: int, budget: int) -> int:
    """Where a piece from ``start`` of at most so many bytes (one character at least) ends, best between two words."""
    piece = text[start : start + budget]
    raw = piece.encode()
    if start + len(piece) >= len(text) and len(raw) <= budget:
        return len(text)
    size = len(raw[:budget].decode("utf-8", "ignore"))
    for mark in ("\n", " "):
        cut = piece.rfind(mark, size - size // 5, size)
        if cut > 0:
            return start + cut + 1
    return start + max(1, size)
