"""Saved indexes: by content, atomic, shared between processes, safe against kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentflow_core.errors import DataError, StorageError
from agentflow_rag.builds import prepare
from agentflow_rag.config import ChunkConfig, CorpusConfig

if TYPE_CHECKING:
    from pathlib import Path

SLOW_BUILD = """
import sys
from pathlib import Path
from agentflow_rag.builds import prepare
from agentflow_rag.config import CorpusConfig

def tick(doing, documents):
    print(doing, documents, flush=True)
    if sys.argv[3] == "wait":
        sys.stdin.readline()

saved = prepare("test", CorpusConfig(path=sys.argv[1]), Path(sys.argv[2]), tick)
print("READY", saved.version, saved.built, flush=True)
"""


def child(corpus: Path, state: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(corpus), str(state), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert not err, err
    return out


@pytest.fixture
def many(write_jsonl):
    return write_jsonl([{"id": f"d{n:05}", "text": f"document number {n}"} for n in range(3000)])


def test_an_index_is_built_once_and_then_found(texts, build):
    first, second = build(texts), build(texts)
    assert first.built
    assert not second.built
    assert (first.version, first.documents) == (second.version, 5)


def test_another_content_or_setting_is_another_version_and_the_old_one_stays(texts, build):
    first = build(texts)
    with texts.open("a") as corpus:
        corpus.write(json.dumps({"id": "new", "text": "new"}) + "\n")
    second = build(texts)
    third = build(texts, chunk=ChunkConfig(tokens=16, overlap=0))
    assert len({first.version, second.version, third.version}) == 3
    assert first.directory.is_dir()


def test_the_version_does_not_depend_on_where_the_corpus_lies(texts, tmp_path, build):
    moved = tmp_path / "elsewhere" / texts.name
    moved.parent.mkdir()
    moved.write_bytes(texts.read_bytes())
    assert build(texts).version == build(moved).version


def test_duplicate_ids_are_reported_with_their_line_and_the_first_one_stays(write_jsonl, build, open_corpus):
    path = write_jsonl([{"id": "a", "text": "first"}, {"id": "b", "text": "other"}, {"id": "a", "text": "second"}])
    saved = build(path)
    assert (saved.documents, saved.skipped) == (2, 1)
    assert ":3" in saved.problems[0]
    assert "duplicate id 'a'" in saved.problems[0]
    assert open_corpus(path).get("a").text == "first"
    assert build(path).problems == saved.problems
    for chunk in (None, ChunkConfig()):  # the index stands already, or is built now
        with pytest.raises(DataError, match="duplicate"):
            build(path, strict=True, chunk=chunk)


def test_an_empty_corpus_says_so_and_why_and_leaves_nothing(tmp_path, write_jsonl, build):
    with pytest.raises(DataError, match="is empty") as caught:
        build(write_jsonl([{"body": "x"}]))
    assert "no field 'text' (there is: body)" in str(caught.value)
    assert [path.suffix for path in (tmp_path / "state").iterdir()] in ([".lock"], [])


def test_an_overlap_that_is_no_part_of_a_piece_is_refused(texts, build):
    with pytest.raises(DataError, match="overlap"):
        build(texts, chunk=ChunkConfig(tokens=16, overlap=16))


def test_a_state_folder_that_cannot_be_written_is_a_storage_error(texts, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="AGENTFLOW_STATE"):
        prepare("test", CorpusConfig(path=str(texts)), tmp_path / "file" / "state", lambda doing, done: None)


def test_a_build_that_is_stopped_leaves_nothing(many, tmp_path):
    class Stopped(Exception):
        pass

    def tick(doing: str, documents: int) -> None:
        if doing == "indexing":
            raise Stopped

    with pytest.raises(Stopped):
        prepare("test", CorpusConfig(path=str(many)), tmp_path / "state", tick)
    assert [path.name for path in (tmp_path / "state").iterdir() if path.suffix != ".lock"] == []


def test_a_corpus_that_changes_while_it_is_read_is_refused(many, tmp_path):
    def tick(doing: str, documents: int) -> None:
        if doing == "indexing":
            many.write_text('{"id": "x", "text": "changed"}\n')

    with pytest.raises(DataError, match="was changed"):
        prepare("test", CorpusConfig(path=str(many)), tmp_path / "state", tick)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_build_that_is_killed_is_never_opened_and_the_next_one_cleans_up(many, tmp_path):
    state = tmp_path / "state"
    old = many.with_name("old.jsonl")
    old.write_text('{"id": "a", "text": "the old version"}\n')
    before = prepare("test", CorpusConfig(path=str(old)), state, lambda doing, done: None)
    process = child(many, state, "wait")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("reading")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    left = [path for path in state.iterdir() if path.name.startswith("building-")]
    assert len(left) == 1
    assert before.directory.is_dir()
    saved = prepare("test", CorpusConfig(path=str(many)), state, lambda doing, done: None)
    assert saved.built
    assert saved.documents == 3000
    assert not left[0].exists()


def test_several_processes_that_start_at_once_build_one_index_once(many, tmp_path):
    processes = [child(many, tmp_path / "state", "go") for _ in range(3)]
    last = [ended(process).splitlines()[-1].split() for process in processes]
    assert {row[0] for row in last} == {"READY"}
    assert len({row[1] for row in last}) == 1
    assert sorted(row[2] for row in last) == ["False", "False", "True"]
