"""The Text2SQL examples, run as they stand: the bookshop that is bundled, and Chinook."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "text2sql"
BOOKSHOP = EXAMPLES / "bookshop.sqlite"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def bubblewrap(missing):
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")


@pytest.fixture
def chinook(missing):
    folder = Path(os.environ.get("AGENTFLOW_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "chinook.sqlite").is_file():
        missing(f"no chinook.sqlite in {folder}: set AGENTFLOW_DATA (see examples/text2sql/README.md)")
    return folder / "chinook.sqlite"


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_again(run, data):
    check = Path(__file__).with_name("reruns.py")
    ran = subprocess.run([sys.executable, check, run, data], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def content(path):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def test_the_synthesis_example_gives_qa_whose_sql_gives_the_answer_when_run_again(agentflow, tmp_path):
    began = time.monotonic()
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain")
    seconds = time.monotonic() - began

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 20
    assert {verdict["name"] for verdict in accepted[0]["gates"]} >= {"executes", "clauses_necessary"}
    assert seconds < 120
    run_again(tmp_path / "qa", BOOKSHOP)
    look = [sys.executable, Path(__file__).with_name("evidence.py"), tmp_path / "qa"]
    looked = subprocess.run(look, capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    replays = json.loads((tmp_path / "qa" / "summary.json").read_text())["funnel"]["replays"]
    assert replays["paths"] >= 10
    assert replays["paths_equal_share"] >= 0.99


def test_the_rollout_example_grades_every_query(agentflow, tmp_path):
    ran = agentflow("rollout", EXAMPLES / "rollout.yaml", "--run", "sql", "--plain")

    assert ran.returncode == 0, ran.stderr
    figures = json.loads((tmp_path / "sql" / "summary.json").read_text())["metrics"]["sql_execution"]
    assert figures["attempted"] == figures["graded"] == len(lines(EXAMPLES / "questions.jsonl"))
    assert figures["mean"] >= 0.5


def test_the_example_with_answers_scores_values_as_the_queries_give_them(agentflow, tmp_path):
    ran = agentflow("rollout", EXAMPLES / "answers.yaml", "--run", "answers", "--plain")

    assert ran.returncode == 0, ran.stderr
    figures = json.loads((tmp_path / "answers" / "summary.json").read_text())["metrics"]
    assert figures["exact_match"]["mean"] >= 0.5
    assert figures["numeric_match"]["mean_graded"] >= 0.5


def test_chinook_gives_qa_of_which_most_join_tables(agentflow, chinook, tmp_path):
    ran = agentflow("synthesize", EXAMPLES / "chinook.yaml", "--run", "qa", "--plain", AGENTFLOW_DATA=chinook.parent)

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 30
    assert sum(" JOIN " in qa["extra"]["sql"] for qa in accepted) * 3 >= len(accepted)
    run_again(tmp_path / "qa", chinook)


def test_the_script_makes_the_database_that_is_bundled(tmp_path):
    made = tmp_path / "bookshop.sqlite"
    subprocess.run([sys.executable, EXAMPLES / "make_database.py", made], check=True)
    assert content(made) == content(BOOKSHOP)
    assert BOOKSHOP.stat().st_size < 300_000


def test_the_gold_queries_of_the_questions_give_their_answers():
    tasks = lines(EXAMPLES / "questions.jsonl")
    assert len(tasks) >= 20
    with closing(sqlite3.connect(f"file:{BOOKSHOP}?mode=ro", uri=True)) as connection:
        for task in tasks:
            assert [(task["answer"],)] == [(str(value),) for (value,) in connection.execute(task["sql"])], task["id"]
