"""What a path or an agent's steps have seen so far: searches, hits, and the documents that were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agentflow_core.prose import base_title, name_key

if TYPE_CHECKING:
    from agentflow_core.policies import Call

__all__ = ["FIND", "GET", "SEARCH", "Seen", "TextRead", "seen_of"]

SEARCH: Final = "rag:search"
GET: Final = "rag:get"
FIND: Final = "rag:find"


@frozen(kw_only=True)
class TextRead:
    """A document, or the beginning of one, that an observation shows by itself."""

    doc_id: str
    title: str
    text: str  #: verbatim from the observation
    node: str = ""

    @property
    def name(self) -> str:
        """The name that the title gives."""
        return base_title(self.title)


@define
class Seen:
    """All that was seen, in order."""

    read: list[TextRead] = field(factory=list)
    hits: dict[str, str] = field(factory=dict)  #: title by document id, in the order of being seen
    last_hits: list[str] = field(factory=list)  #: ids of the last search
    snippets: dict[str, str] = field(factory=dict)  #: the longest snippet by document id
    queries: list[str] = field(factory=list)
    tools: list[str] = field(factory=list)
    texts: dict[str, str] = field(factory=dict)  #: the observations' texts, by node or step

    def has_read(self, doc_id: str) -> bool:
        """Was the document read?"""
        return any(text.doc_id == doc_id for text in self.read)

    def by_name(self) -> dict[str, str]:
        """Document ids by the key of their name; of several, the first that was seen."""
        found: dict[str, str] = {}
        for doc_id, title in self.hits.items():
            found.setdefault(name_key(base_title(title)), doc_id)
        return found


def seen_of(calls: Iterable[Call]) -> Seen:
    """What calls saw; those that failed saw nothing."""
    seen = Seen()
    for call in calls:
        _look(seen, call)
    return seen


def _look(seen: Seen, call: Call) -> None:
    tool, params, result, where = call.tool, call.params, call.result, call.where
    seen.tools.append(tool)
    if tool == SEARCH:
        several = params.get("queries") or ()
        seen.queries += [str(query) for query in (params.get("query"), *several) if query]
    elif tool == FIND:
        seen.queries.append(str(params.get("pattern", "")))
    data = result.data
    if not result.ok or not isinstance(data, Mapping):
        return
    seen.texts[where] = result.text
    if tool == GET and "doc_id" in data:
        text = _body(result.text, data)
        seen.read.append(TextRead(doc_id=str(data["doc_id"]), title=str(data.get("title", "")), text=text, node=where))
        seen.hits.setdefault(str(data["doc_id"]), str(data.get("title", "")))
        return
    rows = data.get("hits") if tool == SEARCH else data.get("matches") if tool == FIND else None
    if isinstance(rows, list | tuple):
        seen.last_hits = []
        for row in rows:
            if isinstance(row, Mapping) and "doc_id" in row:
                doc_id = str(row["doc_id"])
                seen.hits.setdefault(doc_id, str(row.get("title", "")))
                seen.last_hits.append(doc_id)
                snippet = str(row.get("snippet", row.get("context", "")))
                if len(snippet) > len(seen.snippets.get(doc_id, "")):
                    seen.snippets[doc_id] = snippet
        if tool == SEARCH:
            seen.read += _shown_whole(rows, result.text, where)


def _shown_whole(rows: Iterable[Any], text: str, where: str) -> list[TextRead]:
    """The documents that are so short that their snippet is the whole."""
    found = []
    for row in rows:
        if not isinstance(row, Mapping) or not row.get("snippet"):
            continue
        snippet, head = str(row["snippet"]), f"(doc_id: {row['doc_id']})\n"
        if f"{head}{snippet}\n" in f"{text}\n" and list(row.get("span", ())) == [0, len(snippet)]:
            found.append(TextRead(doc_id=str(row["doc_id"]), title=str(row.get("title", "")), text=snippet, node=where))
    return found


def _body(text: str, data: Mapping[str, Any]) -> str:
    """The document's own text; where more follows, up to its last whole sentence."""
    start = text.find("\n\n") + 2
    sources = data.get("sources")
    end = len(text)
    if isinstance(sources, list | tuple) and sources and isinstance(sources[0], Mapping):
        end = int(sources[0].get("end", end))
    body = text[start:end]
    if data.get("next") is not None:
        stop = max(body.rfind(". "), body.rfind("\n"))
        body = body[: stop + 1] if stop > 0 else body
    return body
