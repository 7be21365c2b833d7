"""Split English prose into sentences, with their places, and leave out what stands in brackets."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from agentflow_core.text import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["sentence_spans", "sentences", "without_asides"]

_STOP = r"(?<=[.!?])(?P<closing>[\"”’')\]]*)\s+(?=[\"“‘(\[]?[A-Z0-9À-ÖØ-Þ])"
_BREAK = re.compile(rf"{_STOP}|\n+")
_WRAPPED_BREAK = re.compile(_STOP)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:[A-Z]|Jr|Sr|St|Mt|Ft|No|Nos|vs|Dr|Mr|Mrs|Ms|Prof|Gen|Col|Lt|Capt|Sgt|Rev|Gov|Sen|Rep|Co|Inc|Ltd|"
    r"Bros|approx|ca|c|ft|feat|Op|op|i\.e|e\.g|etc|Vol|pp|Fig|Tab|[A-Z](?:\.[A-Z])+|Lieut-Col)\.$"
)
_ASIDE = re.compile(r"\s*\([^()]*\)|\s*\[[^\[\]]*\]")
_DEEPEST_ASIDE = 3


@lru_cache(maxsize=2048)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, verbatim; each line ends one. Initials, ``Jr.``, ``U.S.`` and their like end none."""
    return tuple(text[span.start : span.end] for span in sentence_spans(text))


def sentence_spans(text: str, *, is_wrapped: bool = False) -> Iterator[Span]:
    """The places of the sentences of a text, without white space around them.

    Args:
        text: the text.
        is_wrapped: its sentences go on in the next line; else a line ends one.
    """
    start = 0
    for stop in (_WRAPPED_BREAK if is_wrapped else _BREAK).finditer(text):
        ends_line = stop["closing"] is None
        end = stop.start() if ends_line else stop.end("closing")
        if not ends_line and _ABBREVIATION.search(text[start:end]):
            continue
        yield from _trimmed(text, start, end)
        start = stop.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    if bare := piece.strip():
        begins = start + len(piece) - len(piece.lstrip())
        yield Span(begins, begins + len(bare))


@lru_cache(maxsize=4096)
def without_asides(sentence: str) -> str:
    """The sentence without what stands in round or square brackets, spaces tidied."""
    plain = sentence
    for _ in range(_DEEPEST_ASIDE):
        plain, count = _ASIDE.subn("", plain)
        if not count:
            break
    return re.sub(r"\s+([,.;:])", r"\1", " ".join(plain.split()))
