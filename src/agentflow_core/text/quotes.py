"""Find a quote in a text, forgiving white space, quotation marks and dashes, and give its exact place."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.text.keys import normalize_quotes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Span", "find_quote"]

#: Characters that are there and not seen: soft hyphen, zero-width spaces and joiners, byte order mark.
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")


@frozen
class Span:
    """A range of characters, ``start`` to before ``end``."""

    start: int
    end: int


def find_quote(quote: str, text: str) -> Iterator[Span]:
    """Every place in ``text`` where ``quote`` stands: the exact ones, or if there is none those that match it loosely.

    A loose match may differ in white space, in the style of quotation marks and dashes, in composition of accents and
    in invisible characters, and the quote may have quotation marks or dots of omission around it. Letters, case and
    punctuation must be the same. ``text[span.start:span.end]`` is the quote as the text has it.
    """
    quote = quote.strip()
    if not quote:
        return
    found = False
    for found_at in _occurrences(quote, text):
        found = True
        yield Span(found_at, found_at + len(quote))
    if found:
        return
    folded = _fold(text)
    for form in dict.fromkeys((quote, _bare(quote))):
        wanted = _fold(form).text.strip()
        for start in _occurrences(wanted, folded.text) if wanted else ():
            end = start + len(wanted)
            # an accent after the last letter makes it another letter
            if end < len(folded.text) and unicodedata.combining(folded.text[end]):
                continue
            found = True
            yield Span(folded.places[start], folded.places[end - 1] + 1)
        if found:
            return


def _occurrences(part: str, text: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _bare(quote: str) -> str:
    return quote.strip().strip("\"'“”„‘’«»").removeprefix("...").removesuffix("...").strip("… ").strip()


@frozen
class _Folded:
    text: str
    places: tuple[int, ...]  #: for each character of ``text``, its index in the original


@lru_cache(maxsize=64)
def _fold(text: str) -> _Folded:
    characters: list[str] = []
    places: list[int] = []
    for index, character in enumerate(text):
        if character.isspace():
            if characters and characters[-1] != " ":
                characters.append(" ")
                places.append(index)
        elif character not in _INVISIBLE:
            plain = normalize_quotes(unicodedata.normalize("NFKD", normalize_quotes(character)))
            characters.extend(plain)
            places.extend([index] * len(plain))
    return _Folded("".join(characters), tuple(places))
