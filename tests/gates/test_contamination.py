"""The gate against benchmarks."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from agentflow_core.errors import ConfigError, DataError
from agentflow_core.gates.contamination import Contamination, ContaminationConfig
from agentflow_core.gates.run_index import RunIndex

LONG = "In which borough of New York was the American editor of the film born who directed it in 1974?"


@pytest.fixture
def benchmark(tmp_path):
    """A benchmark of the questions: ``benchmark("q1", {"question": …})``."""

    def write(*rows, name="bench.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def gate(*files, **settings):
    return Contamination(ContaminationConfig(files=files, **settings))


async def test_a_run_of_words_in_a_benchmark_is_refused_and_the_place_named(case, benchmark):
    path = benchmark({"question": "Is it?"}, {"question": f"Tell me: {LONG.upper()}"})
    found = await case.changed(question=LONG).check(gate(path))
    assert not found.passed
    assert found.reason == (
        "12 of 13 runs of words stand in benchmarks: 'in which borough of new york was the' in bench.jsonl, row 2"
    )


async def test_fewer_words_in_common_are_no_contamination(case, benchmark):
    path = benchmark({"question": "Where was the director of the film Lost in Translation born?"})
    found = await case.check(gate(path))
    assert (found.passed, found.reason) == (True, "no run of words stands in the benchmarks")
    assert not (await case.check(gate(path, n=7))).passed


async def test_longer_runs_are_stricter_about_what_is_a_copy(case, benchmark):
    path = benchmark({"question": " ".join(LONG.split()[:12])})
    draft = case.changed(question=LONG)
    assert not (await draft.check(gate(path))).passed
    assert (await draft.check(gate(path, n=13))).passed


async def test_a_share_of_runs_may_be_allowed(case, benchmark):
    path = benchmark({"question": " ".join(LONG.split()[:9])})
    draft = case.changed(question=LONG)
    assert (await draft.check(gate(path, threshold=0.5))).passed
    assert not (await draft.check(gate(path, threshold=0.1))).passed


async def test_a_short_question_is_found_where_it_is_the_same(case, benchmark):
    short = case.changed(question="Who founded Ubuntu?")
    assert not (await short.check(gate(benchmark({"question": "who founded “Ubuntu”"})))).passed
    assert (
        await short.check(gate(benchmark({"question": "Who founded Ubuntu and Canonical, and when was it?"})))
    ).passed


async def test_question_and_answer_together_make_runs_too(case, benchmark):
    path = benchmark({"question": "Where was the editor born exactly?", "answer": "Upper Manhattan"})
    draft = case.changed(question="And where was the editor born exactly?", answer="Upper Manhattan")
    assert not (await draft.check(gate(path))).passed
    assert (await draft.check(gate(path, answers=False))).passed


async def test_files_of_every_kind_are_read_as_benchmarks_are(case, benchmark, tmp_path):
    csv = tmp_path / "bench.csv"
    csv.write_text(f'prompt,gold\n"{LONG}",Manhattan\n')
    listed = tmp_path / "bench.json"
    listed.write_text(json.dumps({"data": [{"query": "Something else entirely?"}, {"input": LONG}]}))
    draft = case.changed(question=LONG)
    assert "bench.csv, row 1" in (await draft.check(gate(csv, fields={"question": "prompt"}))).reason
    both = gate(benchmark("Is it?"), listed)
    assert "bench.json, row 2" in (await draft.check(both)).reason


async def test_parquet_is_read_too(case, needed, tmp_path):
    needed("pyarrow")
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "bench.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([{"question": LONG}]), path)
    assert not (await case.changed(question=LONG).check(gate(path))).passed


def test_what_cannot_be_read_is_named_with_its_line(benchmark, tmp_path):
    with pytest.raises(DataError, match=r"bench\.jsonl:2: no question") as wrong:
        gate(benchmark({"question": "Is it?"}, {"text": "no"}))
    assert "contamination" in wrong.value.hint
    with pytest.raises(DataError, match=r"gone\.jsonl: no such file"):
        gate(tmp_path / "gone.jsonl")
    with pytest.raises(DataError, match="holds no task"):
        gate(benchmark(name="empty.jsonl"))
    with pytest.raises(ConfigError, match="names no benchmark file"):
        ContaminationConfig()


def test_another_file_is_another_gate(benchmark):
    first = gate(benchmark({"question": "Is it?"})).identity
    assert gate(benchmark({"question": "Is it?"})).identity == first
    assert gate(benchmark({"question": "Was it?"})).identity != first


def test_the_index_finds_the_first_row_of_a_hash_over_all_blocks():
    index = RunIndex(block=4)
    for row in range(10):
        index.add([row, row + 1, 2**63 + row], row)
    assert [index.row_of(value) for value in (0, 1, 10, 2**63 + 9, 11)] == [0, 0, 9, 9, None]
    assert len(index) >= 21


def test_an_index_takes_12_bytes_a_run():
    tracemalloc.start()
    try:
        index = RunIndex(block=10_000)
        before, _ = tracemalloc.get_traced_memory()
        for row in range(10_000):
            index.add((hash((row, number)) & 0xFFFFFFFFFFFFFFF for number in range(20)), row)
        assert len(index) == 200_000
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000 * 14
    assert peak - before < 200_000 * 14 + 2_000_000
