"""Split a text into overlapping pieces of whole words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["split"]

_WORD = re.compile(r"\w+")


def split(text: str, tokens: int, overlap: int) -> Iterator[tuple[int, int]]:
    """``(start, end)`` of each piece: ``tokens`` words, the first ``overlap`` of them shared with the piece before.

    The pieces cover the whole text. ``overlap`` is less than ``tokens``.
    """
    words = [match.start() for match in _WORD.finditer(text)]
    if len(words) <= tokens:
        yield 0, len(text)
        return
    step = tokens - overlap
    for first in range(0, len(words) - overlap, step):
        last = first + tokens
        yield (0 if first == 0 else words[first]), (words[last] if last < len(words) else len(text))
