"""The desktop example, run as it stands on a real X server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples" / "gui-desktop"
PROGRAMS = {
    "bwrap": "bubblewrap",
    "Xtigervnc": "tigervnc-standalone-server",
    "openbox": "openbox",
    "xterm": "xterm",
    "xkbcomp": "x11-xkb-utils",
}
pytestmark = [pytest.mark.timeout(300), pytest.mark.serial]


@pytest.fixture(autouse=True)
def desktop(missing):
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            missing(f"no {program}: apt-get install {package}")
    tried = [
        "/usr/bin/python3",
        "-c",
        "import gi; gi.require_version('Gtk', '3.0')",
    ]
    if not Path(tried[0]).exists() or subprocess.run(tried, capture_output=True, check=False).returncode:
        missing("no GTK 3 for /usr/bin/python3: apt-get install python3-gi gir1.2-gtk-3.0")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_synthesis_example_gives_questions_whose_facts_stand_in_several_texts(agentflow, tmp_path):
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain")

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 20
    texts = {path.name: path.read_text("utf-8") for path in (EXAMPLES / "data").iterdir()}
    for qa in accepted:
        assert len(set(qa["extra"]["files"])) >= 2
        assert qa["answer"] in texts[qa["extra"]["files"][-1]]
        for file, step in zip(qa["extra"]["files"], qa["reasoning_steps"], strict=True):
            assert all(evidence["quote"] in texts[file] for evidence in step["evidence"])


def test_the_rollout_example_answers_questions_and_leaves_the_states_that_are_asked_for(agentflow, tmp_path):
    arguments = ("rollout", EXAMPLES / "rollout.yaml", "--plain")
    ran = agentflow(*arguments, "--run", "answers", "--record", "recording")

    assert ran.returncode == 0, ran.stderr
    tasks = lines(EXAMPLES / "questions.jsonl")
    figures = json.loads((tmp_path / "answers" / "summary.json").read_text())["metrics"]
    assert figures["exact_match"]["graded"] == sum("answer" in task for task in tasks)
    assert figures["exact_match"]["mean_graded"] >= 0.6
    assert figures["state_match"]["graded"] == sum("end_state" in task for task in tasks)
    assert figures["state_match"]["mean_graded"] >= 0.8
    trajectories = {each["task_id"]: each for each in lines(tmp_path / "answers" / "trajectories.jsonl")}
    assert trajectories["e02"]["end_state"] == {"vm": {"file:desk/menu.txt": "crème brûlée, 漢堡, 5 €"}}

    replayed = agentflow(*arguments, "--run", "again", "--replay", "recording", PATH=tmp_path)  # without an X server
    assert replayed.returncode == 0, replayed.stderr
    for name in ("results.jsonl", "trajectories.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "answers" / name).read_bytes(), name
    assert agentflow("runs", "images", "again", "-o", "shots").returncode == 0
    shots = sorted((tmp_path / "shots").glob("e*-vm_screenshot.png"))
    assert {path.name.partition("_")[0] for path in shots} >= {f"e{number:02}" for number in range(1, 12)}
    for path in shots:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.size == (1024, 768)
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20  # windows with text: a desktop was painted


def test_the_script_makes_the_texts_that_are_bundled(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "make_files.py", tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (EXAMPLES / "data").iterdir()}


def test_the_answers_of_the_questions_stand_in_the_texts():
    texts = "".join(path.read_text("utf-8") for path in (EXAMPLES / "data").iterdir())
    assert all(task["answer"] in texts for task in lines(EXAMPLES / "questions.jsonl") if "answer" in task)
