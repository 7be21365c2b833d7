"""Measure agentflow-rag against tantivy called directly: build, queries, recall, memory; ratios at the end.

    python bench/rag.py [--documents 50000] [--engine tantivy|whoosh] [--million]

How it counts. *Build*: from the JSONL file to an index that answers. Direct: read each line with orjson, add id, title
and text (stored) with tantivy's own settings and threads. Ours: `prepare`, with checks of every line, the document
store, the content hash and fsync. *Query*: p50 over queries of six head terms (a question has as many), ten hits.
Direct: parse the query, search, read the stored title and text of each hit; and the same with tantivy's own snippets,
which is the job that ours does. Ours twice: in the library (`OpenCorpus.search`, snippets included) and as a tool call
through an embedded sandbox (`Sandbox.execute`: validation, session, thread, envelope, text and data).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path

import anyio
import orjson
import tantivy

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_rag.backend import RagBackend
from agentflow_rag.builds import prepare
from agentflow_rag.config import CorpusConfig, RagConfig
from agentflow_rag.search import OpenCorpus

QUERIES = 400
VOCABULARY = [
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("lo", "ra", "ne", "ti", "sum", "dar", "vek")
]
WEIGHTS = [1 / (rank + 1) for rank in range(len(VOCABULARY) * 50)]


def write_corpus(path: Path, documents: int, words: int) -> None:
    rng = random.Random(7)
    vocabulary = [f"{rng.choice(VOCABULARY)}{rng.choice(VOCABULARY)}{number % 97}" for number in range(len(WEIGHTS))]
    cumulative = []
    total = 0.0
    for weight in WEIGHTS:
        total += weight
        cumulative.append(total)
    with path.open("wb") as stream:
        for number in range(documents):
            text = " ".join(rng.choices(vocabulary, cum_weights=cumulative, k=words))
            stream.write(orjson.dumps({"id": f"doc-{number:07}", "title": text[:24], "text": text}) + b"\n")
    path.with_suffix(".queries").write_text(
        "\n".join(" ".join(rng.sample(vocabulary[:60], 6)) for _ in range(QUERIES)), encoding="utf-8"
    )


def direct_build(path: Path, folder: Path) -> tantivy.Index:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("title", stored=True, tokenizer_name="en_stem")
    builder.add_text_field("text", stored=True, tokenizer_name="en_stem")
    index = tantivy.Index(builder.build(), path=str(folder))
    writer = index.writer()
    with path.open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            document = tantivy.Document()
            document.add_text("id", row["id"])
            document.add_text("title", row["title"])
            document.add_text("text", row["text"])
            writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def timed(call, queries: list[str]) -> float:
    """Median milliseconds of a call."""
    for query in queries[:20]:
        call(query)
    took = []
    for query in queries:
        start = time.perf_counter()
        call(query)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000


def direct_query(index: tantivy.Index):
    searcher = index.searcher()

    def ask(query: str) -> list[tuple[str, str]]:
        found = searcher.search(index.parse_query(query, ["text"]), 10)
        documents = [searcher.doc(address) for _, address in found.hits]
        return [(document.get_first("title"), document.get_first("text")) for document in documents]

    return ask


def direct_query_with_snippets(index: tantivy.Index):
    """The same job as rag:search: ten hits with title and snippet, tantivy's own."""
    searcher = index.searcher()

    def ask(query: str) -> list[tuple[str, str]]:
        parsed = index.parse_query(query, ["text"])
        found = searcher.search(parsed, 10)
        snippets = tantivy.SnippetGenerator.create(searcher, parsed, index.schema, "text")
        snippets.set_max_num_chars(400)
        documents = [searcher.doc(address) for _, address in found.hits]
        return [(item.get_first("title"), snippets.snippet_from_doc(item).fragment()) for item in documents]

    return ask


