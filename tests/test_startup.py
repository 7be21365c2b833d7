"""What starting costs: nothing is imported before it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from agentflow_core import __version__

#: What no command needs before it does its work.
HEAVY = {
    "importlib.metadata", "pluggy", "attr", "attrs", "cattrs", "yaml", "anyio", "asyncio", "httpx", "openai", "rich",
    "orjson", "starlette", "uvicorn", "aiohttp", "pydantic", "numpy", "tantivy",
}  # fmt: skip
PROBE = """
import io, json, sys
before = set(sys.modules)
{code}
json.dump(sorted(set(sys.modules) - before), sys.__stdout__)
"""


def imported(code: str, **environ: str) -> set[str]:
    """The modules that the code imports, in a fresh interpreter."""
    made = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environ},
    )
    return set(json.loads(made.stdout))


def command(*arguments: str) -> str:
    return f"""
from agentflow_core.cli import main
sys.stdout = io.StringIO()
assert main({list(arguments)!r}) == 0
"""


def test_importing_the_package_imports_nothing_else():
    modules = imported("import agentflow_core")
    assert not modules & HEAVY
    assert {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) == {"agentflow_core"}


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",)], ids=["bare", "help", "version"])
def test_help_imports_nothing_heavy_and_no_command(arguments):
    modules = imported(command(*arguments))
    assert not modules & HEAVY
    core = {name for name in modules if name.startswith("agentflow_")}
    assert core == {
        "agentflow_core",
        "agentflow_core.cli",
        "agentflow_core.cli.terminal",
        "agentflow_core.errors",
        "agentflow_core.names",
    }


def test_listing_plugins_imports_none():
    modules = imported(command("plugins", "list"))
    plugins = {name for name in modules if name.startswith("agentflow_") and not name.startswith("agentflow_core")}
    assert plugins == set()
    assert "agentflow_core.builtin" not in modules


def test_loading_plugins_imports_nothing_heavy():
    modules = imported("from agentflow_core.plugins import PluginHost; PluginHost.load()")
    assert "agentflow_core.builtin" in modules
    assert not modules & (HEAVY - {"importlib.metadata", "pluggy", "attr", "attrs"})


def test_the_installed_command_is_main_and_says_where_to_start():
    [script] = entry_points(group="console_scripts", name="agentflow")
    assert script.value == "agentflow_core.cli:main"
    code = "import sys; from agentflow_core.cli import main; sys.exit(main())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert __version__ in made.stdout
    assert made.stdout.count("\n  agentflow ") == 3
