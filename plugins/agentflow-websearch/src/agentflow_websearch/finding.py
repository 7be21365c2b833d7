"""Find where a text stands in a page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from agentflow_websearch.found import Page

__all__ = ["Found", "Passage", "find_passages"]


@frozen(kw_only=True)
class Passage:
    """One place, and the text around it; offsets in the page's text."""

    start: int
    end: int
    context_start: int
    context_end: int


@frozen(kw_only=True)
class Found:
    """The first places, and how many more there are."""

    passages: tuple[Passage, ...]
    left_out: int


def find_passages(page: Page, pattern: str, *, most: int, around: int) -> Found:
    """Where the words of ``pattern`` stand next to each other, in any letter case and with any white space between.

    Places that lie in the context of the one before are part of it.
    """
    words = [re.escape(word) for word in pattern.split()]
    if not words:
        return Found(passages=(), left_out=0)
    matcher = re.compile(r"\s+".join(words), re.IGNORECASE)
    passages: list[Passage] = []
    left_out = 0
    for match in matcher.finditer(page.text):
        if passages and match.end() <= passages[-1].context_end:
            continue
        if len(passages) >= most:
            left_out += 1
            continue
        start, end = _context(page.text, match.start(), match.end(), around)
        if passages:
            start = max(start, passages[-1].context_end)
        passages.append(Passage(start=match.start(), end=match.end(), context_start=start, context_end=end))
    return Found(passages=tuple(passages), left_out=left_out)


def _context(text: str, start: int, end: int, around: int) -> tuple[int, int]:
    """Some characters on both sides, from one word's beginning to another's end."""
    left = max(0, start - around)
    right = min(len(text), end + around)
    if left:
        space = text.find(" ", left, start)
        left = space + 1 if space >= 0 else left
    if right < len(text):
        space = text.rfind(" ", end, right)
        right = space if space >= 0 else right
    return left, right
