"""What a page says of its subject, as the rules understand it; Markdown is left out of what is read."""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from agentflow_core.prose import Clause, Kind, sentences, told_of, with_article, without_asides
from agentflow_websearch.offline.pages import Page

__all__ = ["Portrait", "plain", "portrait"]

_LINK = re.compile(r"!?\[([^\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)")
_MARKUP = re.compile(r"^(?:#{1,6}|[-*+>]|\d+\.)\s+|\*\*|__|`")


@frozen(kw_only=True)
class Portrait:
    """A page as the rules understand it."""

    page: Page
    name: str
    shown: str  #: the name as it stands within a sentence, with its article if it has one
    kind: Kind | None
    clauses: tuple[Clause, ...]
    sentences: tuple[str, ...]

    @property
    def first(self) -> str:
        """The sentence that says what it is; nothing if there is none."""
        return self.clauses[0].sentence if self.clauses else ""


@lru_cache(maxsize=4096)
def plain(sentence: str) -> str:
    """The sentence without links, emphasis and other marks of Markdown, and without what stands in brackets."""
    return without_asides(_MARKUP.sub("", _LINK.sub(r"\1", sentence)))


@lru_cache(maxsize=512)
def portrait(page: Page) -> Portrait:
    """What the page says of its subject."""
    name = page.name
    every = sentences(page.text)
    told = told_of(name, every, plain=plain)
    return Portrait(
        page=page,
        name=name,
        shown=with_article(name, page.text),
        kind=told.kind,
        clauses=told.clauses,
        sentences=every,
    )
