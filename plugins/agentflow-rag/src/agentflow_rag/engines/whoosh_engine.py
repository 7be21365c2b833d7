"""The pure-Python engine: Whoosh (whoosh-reloaded), the same field and the same queries as tantivy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from whoosh import analysis, fields, index, query, scoring
from whoosh.filedb.filestore import FileStorage
from whoosh.support.charset import accent_map

from agentflow_rag.engines.base import STOP_WORDS, Mode, Query, Ranked, Ranking, filter_terms, fold, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from agentflow_rag.store import Unit

__all__ = ["WhooshEngine", "WhooshIndex"]

_HEAP_MB = 128
_TICK = 16
_MAX_TERMS = 256
_MAX_PHRASES = 8
#: Whoosh ignores boosts of phrases; about what a phrase of two rarer words scores.
_PHRASE_SCORE = 8.0


def _analyzer() -> Any:
    words = analysis.RegexTokenizer(r"[^\W_]+") | analysis.LowercaseFilter()
    return words | analysis.CharsetFilter(accent_map) | analysis.StemFilter(cachesize=50_000)


def _schema() -> Any:
    return fields.Schema(
        text=fields.TEXT(analyzer=_analyzer(), phrase=True),
        filter=fields.KEYWORD(analyzer=analysis.IDAnalyzer()),
        unit=fields.STORED,
    )


class WhooshEngine:
    """Builds and opens Whoosh indexes."""

    name = "whoosh"

    @property
    def version(self) -> str:
        """The library's version and that of the schema."""
        from importlib.metadata import version

        return f"whoosh-{version('whoosh-reloaded')}-1"

    def build(self, directory: Path, units: Iterable[Unit], tick: Callable[[int], None]) -> int:
        """Write an index of the units as one segment, in their order."""
        storage = FileStorage(str(directory))
        writer = storage.create_index(_schema()).writer(limitmb=_HEAP_MB)
        count = 0
        try:
            for count, unit in enumerate(units, 1):
                writer.add_document(text=f"{unit.title}\n{unit.text}", filter=filter_terms(unit), unit=unit.number)
                if count % _TICK == 0:
                    tick(count)
        except BaseException:
            writer.cancel()
            raise
        writer.commit(optimize=True)
        storage.close()
        return count

    def open(self, directory: Path) -> WhooshIndex:
        """Open a saved index; postings are memory-mapped."""
        return WhooshIndex(index.open_dir(str(directory), readonly=True))


class WhooshIndex:
    """An open Whoosh index. Whoosh's readers seek in shared files, so searches take turns."""

    modes: tuple[Mode, ...] = ("auto", "bm25", "phrase")

    def __init__(self, opened: Any) -> None:
        self._index = opened
        self._searcher = opened.searcher(weighting=scoring.BM25F())
        self._analyzer = opened.schema["text"].analyzer
        self._stop = frozenset(term for word in STOP_WORDS for term in self._terms(word))
        self._turn = threading.Lock()

    def search(self, query: Query, *, limit: int, offset: int = 0) -> Ranked:
        """The hits from ``offset`` on, ``limit`` at most."""
        with self._turn:
            built = self._build(query)
            if built is None:
                return Ranked(hits=(), total=0)
            allowed = self._filter(query)
            wanted = offset + limit
            found = self._searcher.search(built, limit=wanted, filter=allowed, optimize=True)
            hits = tuple(
                Ranking(self._searcher.stored_fields(number)["unit"], score)
                for score, number in found.top_n[offset:wanted]
            )
            return Ranked(hits=hits, total=len(found))

    def _terms(self, text: str) -> list[str]:
        return list(self._tokens(text))

    def _tokens(self, text: str) -> Iterator[str]:
        for token in self._analyzer(text, mode="query"):
            yield token.text

    def _build(self, asked: Query) -> Any:
        if asked.mode == "phrase":
            return self._phrase(asked.text)
        every = list(dict.fromkeys(self._terms(asked.text)))
        terms = ([term for term in every if term not in self._stop] or every)[:_MAX_TERMS]
        # One flat union: Whoosh's bound for a nested one is too low, and hits are lost by it (whoosh-reloaded 2.7.5).
        parts = [query.Term("text", term) for term in terms]
        if asked.mode == "auto":
            phrases = map(self._phrase, quoted(asked.text)[:_MAX_PHRASES])
            parts += [query.ConstantScoreQuery(phrase, _PHRASE_SCORE) for phrase in phrases if phrase is not None]
        return query.Or(parts) if parts else None

    def _phrase(self, text: str) -> Any:
        terms = self._terms(text)[:_MAX_TERMS]
        if len(terms) > 1:
            return query.Phrase("text", terms)
        return query.Term("text", terms[0]) if terms else None

    def _filter(self, asked: Query) -> Any:
        if not asked.filters:
            return None
        return query.And(
            [
                query.Or([query.Term("filter", f"{name}={fold(value)}") for value in values])
                for name, values in asked.filters.items()
            ]
        )

    def close(self) -> None:
        """Close the files."""
        self._searcher.close()
        self._index.close()
