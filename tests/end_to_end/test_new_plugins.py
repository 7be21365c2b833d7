"""Plugins as ``agentflow plugins new`` writes them: installed, tested by themselves, built, and used by runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from attrs import frozen

from agentflow_core.scaffold import KINDS

pytestmark = pytest.mark.timeout(600)

#: What a run makes of it: the offline model explores the bundled corpus.
SYNTHESIS = {
    "seeds": {"items": ["Danube", "Marie Curie"]},
    "tools": ["rag:*"],
    "selection": {
        "selector": {"my_selector": {"per_beginning": 2}},
        "scorers": {"my_scorer": {"weight": 2, "characters": 500}, "depth": 1},
    },
    "qa": {"gates": ["schema", "grounded", "my_gate"]},
}


@frozen(kw_only=True)
class Environment:
    """A new virtual environment that has what this one has, and a folder to work in."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """Its programs come first; of plugins, only these take part."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AGENTFLOW_", "COV_"))
        }
        path = os.pathsep.join((str(self.folder / "venv" / "bin"), os.environ["PATH"]))
        plugins = ",".join(("rag", "my_env", *(f"my_{kind}" for kind in KINDS)))
        ours = {"AGENTFLOW_STATE": str(self.folder / "state"), "AGENTFLOW_PLUGINS": plugins, "NO_COLOR": "1"}
        return {**kept, **ours, "PATH": path}

    def run(self, *command: object, cwd: Path | None = None, timeout: int = 120) -> str:
        """Run a program of it, which must succeed; what it printed."""
        arguments = [str(part) for part in command]
        ran = subprocess.run(
            arguments,
            cwd=cwd or self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert ran.returncode == 0, f"{' '.join(arguments)}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def agentflow(self, *arguments: object) -> str:
        """Run the command line in it."""
        return self.run("python", "-m", "agentflow_core", *arguments)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    venv.create(tmp_path / "venv", with_pip=True)
    made = Environment(folder=tmp_path)
    site = made.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    ours = sysconfig.get_path("purelib")
    with open(os.path.join(site, "tests.pth"), "w") as file:
        file.write(f"import site; site.addsitedir({ours!r})\n")  # editable installs are followed there too
    return made


def test_a_plugin_of_every_kind_builds_installs_tests_itself_and_is_used(environment: Environment):
    folder = environment.folder
    folders = {kind: folder / f"agentflow-my-{kind}" for kind in KINDS}
    for kind in KINDS:
        environment.agentflow("plugins", "new", f"my-{kind}", "--kind", kind)

    pip = ("python", "-m", "pip", "--quiet")
    environment.run(*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", "dist", *folders.values())
    wheels = sorted((folder / "dist").glob("*.whl"))
    assert len(wheels) == len(KINDS)
    for wheel in wheels:
        names = zipfile.ZipFile(wheel).namelist()
        package = wheel.name.partition("-")[0]
        assert {f"{package}/plugin.py", f"{package}/py.typed"} <= set(names)
        assert {name.partition("/")[0] for name in names} == {package, f"{package}-0.1.0.dist-info"}
    environment.run(*pip, "install", "--no-index", *wheels)

    for kind in KINDS:
        said = environment.run(
            "python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=folders[kind]
        )
        assert " passed" in said
        assert "failed" not in said

    listed = {row["name"]: row["status"] for row in json.loads(environment.agentflow("plugins", "list", "--json"))}
    assert {f"my_{kind}": "ok" for kind in KINDS}.items() <= listed.items()
    environment.agentflow("plugins", "check")

    assert environment.agentflow("tools", "call", "my_tool:weekday", '{"day": "1969-07-20"}') == "Sunday\n"
    written = environment.agentflow("tools", "call", "my_backend:write", '{"title": "Ulm", "text": "x"}')
    assert written == "written: Ulm\n"
    _synthesize(environment)
    _roll_out(environment)


def _synthesize(environment: Environment) -> None:
    """The scorer, the selector and the gate take part in a synthesis."""
    folder = environment.folder
    (folder / "synthesis.json").write_text(json.dumps(SYNTHESIS))
    environment.agentflow("synthesize", "synthesis.json", "--run", "made", "--plain")
    paths = _lines(folder / "made" / "paths.jsonl")
    assert all(0 < path["scores"]["my_scorer"] < 1 for path in paths)
    assert any(path["selected"] and path["reason"].startswith("score ") for path in paths)
    drafts = [*_lines(folder / "made" / "qa.jsonl"), *_lines(folder / "made" / "rejected.jsonl")]
    assert drafts
    assert any(gate["name"] == "my_gate" and gate["reason"] for draft in drafts for gate in draft["gates"])


def _roll_out(environment: Environment) -> None:
    """The model plays a rollout with a tool, and the metric scores it."""
    folder = environment.folder
    (folder / "tasks.jsonl").write_text('{"question": "1969-07-20", "answer": "Sunday, Monday"}\n')
    config = {
        "model": "my_model",
        "data": {"path": "tasks.jsonl"},
        "rollout": {"tools": ["my_tool:weekday"]},
        "metrics": ["my_metric"],
    }
    (folder / "rollout.json").write_text(json.dumps(config))
    environment.agentflow("rollout", "rollout.json", "--run", "rolled", "--plain")
    [result] = _lines(folder / "rolled" / "results.jsonl")
    assert result["answer"] == "Sunday"
    assert result["scores"]["my_metric"]["value"] == 0.5


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
def test_what_is_printed_works_as_it_is_typed(environment: Environment):
    printed = environment.agentflow("plugins", "new", "my-env", "--dir", "a place")
    commands = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    assert commands[0] == "cd 'a place/agentflow-my-env'"

    said = environment.run("bash", "-euc", "\n".join(commands), timeout=300)

    assert " passed" in said
    assert "my_env: " in said
    assert list((environment.folder / "a place" / "agentflow-my-env" / "dist").glob("*.whl"))
