"""What a path or an agent's steps have seen so far: queries, results, and the pages that were read.

``data.sources`` says what range of an observation comes from where. A range of another environment that has a title in
its first line and its text after the first empty line is a page too, so that a question can lead from one to the other.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from agentflow_core.prose import without_qualifier
from agentflow_core.text import canonical_url

if TYPE_CHECKING:
    from agentflow_core.policies import Call

__all__ = ["Hit", "Page", "Seen", "name_of", "seen_of"]

_LOCATORS = ("url", "doc_id", "doc", "file", "path")
_RESULT = re.compile(r"\[\d+\] ")
_SENTENCE_BEGINS = re.compile(r"[.!?]\s+(?=[A-Z0-9])|\n+")
_SITE = re.compile(r"\s+[–—|·]\s+.*$|\s+-\s+.*$")


@frozen(kw_only=True)
class Hit:
    """A result of a search."""

    url: str
    title: str
    snippet: str = ""


@frozen(kw_only=True)
class Page:
    """A page, or a part of one, as an observation shows it."""

    key: str  #: its URL, or the id of a document
    title: str
    text: str  #: verbatim from the observation
    node: str = ""
    links: tuple[tuple[str, str], ...] = ()  #: text and URL
    is_whole: bool = True  #: nothing follows that was not shown

    @property
    def name(self) -> str:
        """What the page is about, going by its title."""
        return name_of(self.title)


@define
class Seen:
    """All that was seen, in order."""

    pages: list[Page] = field(factory=list)
    hits: dict[str, Hit] = field(factory=dict)  #: by URL, in the order of being seen
    queries: list[str] = field(factory=list)
    visited: set[str] = field(factory=set)  #: URLs that were asked for, whatever came of it, or read
    texts: dict[str, str] = field(factory=dict)  #: the observations' texts, by node or step

    def was_visited(self, url: str) -> bool:
        """Was the page asked for, or read?"""
        return canonical_url(url) in self.visited


def name_of(title: str) -> str:
    """The name that a title gives: without the site's name and without ``(film)`` and the like."""
    plain = html.unescape(title).strip()
    return without_qualifier(_SITE.sub("", plain).strip() or plain)


def seen_of(calls: Iterable[Call]) -> Seen:
    """What calls saw; those that failed saw nothing."""
    seen = Seen()
    for call in calls:
        _look(seen, call)
    return seen


def _look(seen: Seen, call: Call) -> None:
    tool, params, result, where = call.tool, call.params, call.result, call.where
    if tool == "web:search":
        seen.queries += [str(query) for query in (params.get("query"), *(params.get("queries") or ())) if query]
    elif tool == "web:visit":
        seen.visited |= {canonical_url(str(url)) for url in (params.get("url"), *(params.get("urls") or ())) if url}
    data = result.data
    if not result.ok or not isinstance(data, Mapping):
        return
    seen.texts[where] = result.text
    if tool == "web:visit":
        seen.pages += _read(data, result.text, where)
        seen.visited |= {canonical_url(page.key) for page in seen.pages}
    elif tool == "web:find":
        seen.pages += _passages(data, result.text, where)
    elif tool == "web:search":
        for row in _rows(data, "results"):
            url, title = str(row.get("url") or ""), str(row.get("title") or "")
            seen.hits.setdefault(url, Hit(url=url, title=title, snippet=str(row.get("snippet") or "")))
    else:
        seen.pages += _documents(data, result.text, where)


def _read(data: Mapping[str, Any], text: str, where: str) -> Iterator[Page]:
    """The pages of a visit: of each, the range of the text that is the page's own."""
    sources = _rows(data, "sources")
    for row in _rows(data, "pages"):
        url = str(row.get("final_url") or row.get("url") or "")
        own = next(
            (item for item in sources if item.get("url") == url and item.get("offset") == row.get("start")), None
        )
        if own is None:
            continue
        body = text[int(own["start"]) : int(own["end"])]
        is_whole = row.get("next_cursor") is None
        links = tuple((str(link.get("text") or ""), str(link["url"])) for link in _rows(row, "links") if "url" in link)
        title = str(row.get("title") or "")
        yield Page(key=url, title=title, text=body, node=where, links=links, is_whole=is_whole)


def _passages(data: Mapping[str, Any], text: str, where: str) -> Iterator[Page]:
    """The whole sentences of the passages that were found in a page."""
    url, title = str(data.get("final_url") or ""), str(data.get("title") or "")
    for source in _rows(data, "sources"):
        if url and "offset" in source and source.get("url") == url:
            passage = text[int(source["start"]) : int(source["end"])]
            begins = 0 if source["offset"] == 0 else _SENTENCE_BEGINS.search(passage)
            begin = begins if isinstance(begins, int) else begins.end() if begins else len(passage)
            ends = max(passage.rfind(mark) for mark in (". ", ".\n", "? ", "! "))
            end = len(passage) if passage.rstrip().endswith((".", "!", "?")) else ends + 1
            if begin < end:
                yield Page(key=url, title=title, text=passage[begin:end], node=where, is_whole=False)


def _documents(data: Mapping[str, Any], text: str, where: str) -> Iterator[Page]:
    """Documents of other environments: a title in the first line, the text after the first empty line."""
    for source in _rows(data, "sources"):
        key = next((str(source[name]) for name in _LOCATORS if isinstance(source.get(name), str)), "")
        start, end = source.get("start"), source.get("end")
        if not key or not isinstance(start, int) or not isinstance(end, int):
            continue
        title, gap, body = text[start:end].partition("\n\n")
        if gap and not _RESULT.match(title) and "\n" not in title:
            yield Page(key=key, title=str(data.get("title") or title), text=body, node=where)


def _rows(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = data.get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []
