"""The environment ``rag``: search and read document corpora. One resource, shared by all sessions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from attrs import frozen

from agentflow_core.concurrency import Merged
from agentflow_core.errors import AgentFlowError
from agentflow_core.names import did_you_mean
from agentflow_core.records import ToolResult
from agentflow_core.records.events import Notice
from agentflow_core.sandbox import Backend, Range, Session, tool
from agentflow_rag.builds import Saved, prepare
from agentflow_rag.config import CorpusConfig, RagConfig
from agentflow_rag.corpus import configured
from agentflow_rag.finding import MAX_PATTERN_CHARS, PatternError, PatternTimeout
from agentflow_rag.layout import corpora_result, find_result, get_result, search_result
from agentflow_rag.search import Findings, Hits, OpenCorpus

__all__ = ["Library", "RagBackend"]

T = TypeVar("T")
_MAX_QUERIES = 10
_PROGRESS_EVERY_S = 2.0
Mode = Literal["auto", "bm25", "phrase"]
QueryText = Annotated[str, Range(1, 2000)]
Name = Annotated[str, Range(1, 600)]


@frozen(kw_only=True)
class Library:
    """The open corpora by name, in the order of the configuration, and how they are asked."""

    corpora: Mapping[str, OpenCorpus]
    threads: anyio.CapacityLimiter
    searches: Merged[Hits]

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in one of the library's threads."""
        return await anyio.to_thread.run_sync(work, limiter=self.threads)

    def choose(self, name: str | None) -> OpenCorpus | ToolResult:
        """The corpus of that name, the first one without; or the failure that names those there are."""
        if name is None:
            return next(iter(self.corpora.values()))
        if name in self.corpora:
            return self.corpora[name]
        there = ", ".join(self.corpora)
        guess = did_you_mean(name, self.corpora)
        return ToolResult.failure("not_found", f"no corpus {name!r}{guess}", hint=f"there is: {there}")

    async def locate(self, doc_id: str) -> tuple[OpenCorpus, str] | ToolResult:
        """The corpus that holds a document and its id there. ``corpus:id`` names the corpus too."""
        prefix, _, rest = doc_id.partition(":")
        if rest and prefix in self.corpora and await self.run(partial(self.corpora[prefix].store.has, rest)):
            return self.corpora[prefix], rest
        holders = [name for name, corpus in self.corpora.items() if await self.run(partial(corpus.store.has, doc_id))]
        if len(holders) == 1:
            return self.corpora[holders[0]], doc_id
        if holders:
            named = ", ".join(f"{name}:{doc_id}" for name in holders)
            return ToolResult.failure(
                "ambiguous_target", f"several corpora hold a document {doc_id!r}", hint=f"name one of: {named}"
            )
        return await self._unknown(doc_id)

    async def _unknown(self, doc_id: str) -> ToolResult:
        """Perhaps a title was meant, else the ids that come close."""
        found: list[tuple[str, str]] = []
        for corpus in self.corpora.values():
            hits = await self.run(partial(corpus.search, doc_id, k=3, snippet_chars=0))
            found += [(hit.doc_id, hit.title) for hit in hits.hits]
        if not found:
            for corpus in self.corpora.values():
                found += await self.run(partial(corpus.store.near, doc_id))
        near = ", ".join(f"{identifier} ({title})" for identifier, title in found[:3])
        return ToolResult.failure(
            "not_found",
            f"no document {doc_id!r}",
            hint=f"rag:search gives ids; close by are: {near}",
            data={"near": [{"doc_id": identifier, "title": title} for identifier, title in found[:3]]},
        )


class RagBackend(Backend):
    """Search and read document corpora."""

    sharing = "shared"

    def __init__(self, config: RagConfig | None = None) -> None:
        self._config = config or RagConfig()
        self._library: Library | None = None

    async def warmup(self) -> None:
        """Build or open the index of every corpus; the versions are fixed from here on."""
        if self._library is not None:
            return
        opened: dict[str, OpenCorpus] = {}
        try:
            for name, corpus in configured(self._config).items():
                opened[name] = await anyio.to_thread.run_sync(partial(self._open, name, corpus))
        except BaseException:
            for corpus_open in opened.values():
                corpus_open.close()
            raise
        self._library = Library(
            corpora=opened,
            threads=anyio.CapacityLimiter(max(4, 2 * (os.cpu_count() or 1))),
            searches=Merged(),
        )

    def _open(self, name: str, config: CorpusConfig) -> OpenCorpus:
        saved = prepare(name, config, self.context.state_dir, _Progress(name, self._tell))
        if saved.skipped:
            lines = "; ".join(saved.problems)
            more = f"; and {saved.skipped - len(saved.problems)} more" if saved.skipped > len(saved.problems) else ""
            count = f"{saved.skipped} bad lines" if saved.skipped > 1 else "1 bad line"
            self._tell(Notice(message=f"rag: corpus {name!r}: {count} left out: {lines}{more}"))
        if saved.built:
            self._tell(Notice(message=_built(name, saved), level="info"))
        return OpenCorpus(name, config, saved)

    def _tell(self, notice: Notice) -> None:
        anyio.from_thread.check_cancelled()
        anyio.from_thread.run_sync(self.context.observe, notice)

    async def initialize(self, session: Session) -> Library:
        """The library that all sessions share."""
        await self.warmup()
        assert self._library is not None
        return self._library

    async def shutdown(self) -> None:
        """Close the corpora."""
        library, self._library = self._library, None
        if library is not None:
            for corpus in library.corpora.values():
                corpus.close()

    @tool(read_only=True)
    async def search(
        self,
        state: Library,
        query: QueryText | None = None,
        queries: Annotated[list[QueryText], Range(1, _MAX_QUERIES)] | None = None,
        corpus: Name | None = None,
        k: Annotated[int, Range(1, 100)] = 5,
        mode: Mode = "auto",
        filters: dict[str, Any] | None = None,
        snippet_chars: Annotated[int, Range(0, 4000)] = 400,
        offset: Annotated[int, Range(0, 10_000)] = 0,
    ) -> ToolResult:
        """Search a corpus of documents; gives titles, document ids and snippets, best first. Read on with rag_get.

        Args:
            query: what to look for, in words; give this or queries.
            queries: several searches at once, each answered by itself.
            corpus: which corpus; default: the first one that rag_corpora lists.
            k: hits for each query.
            mode: auto ranks by words and prefers what stands in double quotes; bm25 ranks by words alone; phrase
                wants the words next to each other.
            filters: only documents whose field has a value, or one of a list of values, such as {"title": "Ulm"}.
            snippet_chars: characters of each snippet; 0 gives titles only.
            offset: how many hits to leave out, to see further ones.
        """
        asked = [query] if query is not None else list(queries or ())
        if not asked or (query is not None and queries is not None):
            return ToolResult.failure(
                "invalid_argument", "search needs query or queries, one of them", hint='for example {"query": "Danube"}'
            )
        chosen = state.choose(corpus)
        if isinstance(chosen, ToolResult):
            return chosen
        wanted = _filters(chosen, filters)
        if isinstance(wanted, ToolResult):
            return wanted
        results = []
        for text in asked:
            key = (chosen.name, text, k, offset, mode, tuple(wanted.items()), snippet_chars)
            work = partial(
                chosen.search, text, k=k, offset=offset, mode=mode, filters=wanted, snippet_chars=snippet_chars
            )
            results.append(await state.searches.run(key, partial(state.run, work)))
        return search_result(chosen, asked, results, offset)

    @tool(read_only=True)
    async def get(
        self,
        state: Library,
        doc_id: Name,
        start: Annotated[int, Range(0, 2**40)] = 0,
        length: Annotated[int, Range(1, 100_000)] = 4000,
    ) -> ToolResult:
        """Read a document, or a part of it.

        Args:
            doc_id: the document's id, as rag_search gives it.
            start: the character to begin with, counted from 0.
            length: how many characters.
        """
        located = await state.locate(doc_id)
        if isinstance(located, ToolResult):
            return located
        corpus, identifier = located
        document = await state.run(partial(corpus.get, identifier, start, length))
        if document is None:
            raise AgentFlowError(f"document {identifier!r} of corpus {corpus.name!r} is gone from its saved index")
        if start >= document.total_chars:
            return ToolResult.failure(
                "invalid_argument",
                f"start={start} is behind the end: the document has {document.total_chars} characters",
                hint="begin with start=0",
            )
        return get_result(corpus, document)

    @tool(read_only=True)
    async def find(
        self,
        state: Library,
        pattern: Annotated[str, Range(1, MAX_PATTERN_CHARS)],
        doc_id: Name | None = None,
        corpus: Name | None = None,
        regex: bool = False,
    ) -> ToolResult:
        """Find where a text stands, word for word, in one document or in the whole corpus, with the text around it.

        Args:
            pattern: the text; upper and lower case are the same.
            doc_id: the document to look in; default: all documents of the corpus, whole words only.
            corpus: which corpus; default: the first one that rag_corpora lists.
            regex: the pattern is a regular expression.
        """
        if not pattern.strip():
            return ToolResult.failure("invalid_argument", "pattern is empty", hint="give the words to look for")
        chosen = state.choose(corpus)
        if isinstance(chosen, ToolResult):
            return chosen
        identifier = doc_id
        if doc_id is not None and (corpus is None or not await state.run(partial(chosen.store.has, doc_id))):
            located = await state.locate(doc_id)
            if isinstance(located, ToolResult):
                return located
            chosen, identifier = located
        try:
            found = await state.run(partial(chosen.find, pattern, is_regex=regex, doc_id=identifier))
        except PatternError as error:
            return ToolResult.failure(
                "invalid_argument", f"pattern is no regular expression: {error}", hint="or set regex to false"
            )
        except PatternTimeout:
            return ToolResult.failure("timeout", "the regular expression takes too long", hint="make it simpler")
        return find_result(chosen, found if found is not None else Findings(found=(), complete=True))

    @tool(read_only=True)
    async def corpora(self, state: Library) -> ToolResult:
        """List the corpora that can be searched, with their sizes and fields."""
        return corpora_result(list(state.corpora.values()))


