"""The multimodal documents example, run as it stands over the PDF reports that are bundled."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "mm-doc"
REPORTS = EXAMPLES / "reports"
CHECK = Path(__file__).with_name("locating.py")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def readers(needed):
    for name in ("agentflow_doc", "pdfplumber", "pypdfium2"):
        needed(name)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(pypdfium2, path):
    document = pypdfium2.PdfDocument(path)
    found = []
    for at in range(len(document)):
        page = document[at]
        text = page.get_textpage()
        found.append(text.get_text_bounded())
        text.close()
        page.close()
    document.close()
    return found


def test_the_synthesis_example_gives_qa_whose_evidence_is_found_again_on_its_pages(agentflow, tmp_path):
    began = time.monotonic()
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain")
    seconds = time.monotonic() - began

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 20
    assert len({qa["extra"]["kind"] for qa in accepted}) >= 4
    assert seconds < 120
    checked = subprocess.run(
        [sys.executable, CHECK, tmp_path / "qa", REPORTS], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

    tools = {node["tool"] for node in lines(tmp_path / "qa" / "tree.jsonl")}
    assert tools >= {"doc:outline", "doc:search", "doc:read", "doc:table", "doc:page_image"}


def test_the_check_of_the_evidence_finds_a_quote_that_stands_elsewhere(agentflow, tmp_path):
    only = ("--set", "seeds.limit=1", "--set", "qa.per_trajectory=1")
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain", *only)
    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    accepted[0]["reasoning_steps"][0]["evidence"][0]["source"]["page"] = 1
    (tmp_path / "qa" / "qa.jsonl").write_text("".join(f"{json.dumps(qa)}\n" for qa in accepted))

    checked = subprocess.run(
        [sys.executable, CHECK, tmp_path / "qa", REPORTS], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    assert "on page 1 of" in checked.stdout


def test_the_rollout_example_scores_every_question(agentflow, tmp_path):
    ran = agentflow("rollout", EXAMPLES / "rollout.yaml", "--run", "answers", "--plain")

    assert ran.returncode == 0, ran.stderr
    figures = json.loads((tmp_path / "answers" / "summary.json").read_text())["metrics"]
    count = len(lines(EXAMPLES / "questions.jsonl"))
    for name in ("exact_match", "anls"):
        assert figures[name]["graded"] == count
        assert figures[name]["mean_graded"] >= 0.5


def test_the_mixed_example_asks_over_documents_and_over_files_in_one_run(agentflow, missing, needed, tmp_path):
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")
    needed("pandas")
    ran = agentflow("synthesize", EXAMPLES / "mixed.yaml", "--run", "qa", "--plain")

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    computed = [qa for qa in accepted if {"sql", "code"} & qa["extra"].keys()]
    quoted = [qa for qa in accepted if qa not in computed]
    assert len(computed) >= 3
    assert len(quoted) >= 3
    assert all(
        item["source"]["doc"].endswith(".pdf")
        for qa in quoted
        for step in qa["reasoning_steps"]
        for item in step["evidence"]
    )


def test_the_script_sets_the_reports_that_are_bundled_and_the_same_bytes_each_time(needed, tmp_path):
    needed("reportlab")
    pypdfium2 = needed("pypdfium2")
    for folder in ("once", "again"):
        subprocess.run([sys.executable, EXAMPLES / "make_reports.py", tmp_path / folder], check=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / "once").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}

    bundled = sorted(REPORTS.iterdir())
    assert sorted(made) == [path.name for path in bundled]
    assert sum(path.stat().st_size for path in bundled) < 1_000_000
    for path in bundled:  # other versions of reportlab may write other bytes
        pages = texts(pypdfium2, path)
        assert 4 <= len(pages) <= 12
        assert pages == texts(pypdfium2, tmp_path / "once" / path.name)


def test_the_script_makes_the_crossings_that_are_bundled(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "make_crossings.py", tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (EXAMPLES / "crossings").iterdir()}


def test_the_questions_name_the_pages_on_which_their_answers_stand(needed):
    pypdfium2 = needed("pypdfium2")
    pages = {path.name: texts(pypdfium2, path) for path in REPORTS.iterdir()}
    questions = lines(EXAMPLES / "questions.jsonl")
    assert len(questions) >= 20
    for task in questions:
        assert len(task["doc"]) == len(task["pages"])
        where = [pages[doc][page - 1] for doc, page in zip(task["doc"], task["pages"], strict=True)]
        if task["kind"] in ("table", "text", "figure", "hops"):
            answers = task["answer"] if isinstance(task["answer"], list) else [task["answer"]]
            assert re.search(rf"\b{re.escape(answers[0])}\b", where[-1]), task["id"]