async def timed_tool(corpus: Path, state: Path, config: CorpusConfig, queries: list[str]) -> float:
    catalog = Catalog.of(rag=lambda: RagBackend(RagConfig(corpora={"bench": config})))
    async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=state)) as sandbox:
        took = []
        for number, query in enumerate(queries[:20] + queries):
            start = time.perf_counter()
            result = await sandbox.execute("rag:search", {"query": query, "k": 10})
            if number >= 20:
                took.append(time.perf_counter() - start)
            assert result.ok, result.text
    return statistics.median(took) * 1000


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _build_in_child(path: Path, state: Path, engine: str, told) -> None:
    before = peak_mb()
    start = time.perf_counter()
    saved = prepare("bench", CorpusConfig(path=str(path), engine=engine), state, lambda doing, documents: None)
    told.put((time.perf_counter() - start, before, peak_mb(), saved.documents))


def build_apart(path: Path, state: Path, engine: str) -> tuple[float, float, float, int]:
    """Seconds, memory before, peak memory, documents: of a build in a process of its own."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    child = context.Process(target=_build_in_child, args=(path, state, engine, told))
    child.start()
    found = told.get()
    child.join()
    return found


def recall() -> str:
    folder = Path(os.environ.get("AGENTFLOW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (folder / "hotpotqa-corpus.jsonl").is_file():
        return "skipped: AGENTFLOW_DATA names no folder with hotpotqa-corpus.jsonl"
    with tempfile.TemporaryDirectory() as state:
        config = CorpusConfig(path=str(folder / "hotpotqa-corpus.jsonl"))
        corpus = OpenCorpus("hotpotqa", config, prepare("hotpotqa", config, Path(state), lambda doing, documents: None))
        rows = [json.loads(line) for line in (folder / "hotpotqa-dev.jsonl").read_text().splitlines()]
        wanted = sum(len(row["supporting_titles"]) for row in rows)
        found = sum(
            len({hit.title for hit in corpus.search(row["question"], k=10).hits} & set(row["supporting_titles"]))
            for row in rows
        )
        corpus.close()
    return f"{found / wanted:.2f} (at least 0.90)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--engine", default="tantivy", choices=["tantivy", "whoosh"])
    parser.add_argument("--million", action="store_true", help="also index one million documents of 30 words")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agentflow-bench-rag-") as name:
        folder = Path(name)
        corpus = folder / "corpus.jsonl"
        write_corpus(corpus, options.documents, 100)
        queries = corpus.with_suffix(".queries").read_text().splitlines()
        (folder / "direct").mkdir()
        start = time.perf_counter()
        index = direct_build(corpus, folder / "direct")
        direct_s = time.perf_counter() - start
        ours_s, before, peak, documents = build_apart(corpus, folder / "rag", options.engine)
        config = CorpusConfig(path=str(corpus), engine=options.engine)
        opened = OpenCorpus("bench", config, prepare("bench", config, folder / "rag", lambda doing, documents: None))
        direct_ms = timed(direct_query(index), queries)
        snippets_ms = timed(direct_query_with_snippets(index), queries)
        library_ms = timed(lambda query: opened.search(query, k=10), queries)
        opened.close()
        tool_ms = anyio.run(timed_tool, corpus, folder, config, queries)
        print(f"documents              {documents:,} of 100 words, engine {options.engine}")
        print(f"build    direct        {direct_s:6.2f} s")
        print(
            f"build    ours          {ours_s:6.2f} s     ratio {ours_s / direct_s:.2f} (at most 3)   peak +{peak - before:.0f} MB"
        )
        print(f"query    direct, whole texts     {direct_ms:6.3f} ms p50")
        print(f"query    direct, with snippets   {snippets_ms:6.3f} ms p50")
        for what, took in (("library", library_ms), ("tool   ", tool_ms)):
            ratios = f"ratio {took / snippets_ms:.2f} with snippets, {took / direct_ms:.2f} without"
            print(f"query    ours, {what}           {took:6.3f} ms p50   {ratios} (at most 1.3)")
        print(f"recall@10              {recall()}")
        if options.million:
            write_corpus(folder / "million.jsonl", 1_000_000, 30)
            size = (folder / "million.jsonl").stat().st_size / 2**20
            took, before, peak, documents = build_apart(folder / "million.jsonl", folder / "rag", options.engine)
            print(
                f"million  {documents:,} documents of 30 words, {size:.0f} MB: {took:.1f} s, peak +{peak - before:.0f} MB"
            )


if __name__ == "__main__":
    main()