def _filters(corpus: OpenCorpus, filters: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]] | ToolResult:
    known = ("doc_id", "title", *corpus.config.fields.filters)
    wanted: dict[str, tuple[str, ...]] = {}
    for name, value in sorted((filters or {}).items()):
        values = value if isinstance(value, list) else [value]
        if name not in known:
            guess = did_you_mean(name, known)
            return ToolResult.failure(
                "invalid_argument", f"filters.{name}: no such field{guess}", hint=f"there is: {', '.join(known)}"
            )
        if not values or len(values) > 100 or any(not isinstance(item, str | int | float) for item in values):
            return ToolResult.failure(
                "invalid_argument",
                f"filters.{name}: needs a value or a list of 1 to 100 values",
                hint='{"title": "Ulm"}',
            )
        wanted[name] = tuple(str(item) for item in values)
    return wanted


def _built(name: str, saved: Saved) -> str:
    units = "" if saved.units == saved.documents else f" in {saved.units:,} pieces"
    return f"rag: corpus {name!r} indexed: {saved.documents:,} documents{units}, version {saved.version}"


class _Progress:
    """Tells how far a build is, every two seconds; stops it when its caller was cancelled."""

    def __init__(self, name: str, tell: Callable[[Notice], None]) -> None:
        self._name = name
        self._tell = tell
        self._last = time.monotonic()

    def __call__(self, doing: str, documents: int) -> None:
        anyio.from_thread.check_cancelled()
        now = time.monotonic()
        if now - self._last >= _PROGRESS_EVERY_S:
            self._last = now
            count = f": {documents:,} documents" if documents else ""
            self._tell(Notice(message=f"rag: corpus {self._name!r}: {doing}{count}", level="info"))
