"""The tools, through a sandbox in this process."""

from __future__ import annotations

import json

import anyio
import pytest

from agentflow_core.concurrency import Merged
from agentflow_core.errors import DataError
from agentflow_core.records.events import Notice
from agentflow_core.sandbox import Backend, BackendContext, Catalog, Sandbox, SandboxConfig
from agentflow_rag.backend import RagBackend
from agentflow_rag.config import CorpusConfig, RagConfig


@pytest.fixture
def rag(tmp_path):
    def make(**corpora):
        settings = RagConfig(corpora={name: CorpusConfig(path=str(path)) for name, path in corpora.items()})
        catalog = Catalog.of(rag=lambda: RagBackend(settings))
        return Sandbox(catalog=catalog, config=SandboxConfig(state_dir=tmp_path / "state"))

    return make


async def test_with_nothing_configured_the_bundled_corpus_is_there(rag):
    async with rag() as sandbox:
        listed = await sandbox.execute("rag:corpora")
        found = await sandbox.execute("rag:search", {"query": "Danube", "k": 3})
    assert listed.data["corpora"][0]["name"] == "facts"
    assert found.data["hits"][0]["title"] == "Danube"
    assert found.data["corpus_version"] == listed.data["corpora"][0]["version"]


async def test_sources_say_which_characters_come_from_which_document(rag, texts):
    async with rag(test=texts) as sandbox:
        found = await sandbox.execute("rag:search", {"query": "Danube", "snippet_chars": 60})
        read = await sandbox.execute("rag:get", {"doc_id": "ulm", "length": 30})
        placed = await sandbox.execute("rag:find", {"pattern": "Danube"})
    assert found.text.startswith("[1] Danube (doc_id: danube)\n")
    for result, rows in ((found, found.data["hits"]), (placed, placed.data["matches"])):
        assert [source["doc_id"] for source in result.data["sources"]] == [row["doc_id"] for row in rows]
        for source, row in zip(result.data["sources"], rows, strict=True):
            assert row.get("snippet", row.get("context")) in result.text[source["start"] : source["end"]]
    assert read.text.startswith("Ulm (doc_id: ulm)\n\nUlm is a city in southern Germ")
    assert read.data["next"] == 30
    assert "go on with start=30" in read.text[read.data["sources"][0]["end"] :]


async def test_several_queries_are_answered_one_after_the_other(rag, texts):
    async with rag(test=texts) as sandbox:
        found = await sandbox.execute("rag:search", {"queries": ["Ulm", "Vienna"], "k": 1})
        twice = await sandbox.execute("rag:search", {"queries": ["Ulm"], "query": "Ulm"})
        none = await sandbox.execute("rag:search", {})
    assert [(hit["query"], hit["doc_id"]) for hit in found.data["hits"]] == [("Ulm", "ulm"), ("Vienna", "vienna")]
    assert "Query: Vienna\n\n[2] Vienna" in found.text
    assert {twice.code, none.code} == {"invalid_argument"}


async def test_wrong_names_are_answered_with_what_is_there(rag, texts):
    async with rag(wiki=texts) as sandbox:
        corpus = await sandbox.execute("rag:search", {"query": "x", "corpus": "wikki"})
        document = await sandbox.execute("rag:get", {"doc_id": "Albert Einstein"})
        field = await sandbox.execute("rag:search", {"query": "x", "filters": {"titel": "x"}})
        value = await sandbox.execute("rag:search", {"query": "x", "filters": {"title": []}})
        behind = await sandbox.execute("rag:get", {"doc_id": "ulm", "start": 5000})
    assert (corpus.code, document.code) == ("not_found", "not_found")
    assert "did you mean 'wiki'" in corpus.text
    assert "ulm (Ulm)" in document.hint
    assert "filters.titel" in field.message
    assert "filters.title" in value.message
    assert "start=5000" in behind.message


