"""The table of contents, and the example of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio

from agentflow_browser.config import BrowserConfig


def test_importing_the_plugin_imports_nothing_heavy():
    code = "import sys, agentflow_browser.plugin; print([m for m in ('playwright', 'anyio', 'agentflow_core.sandbox') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_everything_that_the_plugin_names_is_there(plugin_host):
    import agentflow_browser.plugin

    host = plugin_host(agentflow_browser.plugin)
    entry = host.registry.get("backend", "browser")
    assert entry.resolve().__name__ == "BrowserBackend"
    assert entry.resolve_config() is BrowserConfig


async def test_the_example_of_the_readme_runs(tmp_path):
    text = (Path(__file__).parent.parent / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    ran = await anyio.run_process([sys.executable, "-c", example], cwd=tmp_path)
    assert ran.stdout.decode().endswith('- button "Sent" [focused] [ref=g1e2]\n')
