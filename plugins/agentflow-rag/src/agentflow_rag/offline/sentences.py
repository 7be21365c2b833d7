"""Split English prose into sentences, and tidy them."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["sentences", "without_asides"]

_BREAK = re.compile(r"(?<=[.!?])([\"”’')\]]*)\s+(?=[\"“‘(\[]?[A-Z0-9À-ÖØ-Þ])|\n+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:[A-Z]|Jr|Sr|St|Mt|Ft|No|Nos|vs|Dr|Mr|Mrs|Ms|Prof|Gen|Col|Lt|Capt|Sgt|Rev|Gov|Sen|Rep|Co|Inc|Ltd|"
    r"Bros|approx|ca|c|ft|feat|Op|op|i\.e|e\.g|etc|Vol|pp|[A-Z](?:\.[A-Z])+|Lieut-Col)\.$"
)
_ASIDE = re.compile(r"\s*\([^()]*\)|\s*\[[^\[\]]*\]")


@lru_cache(maxsize=1024)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, verbatim. Initials, ``Jr.``, ``U.S.`` and their like end none."""
    found: list[str] = []
    start = 0
    for stop in _BREAK.finditer(text):
        end = stop.end(1) if stop.group(1) is not None else stop.start()
        piece = text[start:end]
        if stop.group(1) is not None and _ABBREVIATION.search(piece):
            continue
        if piece.strip():
            found.append(piece.strip())
        start = stop.end()
    if text[start:].strip():
        found.append(text[start:].strip())
    return tuple(found)


def without_asides(sentence: str) -> str:
    """The sentence without what stands in brackets, spaces tidied."""
    plain = sentence
    for _ in range(3):
        plain, count = _ASIDE.subn("", plain)
        if not count:
            break
    plain = re.sub(r"\s+", " ", plain)
    return re.sub(r"\s+([,.;:])", r"\1", plain).strip()
