"""What the README shows works as it is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language: str, start: str) -> str:
    return next(text for text in blocks(language) if start in text)


def test_the_demo_gives_twenty_pairs_and_scores_the_agent_on_them(agentflow, tmp_path):
    ran = agentflow("demo", "--run", "demo", "--plain")

    assert ran.returncode == 0, ran.stderr
    made = json.loads((tmp_path / "demo" / "synthesis" / "summary.json").read_text())
    scored = json.loads((tmp_path / "demo" / "rollout" / "summary.json").read_text())
    assert made["funnel"]["accepted"] >= 20
    assert scored["metrics"]["f1_score"]["attempted"] == made["funnel"]["accepted"]
    assert scored["metrics"]["f1_score"]["ci95"] is not None
    for name in ("qa.jsonl", "results.jsonl"):
        assert name in ran.stdout


def test_the_first_configuration_is_the_example_and_runs(agentflow, tmp_path):
    (tmp_path / "run.yaml").write_text(block("yaml", "Antonio Vivaldi"))

    assert agentflow("config", "check", "run.yaml").returncode == 0
    ran = agentflow("synthesize", "run.yaml", "--run", "facts", "--plain")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "facts" / "qa.jsonl").read_text()
    assert (
        (ROOT / "examples/facts/synthesis.yaml")
        .read_text()
        .endswith(block("yaml", "Antonio Vivaldi").split("\n", 1)[1])
    )


def test_the_model_section_is_valid(agentflow, tmp_path):
    (tmp_path / "run.yaml").write_text("seeds: {items: [Danube]}\n" + block("yaml", "max_concurrency"))

    ran = agentflow("config", "check", "run.yaml", OPENAI_API_KEY="sk-none")
    assert ran.returncode == 0, ran.stderr


def test_the_tool_file_is_loaded_and_called(agentflow, tmp_path):
    (tmp_path / "my_tools.py").write_text(block("python", "# my_tools.py"))
    command = block("console", "math:add").strip().removeprefix("$ agentflow ")

    ran = agentflow(*(part.strip("'") for part in re.findall(r"'[^']*'|\S+", command)))
    assert (ran.returncode, ran.stdout.strip()) == (0, "3.0"), ran.stderr


@pytest.mark.parametrize("start", ["synthesize(", "quick_rollout("])
def test_the_python_examples_run(start, tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTFLOW_STATE", str(state))
    source = block("python", start).replace("examples/", f"{ROOT}/examples/")

    exec(compile(source, "README.md", "exec"), {})


def test_every_command_that_is_shown_exists(agentflow):
    shown = {
        line.split()[2] for text in blocks("console") for line in text.splitlines() if line.startswith("$ agentflow ")
    }

    listed = agentflow("--help").stdout
    assert {command for command in shown if f"\n  {command} " not in listed} == set()
