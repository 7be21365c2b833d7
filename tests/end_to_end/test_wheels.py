"""The distributions as people install them: wheels in a clean environment."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of core and rag."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, ROOT / "plugins" / "agentflow-rag"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of a new virtual environment, which has the core and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv", with_pip=True)

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(folder / "venv" / "bin" / program), *map(str, arguments)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    installed = run("pip", "install", "--quiet", *wheels.glob("agentflow_core-*.whl"))
    assert installed.returncode == 0, installed.stderr
    return run


def test_the_core_alone_works_and_says_which_distribution_brings_a_tool(clean, tmp_path):
    plugins = json.loads(clean("agentflow", "plugins", "list", "--json").stdout)
    assert [row["name"] for row in plugins] == ["core"]

    config = tmp_path / "run.yaml"
    config.write_text("seeds: {items: [Danube]}\ntools: ['rag:search']\n")
    ran = clean("agentflow", "synthesize", config)
    assert ran.returncode == 2
    assert "rag:search" in ran.stderr
    assert "pip install agentflow-rag" in ran.stderr

    tool = tmp_path / "my_tools.py"
    tool.write_text(
        "from agentflow_core import register_api_tool\n\n"
        "@register_api_tool(name='math:add')\n"
        "def add(left: float, right: float) -> float:\n"
        '    """Add two numbers.\n\n    Args:\n        left: one.\n        right: the other.\n    """\n'
        "    return left + right\n"
    )
    called = clean("agentflow", "tools", "call", "math:add", '{"left": 1, "right": 2}', "--load", tool)
    assert (called.returncode, called.stdout.strip()) == (0, "3.0"), called.stderr


def test_with_the_rag_wheel_its_tools_are_there(clean, wheels):
    installed = clean("pip", "install", "--quiet", *wheels.glob("agentflow_rag-*.whl"), "--find-links", wheels)
    assert installed.returncode == 0, installed.stderr

    plugins = json.loads(clean("agentflow", "plugins", "list", "--json").stdout)
    assert {(row["name"], row["status"]) for row in plugins} == {("core", "ok"), ("rag", "ok")}
    tools = json.loads(clean("agentflow", "tools", "list", "--json").stdout)
    assert {"rag:search", "rag:get", "rag:find", "rag:corpora"} <= {tool["name"] for tool in tools}
    assert clean("agentflow", "plugins", "check").returncode == 0
