from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from jsonschema import Draft202012Validator

SYNTHESIS = """\
model: {provider: openai, name: m, api_key: "${KEY}"}
seeds: {path: seeds.jsonl, limit: 4}
sampling: {max_depth: 3}
"""


@pytest.fixture(autouse=True)
def _variables(monkeypatch):
    monkeypatch.setenv("KEY", "sk-hush")
    monkeypatch.setenv("AGENTFLOW_PLUGINS", "core")


@pytest.mark.parametrize(
    ("text", "kind"),
    [(SYNTHESIS, "synthesis"), ("data: {path: b.jsonl}\n", "rollout"), ("backends: {}\n", "sandbox"), ("", "sandbox")],
)
def test_check_says_ok_and_what_the_file_configures(cli, write, text, kind):
    path = write(text)
    ran = cli("config", "check", path)
    assert (ran.code, ran.out, ran.err) == (0, f"ok  {path}  {kind}\n", "")


def test_check_prints_every_problem_and_exits_with_2(cli, write):
    path = write(SYNTHESIS.replace("max_depth", "max_dept") + "qa: {gates: [leek]}\n")
    ran = cli("config", "check", path, "--set", "seeds.limit=0")
    assert ran.code == 2
    assert ran.out == ""
    assert f"{path}:3:12  sampling.max_dept  unknown key, did you mean 'max_depth'?" in ran.err
    assert f"{path}:4:14  qa.gates.0  unknown gate 'leek', did you mean 'leak'?" in ran.err
    assert "--set seeds.limit  expected at least 1, got 0" in ran.err


def test_check_takes_the_kind_that_it_is_told(cli, write):
    ran = cli("config", "check", write("backends: {}\n"), "--kind", "rollout")
    assert ran.code == 2
    assert "backends  unknown key" in ran.err


def test_check_knows_what_loaded_files_contribute(cli, write):
    write(
        "from agentflow_core import MetricSpec, hookimpl\n\n@hookimpl\ndef agentflow_metrics():\n"
        "    yield MetricSpec('mine', target='somewhere:Mine', summary='mine')\n",
        "my_metrics.py",
    )
    text = "data: {path: b.jsonl}\nmetrics: [mine]\n"
    path = write(text)
    assert cli("config", "check", path).code == 2
    assert cli("config", "check", path, "--load", path.parent / "my_metrics.py").code == 0
    assert cli("config", "check", write(f"{text}plugins: {{load: [my_metrics.py]}}\n")).code == 0


def test_show_prints_every_default_and_no_secret(cli, write):
    path = write(SYNTHESIS)
    ran = cli("config", "show", path)
    assert ran.code == 0
    assert "hush" not in ran.out
    shown = yaml.safe_load(ran.out)
    assert shown["model"]["api_key"] == "${KEY}"
    assert shown["seeds"]["path"] == str(path.parent / "seeds.jsonl")
    assert shown["selection"]["selector"] == {"coverage": None}
    again = cli("config", "show", write(ran.out, "again/run.yaml"))
    assert again.out == ran.out


@pytest.mark.parametrize("kind", ["synthesis", "rollout", "sandbox"])
def test_schema_prints_a_schema_with_the_installed_plugins(cli, kind):
    ran = cli("config", "schema", kind)
    assert ran.code == 0
    schema = json.loads(ran.out)
    Draft202012Validator.check_schema(schema)
    if kind == "rollout":
        assert "f1_score" in schema["properties"]["metrics"]["items"]["anyOf"][0]["enum"]


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_a_file_that_is_not_there_is_a_usage_error(cli, tmp_path, name):
    assert cli("config", "check", tmp_path / name).code == 2


def test_reading_configurations_costs_no_yaml_before_a_file_is_read():
    code = "import sys, agentflow_core.config; print([m for m in ('yaml', 'cattrs', 'jsonschema') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert found.stdout.strip() == "[]"
