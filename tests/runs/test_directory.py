"""The run directory: one writer, one configuration, forks, derived files."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys

import pytest

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import (
    LimitReached,
    RunConflictError,
    RunError,
    RunLockedError,
    SandboxError,
    StorageError,
)
from agentflow_core.executors.local import LocalExecutor
from agentflow_core.records import Usage
from agentflow_core.records.events import Notice
from agentflow_core.runs.directory import Run
from agentflow_core.runs.lock import read_holder
from agentflow_core.runs.stages import StopSignal, run_stage

VERSIONS = {"agentflow-core": "0.1.0", "agentflow-rag": "0.1.0"}


async def finish(run, stage, count=3, ran=None):
    async def work(unit, journal):
        if ran is not None:
            ran.append(unit.id)
        journal.add("node", unit.input)
        return "ok"

    units = [run.unit(stage, f"{stage}-{i}", {"i": i}) for i in range(count)]
    return await run_stage(run, stage, units, work, executor=LocalExecutor(), max_workers=2, stop=StopSignal())


def manifest(run):
    return json.loads((run.dir / "run.json").read_text())


def test_a_new_run_says_what_it_is(open_run):
    with open_run(versions=VERSIONS) as run:
        assert not run.resumed
        found = manifest(run)
    assert found["schema"] == 1
    assert found["kind"] == "synthesis"
    assert found["status"] == "running"
    assert found["versions"] == VERSIONS
    assert set(found["stages"]) == {"sample", "select"}
    assert len(found["stages"]["sample"]["digest"]) == 64
    assert (run.dir / "config.yaml").read_text().startswith("sampling:\n  max_depth: 4\n")


def test_the_text_of_the_configuration_may_be_given(open_run):
    with open_run(config_text="# mine\nsampling: {max_depth: 4}\n") as run:
        assert (run.dir / "config.yaml").read_text().startswith("# mine")


def test_a_second_writer_is_refused_with_pid_and_host(open_run, tmp_path):
    script = (
        "import sys; from pathlib import Path; from agentflow_core.runs.directory import Run\n"
        "Run.open(Path(sys.argv[1]), kind='synthesis', config={}, stages={})"
    )
    with open_run():
        child = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "run")], capture_output=True, text=True, check=False
        )
        assert "RunLockedError" in child.stderr
        assert f"process {os.getpid()} on {socket.gethostname()}" in child.stderr
        with pytest.raises(RunLockedError):
            open_run()
    with open_run() as run:
        assert run.resumed


def test_a_dead_writer_blocks_nobody_and_is_known_to_be_dead(open_run, tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from agentflow_core.runs.directory import Run\n"
        "run = Run.open(Path(sys.argv[1]), kind='synthesis', config={}, stages={}); os.kill(os.getpid(), 9)"
    )
    child = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], check=False)
    assert child.returncode == -9
    assert not read_holder(tmp_path / "run").is_alive
    with open_run(config={}, stages={}) as run:
        assert run.resumed
        assert read_holder(tmp_path / "run").is_alive
    assert read_holder(tmp_path / "run") is None


async def test_another_configuration_is_refused_and_the_difference_printed(open_run):
    with open_run(versions=VERSIONS) as run:
        await finish(run, "sample")
        await finish(run, "select")
    stages = {
        "sample": {"sampling": {"max_depth": 6, "branching_factor": 2}},
        "select": {"selection": {"selector": "topk"}, "sampling": {"max_depth": 6}},
    }
    with pytest.raises(RunConflictError) as caught:
        open_run(stages=stages, versions={**VERSIONS, "agentflow-rag": "0.2.0"})
    lines = caught.value.message.splitlines()
    assert "  sampling.max_depth: 4 -> 6  (stage sample)" in lines
    assert "  sampling.branching_factor: (not set) -> 2  (stage sample)" in lines
    assert '  selection.selector: "coverage" -> "topk"  (stage select)' in lines
    assert '  versions.agentflow-rag: "0.1.0" -> "0.2.0"' in lines
    assert "--fork" in caught.value.hint
    assert caught.value.exit_code == 2
    with open_run(versions=VERSIONS) as run:
        assert run.resumed


async def test_a_directory_in_which_nothing_was_finished_takes_another_configuration(open_run):
    async def fail(unit, journal):
        raise SandboxError("no such machine")

    with open_run() as run:
        units = [run.unit("sample", "sample-0", {"i": 0})]
        await run_stage(run, "sample", units, fail, executor=LocalExecutor(), max_workers=1, stop=StopSignal())
    with open_run(stages={"sample": {"sampling": {"max_depth": 6}}, "select": {}}) as run:
        await finish(run, "sample")
        assert [found.outcome for found in run.records("sample")] == ["ok"] * 3


def test_what_no_stage_depends_on_may_change_on_resume(open_run):
    with open_run(config={"max_workers": 4}):
        pass
    with open_run(config={"max_workers": 8}) as run:
        assert run.resumed
        assert "8" in (run.dir / "config.yaml").read_text()


def test_a_run_of_another_kind_is_refused(open_run):
    with open_run():
        pass
    with pytest.raises(RunConflictError, match="kind 'synthesis', not 'rollout'"):
        open_run(kind="rollout")


def test_resume_can_be_demanded_or_forbidden(open_run):
    with pytest.raises(RunError, match="no run to resume"):
        open_run(resume=True)
    with open_run(resume=False):
        pass
    with pytest.raises(RunConflictError, match="holds a run already"):
        open_run(resume=False)
    with open_run(resume=True) as run:
        assert run.resumed


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"not a run: it has thesis\.tex"):
        Run.open(tmp_path, kind="synthesis", config={}, stages={})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_of_a_later_version_is_refused(open_run):
    with open_run() as run:
        pass
    path = run.dir / "run.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(RunError, match="schema version 99"):
        open_run()
    path.write_text(path.read_text().replace('"schema": 99', '"schema": 1'))
    with open_run():
        pass


def test_fields_of_later_versions_are_kept(open_run):
    with open_run() as run:
        pass
    path = run.dir / "run.json"
    path.write_text(path.read_text().replace("{", '{"mood": "good",', 1))
    with open_run() as run:
        pass
    assert manifest(run)["mood"] == "good"


async def test_keys_depend_on_stage_configuration_versions_input_and_sample(open_run):
    def key(name, **options):
        with open_run(name, **options) as run:
            return run.unit("sample", "id", {"b": 1, "a": [1, 2]}).key

    base = key("a")
    with open_run("b") as run:
        assert run.unit("sample", "other id", {"a": [1, 2], "b": 1}).key == base
        assert run.unit("sample", "id", {"a": [2, 1], "b": 1}).key != base
        assert run.unit("sample", "id", {"b": 1, "a": [1, 2]}, sample=1).key != base
        assert run.unit("select", "id", {"b": 1, "a": [1, 2]}).key != base
    assert key("c", versions=VERSIONS) != base
    assert key("d", stages={"sample": {}}) != base


async def test_two_units_that_are_the_same_work_are_refused(open_run):
    with open_run() as run, pytest.raises(RunError, match="units a and b of stage 'sample' are the same work"):
        run.plan("sample", [run.unit("sample", "a", 1), run.unit("sample", "b", 1)])


async def test_planning_again_writes_nothing_and_planning_otherwise_replaces_the_stage(open_run):
    with open_run() as run:
        path = run.dir / "plan.jsonl"
        run.plan("sample", [run.unit("sample", "s0", 0), run.unit("sample", "s1", 1)])
        run.plan("select", [run.unit("select", "t0", 0)])
        before = path.stat().st_ino
        run.plan("sample", [run.unit("sample", "s0", 0), run.unit("sample", "s1", 1)])
        assert path.stat().st_ino == before
    with open_run() as run:
        run.plan("sample", [run.unit("sample", "s0", 0), run.unit("sample", "s1", 1)])
        assert path.stat().st_ino == before
        run.plan("sample", [run.unit("sample", "s2", {"big": 2**70, "lone": "\ud800"})])
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(line["stage"], line["id"]) for line in lines] == [("sample", "s2"), ("select", "t0")]
        assert next(run._plan.units("sample")).input == {"big": 2**70, "lone": "\ud800"}


async def test_a_fork_reuses_the_stages_that_did_not_change(open_run):
    with open_run() as source:
        await finish(source, "sample")
        await finish(source, "select")
        blob = source.blobs.put(b"an image")
        with sqlite3.connect(source.cache_path) as cache:
            cache.execute("create table answers (key text)")
            cache.execute("insert into answers values ('a')")
        cache.close()
    stages = {"sample": {"sampling": {"max_depth": 4}}, "select": {"selection": {"selector": "topk"}}}
    ran = []
    with open_run("fork", stages=stages, fork=source.dir) as run:
        assert not run.resumed
        await finish(run, "sample", ran=ran)
        assert ran == []
        await finish(run, "select", ran=ran)
        assert ran == ["select-0", "select-1", "select-2"]
        assert [found.of("node") for found in run.records("sample")] == [[{"i": i}] for i in range(3)]
        assert run.blobs.get(blob) == b"an image"
        with sqlite3.connect(run.cache_path) as cache:
            assert cache.execute("select key from answers").fetchall() == [("a",)]
        cache.close()
        assert manifest(run)["forked_from"] == str(source.dir)
    with open_run("fork", stages=stages, fork=source.dir) as run:
        assert run.resumed
        await finish(run, "select", ran=ran)
    assert len(ran) == 3


async def test_a_fork_that_was_killed_while_copying_is_finished_by_the_next(open_run):
    with open_run() as source:
        await finish(source, "sample")
    with open_run("fork", fork=source.dir) as run:
        pass
    (run.dir / "run.json").unlink()
    journal = run.dir / "journal" / "0001.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    ran = []
    with open_run("fork", fork=source.dir) as run:
        await finish(run, "sample", ran=ran)
        assert ran == []


async def test_a_damaged_unit_is_not_forked_but_said(open_run):
    with open_run() as source:
        await finish(source, "sample")
    path = source.dir / "journal" / "0001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"i":1}', b'{"i":7}'))
    events, ran = [], []
    with open_run("fork", fork=source.dir, observe=events.append) as run:
        await finish(run, "sample", ran=ran)
    assert ran == ["sample-1"]
    assert "not taken over" in next(event.message for event in events if isinstance(event, Notice))


def test_fork_is_also_a_verb(open_run, tmp_path):
    with open_run() as source:
        pass
    with Run.fork(source.dir, tmp_path / "new", kind="synthesis", config={}, stages={}) as run:
        assert not run.resumed


def test_a_derived_file_is_whole_or_not_there(open_run):
    def breaking():
        yield b"{}\n"
        raise LookupError

    with open_run() as run:
        run.write("qa.jsonl", [b'{"id": "a"}\n'])
        with pytest.raises(LookupError):
            run.write("qa.jsonl", breaking())
        assert (run.dir / "qa.jsonl").read_text() == '{"id": "a"}\n'
        (run.dir / "qa.jsonl.tmp").symlink_to("/dev/full")
        with pytest.raises(StorageError, match="No space left"):
            run.write("qa.jsonl", [b"{}\n"])
        assert (run.dir / "qa.jsonl").read_text() == '{"id": "a"}\n'
        assert not [path for path in run.dir.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize("name", ["../x", "a/b", "run.json", "plan.jsonl", ".lock", "journal"])
def test_a_derived_file_cannot_be_anywhere_else(open_run, name):
    with open_run() as run, pytest.raises(ValueError, match="not the name"):
        run.write(name, [])


def test_finishing_writes_the_summary_and_the_status(open_run):
    summary = {"kind": "synthesis", "status": "complete", "counts": {"accepted": 2}}
    with open_run() as run:
        run.finish("complete", summary)
    assert json.loads((run.dir / "summary.json").read_text()) == summary
    assert "| accepted | 2 |" in (run.dir / "summary.md").read_text()
    assert manifest(run)["status"] == "complete"


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError(), "failed"), (LimitReached("usd", "spent"), "limited"), (KeyboardInterrupt(), "interrupted")],
)
def test_what_ends_a_run_early_is_its_status(open_run, error, status):
    with pytest.raises(type(error)), open_run() as run:
        raise error
    assert manifest(run)["status"] == status


def test_what_was_spent_adds_up_over_openings(open_run):
    with open_run() as run:
        run.record_spent({"solver": Usage(calls=1, prompt_tokens=10, cost_usd=0.5)})
        run.record_spent({"solver": Usage(calls=2, prompt_tokens=20, cost_usd=1.0)})
    with open_run() as run:
        run.finish(
            "complete", {}, spent={"solver": Usage(calls=1, prompt_tokens=5, cost_usd=None), "judge": Usage(calls=4)}
        )
    spent = manifest(run)["spent"]
    assert spent["solver"]["calls"] == 3
    assert spent["solver"]["prompt_tokens"] == 25
    assert spent["solver"]["cost_usd"] is None
    assert spent["judge"]["calls"] == 4


def test_blobs_of_a_run_are_where_others_look_for_them(open_run):
    with open_run() as run:
        sha256 = run.blobs.put(b"x")
    assert BlobStore(run.dir / "blobs").get(sha256) == b"x"


def test_a_place_that_may_not_be_written_is_said_so(open_run):
    with pytest.raises(RunError, match="is a file"):
        open_run("../../../../../../../../dev/null")
    with pytest.raises(StorageError, match="cannot write"):
        open_run("../../../../../../../../proc/nowhere")
