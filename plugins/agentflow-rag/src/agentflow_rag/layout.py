"""Write what the tools found as text for a model and as data for programs.

``data.sources`` says which characters of the text come from which document: gates locate quotes by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.records import TextContent, ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_rag.search import Findings, Hits, OpenCorpus
    from agentflow_rag.store import Whole

__all__ = ["corpora_result", "find_result", "get_result", "search_result"]


class _Text:
    """A text that grows, and which document each part is of."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.sources: list[dict[str, Any]] = []
        self._length = 0

    def add(self, text: str, doc_id: str | None = None) -> None:
        if self.parts:
            self.parts.append("\n\n")
            self._length += 2
        if doc_id is not None:
            self.sources.append({"doc_id": doc_id, "start": self._length, "end": self._length + len(text)})
        self.parts.append(text)
        self._length += len(text)

    def __str__(self) -> str:
        return "".join(self.parts)


def search_result(corpus: OpenCorpus, queries: Sequence[str], results: Sequence[Hits], offset: int) -> ToolResult:
    """The hits of one query, or of several one after the other; hits are numbered through."""
    text = _Text()
    hits: list[dict[str, Any]] = []
    several = len(queries) > 1
    for query, result in zip(queries, results, strict=True):
        if several:
            text.add(f"Query: {query}")
        if not result.hits:
            text.add("no hits" if not offset else f"no more hits: {result.total} in all")
        for hit in result.hits:
            shown = f"{'…' if hit.cut_before else ''}{hit.snippet}{'…' if hit.cut_after else ''}" if hit.snippet else ""
            number = len(hits) + 1 + (0 if several else offset)
            text.add(f"[{number}] {hit.title} (doc_id: {hit.doc_id})" + (f"\n{shown}" if shown else ""), hit.doc_id)
            row = {
                "doc_id": hit.doc_id,
                "chunk_id": hit.chunk_id,
                "score": hit.score,
                "title": hit.title,
                "snippet": hit.snippet,
                "span": list(hit.span),
            }
            if several:
                row["query"] = query
            hits.append(row)
    data = {"hits": hits, "total": sum(result.total for result in results), **_origin(corpus), "sources": text.sources}
    return _result(data, str(text))


def get_result(corpus: OpenCorpus, document: Whole) -> ToolResult:
    """A range of a document; where more follows, the text says how to read on."""
    head = f"{document.title} (doc_id: {document.doc_id})\n\n"
    end = document.start + len(document.text)
    following = end if end < document.total_chars else None
    text = head + document.text
    tail = f"\n\n[{document.total_chars - end} more characters; go on with start={end}]" if following else ""
    data = {
        "doc_id": document.doc_id,
        "title": document.title,
        "start": document.start,
        "end": end,
        "total_chars": document.total_chars,
        "next": following,
        **_origin(corpus),
        "sources": [{"doc_id": document.doc_id, "start": 0, "end": len(text)}],
    }
    return _result(data, text + tail)


def find_result(corpus: OpenCorpus, findings: Findings) -> ToolResult:
    """The places where a pattern stands, each with the text around it."""
    text = _Text()
    matches = []
    for number, found in enumerate(findings.found, 1):
        place = f"[{number}] {found.title} (doc_id: {found.doc_id}) at {found.start}"
        text.add(f"{place}\n…{found.context}…", found.doc_id)
        matches.append(
            {
                "doc_id": found.doc_id,
                "title": found.title,
                "start": found.start,
                "end": found.end,
                "context": found.context,
                "span": [found.context_start, found.context_start + len(found.context)],
            }
        )
    if not matches:
        text.add("not found" if findings.complete else "not found in the part that was searched")
    elif not findings.complete:
        text.add("[there may be more]")
    data = {
        "matches": matches,
        "total": len(matches),
        "complete": findings.complete,
        **_origin(corpus),
        "sources": text.sources,
    }
    return _result(data, str(text))


def corpora_result(corpora: Sequence[OpenCorpus]) -> ToolResult:
    """What there is to search."""
    rows: list[dict[str, Any]] = []
    lines = []
    for corpus in corpora:
        saved = corpus.saved
        fields = ["doc_id", "title", *corpus.config.fields.filters]
        modes = list(corpus.index.modes)
        rows.append(
            {
                "name": corpus.name,
                "documents": saved.documents,
                "fields": fields,
                "engines": [corpus.config.engine],
                "modes": modes,
                "version": saved.version,
                "skipped": saved.skipped,
                "problems": list(saved.problems),
            }
        )
        left_out = f", {saved.skipped} bad lines left out" if saved.skipped else ""
        lines.append(
            f"{corpus.name}: {saved.documents} documents, filters {', '.join(fields)}, modes {', '.join(modes)}, "
            f"version {saved.version}{left_out}"
        )
    return _result({"corpora": rows, "sources": []}, "\n".join(lines))


def _origin(corpus: OpenCorpus) -> dict[str, str]:
    return {"corpus": corpus.name, "corpus_version": corpus.saved.version}


def _result(data: dict[str, Any], text: str) -> ToolResult:
    """A success as it is: documents were cleaned when they were indexed, and cleaning again costs as much as a search."""
    return ToolResult(data=data, content=(TextContent(text),))
