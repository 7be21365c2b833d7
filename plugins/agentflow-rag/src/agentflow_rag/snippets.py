"""Choose the part of a text that shows best why it was found."""

from __future__ import annotations

import re
from functools import lru_cache

from agentflow_rag.engines.base import STOP_WORDS

__all__ = ["query_stems", "snippet_span"]

_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?:ings?|ed|ies|es|s|ly)$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\s])|\n+")
#: Of longer texts only the beginning is looked at.
_SCANNED_CHARS = 200_000
_MAX_WORDS = 32
_MAX_PLACES = 32  #: of one word in one text


@lru_cache(maxsize=1024)
def query_stems(query: str) -> tuple[str, ...]:
    """How the words of a query begin, in lower case and without their endings; common words are left out."""
    words = [word.lower() for word in _WORD.findall(query)]
    words = [word for word in words if word not in STOP_WORDS] or words
    stems = (_ENDING.sub("", word) if len(word) > 4 else word for word in words[:_MAX_WORDS])
    return tuple(dict.fromkeys(stems))


def snippet_span(text: str, stems: tuple[str, ...], chars: int) -> tuple[int, int]:
    """``(start, end)`` of at most ``chars`` characters of ``text`` that hold the most different words.

    A text that fits is taken whole; of equal places the first one wins; the span begins with a sentence if one begins
    close before, else with a word.
    """
    if chars <= 0:
        return 0, 0
    if len(text) <= chars:
        return 0, len(text)
    start = _best_start(text, stems, chars)
    end = min(len(text), start + chars)
    if end < len(text) and not text[end].isspace():
        border = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
        end = border if border > start else end
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _best_start(text: str, stems: tuple[str, ...], chars: int) -> int:
    low = text[:_SCANNED_CHARS].lower()
    if len(low) != min(len(text), _SCANNED_CHARS):
        return 0  # a letter whose lower case is longer: offsets would not fit
    firsts = [at for stem in stems if (at := _next_place(low, stem, 0)) >= 0]
    if not firsts:
        return 0
    first = min(firsts)
    if max(firsts) < first + chars:
        return _begin(text, first, chars)  # the first window has them all
    return _begin(text, _fullest(low, stems, chars, len(firsts)), chars)


def _fullest(low: str, stems: tuple[str, ...], chars: int, most: int) -> int:
    """Where the window with the most different stems begins; the first one of equals."""
    places = sorted((place, stem) for stem in stems for place in _places(low, stem))
    inside: dict[str, int] = {}
    best, best_at = 0, places[0][0]
    last = 0
    for at, stem in places:
        while last < len(places) and places[last][0] < at + chars:
            inside[places[last][1]] = inside.get(places[last][1], 0) + 1
            last += 1
        if len(inside) > best:
            best, best_at = len(inside), at
            if best == most:
                break
        inside[stem] -= 1
        if not inside[stem]:
            del inside[stem]
    return best_at


def _places(low: str, stem: str) -> list[int]:
    """Where words begin with the stem."""
    found: list[int] = []
    at = _next_place(low, stem, 0)
    while at >= 0 and len(found) < _MAX_PLACES:
        found.append(at)
        at = _next_place(low, stem, at + 1)
    return found


def _next_place(low: str, stem: str, start: int) -> int:
    at = low.find(stem, start)
    while at > 0 and low[at - 1].isalnum():
        at = low.find(stem, at + 1)
    return at


def _begin(text: str, at: int, chars: int) -> int:
    floor = max(0, at - chars // 3)
    if floor == 0:
        return 0
    starts = [match.end() for match in _SENTENCE.finditer(text, floor, at)]
    if starts:
        return starts[0]
    border = text.find(" ", max(floor, at - 40), at)
    return border + 1 if border >= 0 else at
