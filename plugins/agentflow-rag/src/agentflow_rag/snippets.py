"""Choose the part of a text that shows best why it was found."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from agentflow_rag.engines.base import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["query_stems", "snippet_span"]

_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?:ings?|ed|ies|es|s|ly)$")
#: What stands before a sentence. It begins with a set of characters, which `re` skips to many times faster than it
#: tries a look-behind at every character.
_SENTENCE = re.compile(r"[.!?\n](?:(?<=\n)\n*|(?<!\n)\s+(?=\S))")
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
    firsts = {stem: at for stem in stems if (at := _first_place(low, stem)) >= 0}
    if not firsts:
        return 0
    first = min(firsts.values())
    if max(firsts.values()) < first + chars:
        return _begin(text, first, chars)  # the first window has them all
    return _begin(text, _fullest(low, firsts, chars), chars)


def _fullest(low: str, firsts: Mapping[str, int], chars: int) -> int:
    """Where the window with the most different stems begins; the first one of equals."""
    places = sorted((place, stem) for stem, first in firsts.items() for place in _places(low, stem, first))
    inside = dict.fromkeys(firsts, 0)
    different = best = best_at = begin = 0
    for at, stem in places:
        if not inside[stem]:
            different += 1
        inside[stem] += 1
        while places[begin][0] <= at - chars:
            left = places[begin][1]
            inside[left] -= 1
            if not inside[left]:
                different -= 1
            begin += 1
        if different > best:
            best, best_at = different, places[begin][0]
            if best == len(firsts):
                break
    return best_at


def _places(low: str, stem: str, first: int) -> list[int]:
    """Where words begin with the stem, the first of them known."""
    found = [first]
    at = low.find(stem, first + 1)
    while at >= 0 and len(found) < _MAX_PLACES:
        if not low[at - 1].isalnum():
            found.append(at)
        at = low.find(stem, at + 1)
    return found


def _first_place(low: str, stem: str) -> int:
    at = low.find(stem)
    while at > 0 and low[at - 1].isalnum():
        at = low.find(stem, at + 1)
    return at


def _begin(text: str, at: int, chars: int) -> int:
    floor = max(0, at - chars // 3)
    if floor == 0:
        return 0
    start = _SENTENCE.search(text, floor - 1, at)
    if start is not None and start.end() == floor:  # a line that ends right before
        start = _SENTENCE.search(text, floor, at)
    if start is not None:
        return start.end()
    border = text.find(" ", max(floor, at - 40), at)
    return border + 1 if border >= 0 else at
