"""One open corpus: search its index, read its documents, find in them. Blocking; calls may come from many threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import define, frozen

from agentflow_rag.engines import load_engine
from agentflow_rag.engines.base import Mode, Query
from agentflow_rag.finding import MAX_SCANNED_CHARS, Found, compile_pattern, find_in
from agentflow_rag.snippets import query_stems, snippet_span
from agentflow_rag.store import DocumentStore, Whole

if TYPE_CHECKING:
    from agentflow_rag.builds import Saved
    from agentflow_rag.config import CorpusConfig

__all__ = ["Findings", "Hit", "Hits", "OpenCorpus"]

MAX_FOUND = 50
#: Of a whole corpus, the first place in each document is shown; all of them in one document.
MAX_FOUND_PER_DOCUMENT = 1
#: Documents that a plain pattern over a whole corpus is looked for in, best match first.
_CANDIDATES = 500


@frozen(kw_only=True)
class Hit:
    """One place that a search found; ``span`` are the offsets of the snippet in the document's text."""

    doc_id: str
    chunk_id: str
    score: float
    title: str
    snippet: str
    span: tuple[int, int]
    cut_before: bool  #: the snippet does not begin where the text does
    cut_after: bool


@frozen(kw_only=True)
class Hits:
    """What a search found, and how many units match at all."""

    hits: tuple[Hit, ...]
    total: int


@frozen(kw_only=True)
class Findings:
    """Where a pattern stands; not ``complete``: there may be more, or not all documents were looked at."""

    found: tuple[Found, ...]
    complete: bool


class OpenCorpus:
    """A corpus whose saved index is open."""

    def __init__(self, name: str, config: CorpusConfig, saved: Saved) -> None:
        self.name = name
        self.config = config
        self.saved = saved
        self.index = load_engine(config.engine).open(saved.index)
        self.store = DocumentStore(saved.store)

    def search(
        self,
        query: str,
        *,
        k: int,
        offset: int = 0,
        mode: Mode = "auto",
        filters: Mapping[str, tuple[str, ...]] | None = None,
        snippet_chars: int = 400,
    ) -> Hits:
        """The hits from ``offset`` on, ``k`` at most, equal scores in the order of document ids."""
        ranked = self.index.search(Query(text=query, mode=mode, filters=filters or {}), limit=k, offset=offset)
        stored = self.store.hits([hit.unit for hit in ranked.hits])
        stems = query_stems(query)
        hits = []
        for ranking in ranked.hits:
            unit = stored[ranking.unit]
            start, end = snippet_span(unit.text, stems, snippet_chars)
            hits.append(
                Hit(
                    doc_id=unit.doc_id,
                    chunk_id=unit.chunk_id,
                    score=round(ranking.score, 4),
                    title=unit.title,
                    snippet=unit.text[start:end],
                    span=(unit.start + start, unit.start + end),
                    cut_before=start > 0,
                    cut_after=end < len(unit.text),
                )
            )
        return Hits(hits=tuple(hits), total=ranked.total)

    def get(self, doc_id: str, start: int = 0, length: int | None = None) -> Whole | None:
        """A range of a document, or None."""
        return self.store.get(doc_id, start, length)

    def find(self, pattern: str, *, is_regex: bool, doc_id: str | None = None) -> Findings | None:
        """Where the pattern stands in one document, or in the corpus; None if there is no such document.

        In a whole corpus a plain pattern is looked for as whole words, in the documents that match best; a regular
        expression is looked for in the order of ids until `MAX_SCANNED_CHARS` characters are read.

        Raises:
            PatternError: the regular expression cannot be read.
            PatternTimeout: it takes too long.
        """
        compiled = compile_pattern(pattern, is_regex=is_regex)
        if doc_id is not None:
            document = self.store.get(doc_id)
            if document is None:
                return None
            found = tuple(find_in([document], compiled, limit=MAX_FOUND + 1, per_document=MAX_FOUND + 1))
            return Findings(found=found[:MAX_FOUND], complete=len(found) <= MAX_FOUND)
        candidates = _Counter(self.store.scan() if is_regex else self._candidates(pattern))
        found = tuple(find_in(candidates, compiled, limit=MAX_FOUND + 1, per_document=MAX_FOUND_PER_DOCUMENT))
        return Findings(found=found[:MAX_FOUND], complete=candidates.complete and len(found) <= MAX_FOUND)

    def _candidates(self, pattern: str) -> Iterator[Whole]:
        ranked = self.index.search(Query(text=pattern, mode="phrase"), limit=_CANDIDATES)
        stored = self.store.hits([hit.unit for hit in ranked.hits])
        for doc_id in dict.fromkeys(stored[hit.unit].doc_id for hit in ranked.hits):
            document = self.store.get(doc_id)
            if document is not None:
                yield document

    def close(self) -> None:
        """Release index and documents; no call is under way."""
        self.index.close()
        self.store.close()


@define
class _Counter:
    """Hands documents out until enough characters are read."""

    documents: Iterator[Whole]
    complete: bool = True

    def __iter__(self) -> Iterator[Whole]:
        chars = 0
        for document in self.documents:
            if chars > MAX_SCANNED_CHARS:
                self.complete = False
                return
            chars += document.total_chars
            yield document