async def test_one_id_in_two_corpora_is_ambiguous_until_the_corpus_is_named(rag, write_jsonl, texts):
    other = write_jsonl([{"id": "ulm", "text": "another Ulm"}], "other.jsonl")
    async with rag(one=texts, two=other) as sandbox:
        plain = await sandbox.execute("rag:get", {"doc_id": "ulm"})
        named = await sandbox.execute("rag:get", {"doc_id": "two:ulm"})
        found = await sandbox.execute("rag:find", {"pattern": "Ulm", "doc_id": "ulm", "corpus": "two"})
    assert plain.code == "ambiguous_target"
    assert "two:ulm" in plain.hint
    assert "another Ulm" in named.text
    assert found.data["corpus"] == "two"


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "(?P<x", "*"])
async def test_a_pattern_that_is_no_regular_expression_names_the_argument(rag, texts, pattern):
    async with rag(test=texts) as sandbox:
        result = await sandbox.execute("rag:find", {"pattern": pattern, "regex": True})
    assert result.code == "invalid_argument"
    assert "pattern" in result.message


async def test_a_regular_expression_that_would_never_end_is_stopped(rag, write_jsonl, monkeypatch):
    monkeypatch.setattr("agentflow_rag.finding.TIMEOUT_S", 0.2)
    path = write_jsonl([{"id": "a", "text": "a" * 5000 + "!"}])
    async with rag(test=path) as sandbox:
        result = await sandbox.execute("rag:find", {"pattern": r"(a|aa)+$", "regex": True})
    assert result.code == "timeout"


async def test_bad_lines_are_told_once_at_warmup_and_counted_in_the_list(rag, tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a", "text": "x"}\nnot json\n')
    told = []
    backend = RagBackend(RagConfig(corpora={"c": CorpusConfig(path=str(path))}))
    backend.context = BackendContext(name="rag", folder=tmp_path / "state", observe=told.append)
    await backend.warmup()
    await backend.warmup()
    await backend.shutdown()
    warnings = [event.message for event in told if isinstance(event, Notice) and event.level == "warning"]
    assert len(warnings) == 1
    assert "1 bad line left out" in warnings[0]
    assert "c.jsonl:2" in warnings[0]


async def test_a_broken_corpus_fails_the_warmup_with_its_own_error(tmp_path):
    backend = RagBackend(RagConfig(corpora={"c": CorpusConfig(path=str(tmp_path / "none.jsonl"))}))
    backend.context = BackendContext(name="rag", folder=tmp_path / "state", observe=lambda event: None)
    with pytest.raises(DataError, match=r"none\.jsonl"):
        await backend.warmup()
    await backend.shutdown()


async def test_identical_calls_under_way_run_once():
    merged: Merged[int] = Merged()
    go = anyio.Event()
    runs = []

    async def work() -> int:
        runs.append(1)
        await go.wait()
        return len(runs)

    results = []

    async def ask() -> None:
        results.append(await merged.run("key", work))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert (results, len(runs)) == ([1] * 5, 1)


async def test_a_cancelled_first_caller_leaves_the_work_to_the_next():
    merged: Merged[str] = Merged()
    go = anyio.Event()
    results = []

    async def work() -> str:
        await go.wait()
        return "done"

    async def ask() -> None:
        results.append(await merged.run("key", work))

    first = anyio.CancelScope()

    async def impatient() -> None:
        with first:
            await ask()

    async with anyio.create_task_group() as group:
        group.start_soon(impatient)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert results == ["done"]


async def test_many_workers_get_the_same_answers_at_once(rag, texts):
    answers = []
    async with rag(test=texts) as sandbox:

        async def ask(number: int) -> None:
            result = await sandbox.worker(f"w{number}").execute("rag:search", {"query": ["Danube", "Ulm"][number % 2]})
            answers.append((number % 2, json.dumps(result.data)))

        async with anyio.create_task_group() as group:
            for number in range(64):
                group.start_soon(ask, number)
    assert len(set(answers)) == 2


def test_the_tools_tell_their_bounds():
    tools = RagBackend.tools()
    assert issubclass(RagBackend, Backend)
    assert list(tools) == ["corpora", "find", "get", "search"]
    assert all(tool.read_only for tool in tools.values())
    schema = tools["search"].schema["properties"]
    assert (schema["k"]["minimum"], schema["k"]["maximum"], schema["k"]["default"]) == (1, 100, 5)
    assert schema["mode"]["enum"] == ["auto", "bm25", "phrase"]
    assert set(tools["get"].schema["properties"]) == {"doc_id", "start", "length"}
    assert set(tools["find"].schema["properties"]) == {"pattern", "doc_id", "corpus", "regex"}
