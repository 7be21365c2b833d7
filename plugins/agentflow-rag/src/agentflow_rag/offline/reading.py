"""What a path or an agent's steps have seen so far: searches, hits, and the documents that were read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from agentflow_rag.offline.names import base_title, name_key

if TYPE_CHECKING:
    from agentflow_core.records import Node, Observation, SolveStep

__all__ = ["Seen", "TextRead", "seen_in_steps", "seen_on_path"]

_BLOCK = re.compile(r"^\[\d+\] ", re.MULTILINE)


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
    tools: list[str] = field(factory=list)  #: without the group
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


def seen_on_path(path: Iterable[Node]) -> Seen:
    """What the nodes of a path saw; failed calls saw nothing."""
    seen = Seen()
    for node in path:
        if node.tool is not None and node.result is not None and node.error is None:
            _look(seen, node.tool, node.params, node.result, node.id)
    return seen


def seen_in_steps(steps: Iterable[SolveStep]) -> Seen:
    """What an agent's calls saw."""
    seen = Seen()
    for number, step in enumerate(steps):
        _look(seen, step.tool, step.params, step.result, str(number))
    return seen


def _look(seen: Seen, tool: str, params: Mapping[str, Any], result: Observation, where: str) -> None:
    name = tool.partition(":")[2]
    seen.tools.append(name)
    if name == "search":
        several = params.get("queries") or ()
        seen.queries += [str(query) for query in (params.get("query"), *several) if query]
    elif name == "find":
        seen.queries.append(str(params.get("pattern", "")))
    data = result.data
    if not result.ok or not isinstance(data, Mapping):
        return
    seen.texts[where] = result.text
    if name == "get" and "doc_id" in data:
        text = _body(result.text, data)
        seen.read.append(TextRead(doc_id=str(data["doc_id"]), title=str(data.get("title", "")), text=text, node=where))
        seen.hits.setdefault(str(data["doc_id"]), str(data.get("title", "")))
        return
    rows = data.get("hits") if name == "search" else data.get("matches") if name == "find" else None
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
        if name == "search":
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
