"""What a path or an agent's steps have seen: documents, outlines, pages, tables and sentences with their places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agentflow_core.policies import calls_in_steps, calls_on_path
from agentflow_doc.offline.markdown import MarkdownTable, Row, charts_of, sentences_of, tables_of

if TYPE_CHECKING:
    from agentflow_core.policies import Call
    from agentflow_core.records import Node, Observation, SolveStep

__all__ = [
    "IMAGE",
    "LIST",
    "OUTLINE",
    "READ",
    "SEARCH",
    "TABLE",
    "Section",
    "Seen",
    "SentenceSeen",
    "TableSeen",
    "owner",
    "seen_in_steps",
    "seen_on_path",
]

LIST: Final = "doc:list"
OUTLINE: Final = "doc:outline"
SEARCH: Final = "doc:search"
READ: Final = "doc:read"
TABLE: Final = "doc:table"
IMAGE: Final = "doc:page_image"

_FEWEST_WORDS: Final = 4  # of a line that is more than a page number
_TITLE_END: Final = re.compile(r":\s|\s[–—-]\s")
_FIGURE: Final = re.compile(r"^[*_]*(?P<said>fig(?:ure|\.)\s*\d.*)$", re.IGNORECASE | re.MULTILINE)


def owner(title: str) -> str:
    """Whose document it is, as far as the title says: what stands before a colon or a dash, else the title."""
    return _TITLE_END.split(title, maxsplit=1)[0].strip()


@frozen(kw_only=True)
class Section:
    """A section of an outline."""

    doc: str
    title: str
    page: int
    end: int


@frozen(kw_only=True, cache_hash=True)
class TableSeen:
    """A table that an observation shows."""

    node: str
    doc: str
    title: str  #: of the document
    page: int
    caption: str
    head: Row
    rows: tuple[Row, ...]
    is_whole: bool  #: False: it may go on elsewhere: on the next page, or behind the passage that a search found

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        return self.head.cells


@frozen(kw_only=True)
class SentenceSeen:
    """A sentence that an observation shows."""

    node: str
    doc: str
    title: str
    page: int
    text: str


@define
class Seen:
    """All that was seen, in order."""

    titles: dict[str, str] = field(factory=dict)  #: of documents by name, in the order of being seen
    sections: dict[str, list[Section]] = field(factory=dict)  #: by document
    hits: list[tuple[str, int]] = field(factory=list)  #: documents and pages that searches found, best first
    read: set[tuple[str, int]] = field(factory=set)  #: pages that were read
    looked: set[tuple[str, int]] = field(factory=set)  #: pages that were looked at as images
    figures: dict[tuple[str, int], str] = field(factory=dict)  #: the first caption of pages with figures
    tables: list[TableSeen] = field(factory=list)
    charts: list[TableSeen] = field(factory=list)  #: bar charts, as tables of what is written at their bars
    sentences: list[SentenceSeen] = field(factory=list)
    queries: list[str] = field(factory=list)
    tools: list[str] = field(factory=list)
    texts: dict[str, str] = field(factory=dict)  #: observations by node or step

    def section_of(self, doc: str, page: int) -> Section | None:
        """The section that a page belongs to, where the outline was seen; the last one that begins before its end."""
        inside = [one for one in self.sections.get(doc, ()) if one.page <= page <= one.end]
        return inside[-1] if inside else None

    def add(self, node: str, tool: str, params: Mapping[str, Any], result: Observation) -> None:
        """See one more observation."""
        data = result.data
        self.tools.append(tool)
        if tool == SEARCH:
            self.queries.append(str(params.get("query", "")))
        if not result.ok or not isinstance(data, Mapping):
            return
        self.texts[node] = result.text
        if tool == LIST:
            for row in _mappings(data.get("documents")):
                self.titles.setdefault(str(row.get("doc")), str(row.get("title") or row.get("doc")))
        elif tool == OUTLINE:
            self._outlined(data)
        elif tool == IMAGE:
            self.looked.add((str(data.get("doc")), int(data.get("page") or 0)))
        if tool in (SEARCH, READ, TABLE, IMAGE):
            self._shown(node, tool, params, result.text, data)

    def _outlined(self, data: Mapping[str, Any]) -> None:
        for one in (data, *_mappings(data.get("documents"))):
            doc = one.get("doc")
            if not isinstance(doc, str):
                continue
            self.titles.setdefault(doc, str(one.get("title") or doc))
            self.sections[doc] = [
                Section(doc=doc, title=str(row.get("title", "")), page=pages[0], end=pages[-1])
                for row in _mappings(one.get("sections"))
                if isinstance(pages := row.get("pages"), list | tuple) and pages
            ]

    def _shown(self, node: str, tool: str, params: Mapping[str, Any], text: str, data: Mapping[str, Any]) -> None:
        sources = [row for row in _mappings(data.get("sources")) if "start" in row and "end" in row and "doc" in row]
        for row in (data, *_mappings(data.get("hits"))):
            if isinstance(row.get("doc"), str) and row.get("title"):
                self.titles.setdefault(str(row["doc"]), str(row["title"]))
        pages = list(dict.fromkeys((str(row["doc"]), int(row.get("page") or 0)) for row in sources))
        if tool == SEARCH:
            self.hits += [place for place in pages if place not in self.hits]
        elif tool in (READ, TABLE):
            self.read |= set(pages)
        known = {(table.doc, table.page, table.columns) for table in self.tables if table.is_whole}
        for table in tables_of(text):
            place = _place(sources, table.head.start) or _only(data, params)
            if place is None or (*place, table.head.cells) in known:
                continue
            is_whole = tool != SEARCH and _is_followed(table.end, text, sources, place, data)
            self.tables.append(self._table(table, node, place, is_whole=is_whole, caption=data.get("caption")))
        for chart in charts_of(text):
            place = _place(sources, chart.head.start)
            if place is not None and all(known.head.quote != chart.head.quote for known in self.charts):
                self.charts.append(self._table(chart, node, place, is_whole=True))
        for start, sentence in sentences_of(text):
            place = _place(sources, start)
            if place is not None:
                title = self.titles.get(place[0], place[0])
                self.sentences.append(SentenceSeen(node=node, doc=place[0], title=title, page=place[1], text=sentence))
        for found in _FIGURE.finditer(text):
            place = _place(sources, found.start())
            if place is not None:
                self.figures.setdefault(place, found["said"].strip("*_ "))

    def _table(
        self, table: MarkdownTable, node: str, place: tuple[str, int], *, is_whole: bool, caption: Any = None
    ) -> TableSeen:
        return TableSeen(
            node=node,
            doc=place[0],
            title=self.titles.get(place[0], place[0]),
            page=place[1],
            caption=table.caption or str(caption or ""),
            head=table.head,
            rows=table.rows,
            is_whole=is_whole,
        )


def _mappings(rows: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(rows, list | tuple):
        yield from (row for row in rows if isinstance(row, Mapping))


def _place(sources: Sequence[Mapping[str, Any]], start: int) -> tuple[str, int] | None:
    """The document and page that a character comes from."""
    return next(
        ((str(row["doc"]), int(row.get("page") or 0)) for row in sources if row["start"] <= start < row["end"]), None
    )


def _is_followed(
    end: int, text: str, sources: Sequence[Mapping[str, Any]], place: tuple[str, int], data: Mapping[str, Any]
) -> bool:
    """Whether something stands below a table on its page; one that ends its page may go on on the next one."""
    if isinstance(index := data.get("index"), int) and isinstance(count := data.get("count"), int):
        return index < count
    if data.get("next") is not None:
        return False
    others = [row["start"] for row in sources if row["start"] >= end and (row["doc"], row.get("page")) != place]
    below = text[end : min(others, default=len(text))]
    return any(len(line.split()) >= _FEWEST_WORDS for line in below.splitlines())


def _only(data: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[str, int] | None:
    doc, page = data.get("doc", params.get("doc")), data.get("page", params.get("page"))
    return (doc, page) if isinstance(doc, str) and isinstance(page, int) else None


def seen_on_path(path: Iterable[Node]) -> Seen:
    """What the nodes of a path saw; failed calls saw nothing."""
    return _seen(calls_on_path(path))


def seen_in_steps(steps: Iterable[SolveStep]) -> Seen:
    """What an agent's calls saw; its steps are named by their numbers."""
    return _seen(calls_in_steps(steps))


def _seen(calls: Iterable[Call]) -> Seen:
    seen = Seen()
    for call in calls:
        seen.add(call.where, call.tool, call.params, call.result)
    return seen
