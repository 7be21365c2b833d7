"""Find where a pattern stands in documents, in bounded time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentflow_rag.store import Whole

__all__ = ["Found", "PatternError", "PatternTimeout", "compile_pattern", "find_in"]

#: A regular expression may take this long in all.
TIMEOUT_S = 5.0
CONTEXT_CHARS = 60
MAX_PATTERN_CHARS = 300
#: Of a whole corpus, so many characters are searched at most.
MAX_SCANNED_CHARS = 20_000_000


class PatternError(ValueError):
    """A regular expression that cannot be read."""


class PatternTimeout(Exception):
    """A regular expression that takes too long."""


@frozen(kw_only=True)
class Found:
    """One place where the pattern stands, with the text around it."""

    doc_id: str
    title: str
    start: int
    end: int
    context: str
    context_start: int


def compile_pattern(pattern: str, *, is_regex: bool) -> Any:
    """The pattern, ready to search: letters of either case; in a plain one, any space stands for any space.

    Raises:
        PatternError: it is not a regular expression.
    """
    import regex  # beside re, it can be stopped: patterns come from models

    source = pattern if is_regex else r"\s+".join(regex.escape(word) for word in pattern.split())
    try:
        return regex.compile(source, regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError) as error:
        raise PatternError(str(error)) from error


def find_in(documents: Iterable[Whole], compiled: Any, *, limit: int, per_document: int) -> Iterator[Found]:
    """The places in the order of the documents, ``limit`` at most, empty matches left out.

    Raises:
        PatternTimeout: matching takes longer than `TIMEOUT_S` in all.
    """
    left = limit
    ends = time.monotonic() + TIMEOUT_S
    for document in documents:
        here = 0
        if time.monotonic() >= ends:
            raise PatternTimeout
        try:
            for match in compiled.finditer(document.text, timeout=ends - time.monotonic(), concurrent=True):
                start, end = match.span()
                if start == end:
                    continue
                yield _found(document, start, end)
                left -= 1
                here += 1
                if not left:
                    return
                if here == per_document:
                    break
        except TimeoutError as error:
            raise PatternTimeout from error


def _found(document: Whole, start: int, end: int) -> Found:
    text = document.text
    first = max(0, start - CONTEXT_CHARS)
    last = min(len(text), min(end, start + 4 * CONTEXT_CHARS) + CONTEXT_CHARS)
    if first > 0 and (border := text.find(" ", first, start)) >= 0:
        first = border + 1
    if last < len(text) and (border := text.rfind(" ", min(end, last), last)) >= 0:
        last = border
    return Found(
        doc_id=document.doc_id,
        title=document.title,
        start=document.start + start,
        end=document.start + end,
        context=text[first:last],
        context_start=document.start + first,
    )
