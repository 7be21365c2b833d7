"""The data analysis example, run as it stands over the CSV files that are bundled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "data-analysis"
DATA = EXAMPLES / "data"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def bubblewrap(missing):
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_synthesis_example_gives_qa_whose_code_gives_the_answer_when_run_again(agentflow, needed, tmp_path):
    needed("pandas")
    began = time.monotonic()
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain")
    seconds = time.monotonic() - began

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 20
    assert {verdict["name"] for verdict in accepted[0]["gates"]} >= {"executes"}
    assert seconds < 120
    check = Path(__file__).with_name("reruns.py")
    checked = subprocess.run(
        [sys.executable, check, tmp_path / "qa", DATA], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rollout_example_scores_every_question(agentflow, tmp_path):
    ran = agentflow("rollout", EXAMPLES / "rollout.yaml", "--run", "answers", "--plain")

    assert ran.returncode == 0, ran.stderr
    figures = json.loads((tmp_path / "answers" / "summary.json").read_text())["metrics"]
    assert figures["exact_match"]["graded"] == len(lines(EXAMPLES / "questions.jsonl"))
    assert figures["numeric_match"]["mean_graded"] >= 0.5


def test_the_script_makes_the_files_that_are_bundled(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "make_files.py", tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in DATA.iterdir()}


def test_the_gold_code_of_the_questions_gives_their_answers(needed):
    needed("pandas")
    tasks = lines(EXAMPLES / "questions.jsonl")
    programs = [_apart(task["code"]) for task in tasks]
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(programs)], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert [each.removesuffix(".0") for each in ran.stdout.split("\n")[:-1]] == [task["answer"] for task in tasks]


def _apart(code):
    """The program with its own names, so that one process can run all: pandas takes a while to import."""
    return f"exec({code!r}, {{}})"
