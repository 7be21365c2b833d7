"""Reading a run: records, large texts, errors with file and line; the index of runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from agentflow_core.blobs import BlobStore
from agentflow_core.cli.runs import command
from agentflow_core.errors import DataError, RunError
from agentflow_core.records import QA, Node, Observation, Score, TaskResult, Trajectory
from agentflow_core.records.codec import dump, dumps
from agentflow_core.runs.files import loaded_text, stored_text
from agentflow_core.runs.index import default_run_dir, list_runs
from agentflow_core.runs.journal import Batch
from agentflow_core.runs.reader import RunReader

if TYPE_CHECKING:
    from pathlib import Path

QA_RECORD = QA(id="q1", seed_id="s", path_id="p", question="?", answer="!")
SUMMARY = {
    "kind": "synthesis",
    "status": "complete",
    "counts": {"accepted": 1, "rejected": 0},
    "usage": {"by_role": {}, "cost_usd": 0.25},
}


def test_records_come_back_as_records(open_run):
    result = TaskResult(task_id="t", scores={"f1_score": Score(value=0.5)})
    with open_run() as run:
        run.write("qa.jsonl", [dumps(QA_RECORD)])
        run.write("rejected.jsonl", [])
        run.write("results.jsonl", [dumps(result)])
        run.write("trajectories.jsonl", [dumps(Trajectory(id="t#0", task_id="t"))])
        run.write("scores.jsonl", [b'{"a":1}\n'])
        run.finish("complete", SUMMARY)
    reader = RunReader(run.dir)
    assert list(reader.qa()) == [QA_RECORD]
    assert list(reader.rejected()) == []
    assert list(reader.paths()) == []
    assert list(reader.results()) == [result]
    assert next(reader.trajectories()).id == "t#0"
    assert list(reader.lines("scores.jsonl")) == [{"a": 1}]
    assert (reader.kind, reader.status) == ("synthesis", "complete")
    assert reader.summary() == SUMMARY
    assert reader.config()["sampling"] == {"max_depth": 4}


@pytest.mark.parametrize(
    ("text", "is_blob"), [("short", False), ("é" * 16384, False), ("é" * 16385, True), ("x" * 32769, True)]
)
def test_a_text_over_32_kb_is_kept_as_a_blob_and_read_whole(open_run, text, is_blob):
    with open_run() as run:
        stored = stored_text(text, run.blobs)
        assert isinstance(stored, dict) is is_blob
        node = dump(Node(id="s/0.1", seed_id="s", result=Observation(text="")))
        node["result"]["text"] = stored
        run.write("tree.jsonl", [json.dumps(node).encode() + b"\n"])
    assert next(RunReader(run.dir).tree()).result.text == text


def test_a_blob_that_is_not_there_is_an_error_with_file_and_line(open_run):
    node = dump(Node(id="s/0.1", seed_id="s", result=Observation(text="")))
    node["result"]["text"] = {"blob": "0" * 64}
    with open_run() as run:
        run.write("tree.jsonl", [json.dumps(node).encode() + b"\n"])
    with pytest.raises(DataError, match=r"tree\.jsonl:1: result\.text: no blob 000"):
        list(RunReader(run.dir).tree())


def test_only_text_or_a_blob_is_a_text(tmp_path):
    with pytest.raises(DataError, match="not int"):
        loaded_text(3, BlobStore(tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"qa\.jsonl:2: not JSON"),
        (b"[]", r"qa\.jsonl:2: an object is expected, not list"),
        (b'{"id": "q"}', r"qa\.jsonl:2: .*seed_id"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(open_run, line, message):
    with open_run() as run:
        run.write("qa.jsonl", [dumps(QA_RECORD), line + b"\n"])
    records = RunReader(run.dir).qa()
    assert next(records) == QA_RECORD
    with pytest.raises(DataError, match=message):
        next(records)


def test_fields_of_later_versions_are_kept_by_readers(open_run):
    with open_run() as run:
        run.write("qa.jsonl", [dumps(QA_RECORD).replace(b"{", b'{"mood":"good",', 1)])
    assert dump(next(RunReader(run.dir).qa()))["mood"] == "good"


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        RunReader(tmp_path)
    with pytest.raises(RunError, match="not a run directory"):
        RunReader(tmp_path / "nowhere")


def test_the_next_run_directory_has_the_number_after_the_highest(tmp_path):
    assert default_run_dir(tmp_path / "runs", "synthesis", "rag") == tmp_path / "runs" / "synthesis-rag-001"
    for name in ("synthesis-rag-001", "synthesis-rag-007", "synthesis-rag-b-009", "rollout-rag-003"):
        (tmp_path / name).mkdir()
    assert default_run_dir(tmp_path, "synthesis", "rag").name == "synthesis-rag-008"
    assert default_run_dir(tmp_path, "rollout", "rag").name == "rollout-rag-004"
    assert default_run_dir(tmp_path, "rollout", "rollout").name == "rollout-001"
    assert default_run_dir(tmp_path, "rollout", "../a b").name == "rollout-a-b-001"


@pytest.fixture
def runs(open_run, tmp_path) -> Path:
    with open_run("a") as run:
        run.finish("complete", SUMMARY)
    with open_run("b", kind="rollout") as run:
        run.finish("complete", {"metrics": {"f1_score": {"mean": 0.5}}, "usage": {"cost_usd": None}})
    with open_run("c"):
        pass
    with open_run("d") as killed:
        path = killed.dir / "run.json"
        running = path.read_text()
    path.write_text(running)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "run.json").write_text("{")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "journal").mkdir()
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_every_run_is_a_row_and_a_broken_one_says_why(runs):
    rows = {row.dir.name: row for row in list_runs(runs)}
    assert list(rows) == ["a", "b", "c", "d", "e", "f"]
    assert [row.status for row in rows.values()] == [
        "complete",
        "complete",
        "interrupted",
        "killed",
        "broken",
        "broken",
    ]
    assert rows["a"].cost_usd == 0.25
    assert rows["b"].metrics == {"f1_score": 0.5}
    assert "cannot be read" in rows["e"].reason
    assert "no run.json" in rows["f"].reason


def test_a_run_that_goes_on_is_running(open_run, tmp_path):
    with open_run():
        assert list_runs(tmp_path)[0].status == "running"


@pytest.mark.parametrize("damage", [b"[]", b"{}", b'{"schema": "x"}', b"\xff", b'{"schema": 99}'])
def test_no_run_json_is_bad_enough_to_break_the_list(tmp_path, damage):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_bytes(damage)
    assert list_runs(tmp_path)[0].status == "broken"


@pytest.mark.parametrize("damage", ["summary.json", "journal/ledger"])
def test_a_damaged_part_is_a_row_too(open_run, tmp_path, damage):
    with open_run() as run:
        run.finish("complete", SUMMARY)
    (run.dir / damage).parent.mkdir(exist_ok=True)
    (run.dir / damage).write_bytes(b"\xff\xfe{")
    assert len(list_runs(tmp_path)) == 1


def test_runs_list_prints_a_line_a_run(runs):
    result = CliRunner().invoke(command, ["list", str(runs)])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[1].split()[:3] == ["a", "synthesis", "complete"]
    assert "accepted 1, rejected 0" in lines[1]
    assert "f1_score 0.500" in lines[2]
    assert "broken" in lines[5]


def test_runs_list_json_is_one_array(runs):
    rows = json.loads(CliRunner().invoke(command, ["list", str(runs), "--json"]).output)
    assert [row["status"] for row in rows][:2] == ["complete", "complete"]
    assert rows[0]["counts"] == {"accepted": 1, "rejected": 0}


def test_runs_list_of_an_empty_directory_says_how_to_make_one(tmp_path):
    assert "agentflow demo" in CliRunner().invoke(command, ["list", str(tmp_path)]).output


def test_runs_list_without_a_directory_looks_into_runs(tmp_path, monkeypatch, open_run):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["list"])
    assert (result.exit_code, result.output) == (0, "no runs in runs; one is made by: agentflow demo\n")
    with open_run("runs/a"):
        pass
    assert "a " in CliRunner().invoke(command, ["list"]).output
    assert isinstance(CliRunner().invoke(command, ["list", "nowhere"]).exception, RunError)


def test_runs_show_prints_the_card_and_the_versions(open_run):
    with open_run(versions={"agentflow-core": "0.1.0"}) as run:
        run.finish("complete", SUMMARY)
    output = CliRunner().invoke(command, ["show", str(run.dir)]).output
    assert "accepted" in output
    assert "agentflow-core" in output
    whole = json.loads(CliRunner().invoke(command, ["show", str(run.dir), "--json"]).output)
    assert whole["summary"] == SUMMARY
    assert whole["run"]["schema"] == 1


def test_runs_show_says_how_units_ended(open_run):
    with open_run() as run:
        run.journal.append([Batch(key="a", id="a", stage="sample", outcome="ok")])
        run.journal.append([Batch(key="b", id="b", stage="sample", outcome="error:transient")])
    output = CliRunner().invoke(command, ["show", str(run.dir)]).output
    assert "units  1 error:transient, 1 ok" in output


def test_runs_show_of_a_broken_run_is_an_error_with_its_reason(runs):
    result = CliRunner().invoke(command, ["show", str(runs / "e")])
    assert isinstance(result.exception, RunError)
    assert "cannot be read" in str(result.exception)


def test_names_of_directories_cannot_steer_the_terminal(open_run, tmp_path):
    with open_run("a\x1b[31mred"):
        pass
    output = CliRunner().invoke(command, ["list", str(tmp_path)]).output
    assert "\x1b" not in output
    assert os.listdir(tmp_path) == ["a\x1b[31mred"]
