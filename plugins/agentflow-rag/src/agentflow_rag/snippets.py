"""Choose the part of a text that shows best why it was found."""

from __future__ import annotations

import re

from agentflow_rag.engines.base import STOP_WORDS

__all__ = ["query_pattern", "snippet_span"]

_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?:ings?|ed|ies|es|s|ly)$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\s])|\n+")
#: Of longer texts only the beginning is looked at.
_SCANNED_CHARS = 200_000
_MAX_WORDS = 64


def query_pattern(query: str) -> re.Pattern[str] | None:
    """A pattern that finds the words of a query, in other endings too; None if there is nothing to find."""
    words = [word.casefold() for word in _WORD.findall(query)]
    words = [word for word in words if word not in STOP_WORDS] or words
    stems = dict.fromkeys(_ENDING.sub("", word) if len(word) > 4 else word for word in words[:_MAX_WORDS])
    if not stems:
        return None
    return re.compile(r"(?<![^\W_])(?:" + "|".join(map(re.escape, stems)) + ")", re.IGNORECASE)


def snippet_span(text: str, pattern: re.Pattern[str] | None, chars: int) -> tuple[int, int]:
    """``(start, end)`` of at most ``chars`` characters of ``text`` that hold the most different words of the pattern.

    A text that fits is taken whole; of equal places the first one wins; the span begins with a sentence if one begins
    close before, else with a word.
    """
    if chars <= 0:
        return 0, 0
    if len(text) <= chars:
        return 0, len(text)
    start = _best_start(text, pattern, chars) if pattern else 0
    end = min(len(text), start + chars)
    if end < len(text) and not text[end].isspace():
        border = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
        end = border if border > start else end
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _best_start(text: str, pattern: re.Pattern[str], chars: int) -> int:
    found = [(match.start(), match.end(), match[0].casefold()) for match in pattern.finditer(text, 0, _SCANNED_CHARS)]
    if not found:
        return 0
    best = (0, 0)
    counts: dict[str, int] = {}
    last = 0
    for first, (start, _, word) in enumerate(found):
        while last < len(found) and found[last][1] <= start + chars:
            counts[found[last][2]] = counts.get(found[last][2], 0) + 1
            last += 1
        if len(counts) > best[0]:
            best = (len(counts), start)
        if last > first:
            counts[word] -= 1
            if not counts[word]:
                del counts[word]
        else:
            last = first + 1
    return _begin(text, best[1], chars)


def _begin(text: str, at: int, chars: int) -> int:
    floor = max(0, at - chars // 3)
    if floor == 0:
        return 0
    starts = [match.end() for match in _SENTENCE.finditer(text, floor, at)]
    if starts:
        return starts[0]
    border = text.find(" ", max(floor, at - 40), at)
    return border + 1 if border >= 0 else at
