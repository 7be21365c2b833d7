"""The table of contents, the doctor, and the interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from agentflow_code.config import CodeConfig
from agentflow_code.doctor import check_interpreter
from agentflow_code.python import find_python
from agentflow_core.errors import SandboxError


def test_importing_the_plugin_imports_nothing_heavy():
    code = "import sys, agentflow_code.plugin; print([m for m in ('IPython', 'pandas', 'duckdb', 'anyio', 'agentflow_core.sandbox') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_everything_that_the_plugin_names_is_there(plugin_host):
    import agentflow_code.plugin

    host = plugin_host(agentflow_code.plugin)
    entry = host.registry.get("backend", "code")
    assert entry.resolve().__name__ == "CodeBackend"
    assert entry.resolve_config() is CodeConfig


async def test_the_doctor_tells_the_interpreter():
    works, said = await check_interpreter()
    assert works
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in said


def test_what_runs_inside_imports_nothing_of_the_server():
    folder = Path(find_python.__code__.co_filename).parent / "inside"
    for path in folder.glob("*.py"):
        text = path.read_text()
        assert "agentflow_core" not in text, path
        assert "import attrs" not in text, path
        assert "anyio" not in text, path


async def test_an_interpreter_that_does_not_run_or_lacks_ipython_is_told(tmp_path):
    with pytest.raises(SandboxError, match="does not run") as caught:
        await find_python(str(tmp_path / "nothing"), "bwrap")
    assert caught.value.code == "provider_unavailable"
    bare = tmp_path / "bare"
    await anyio.run_process([sys.executable, "-m", "venv", "--without-pip", str(bare)])
    with pytest.raises(SandboxError, match="has no IPython") as caught:
        await find_python(str(bare / "bin" / "python"), "bwrap")
    assert "pip install ipython" in caught.value.hint


async def test_only_what_is_not_there_already_is_bound():
    python = await find_python(None, "bwrap")
    sources = [bind.source for bind in python.binds]
    assert all(bind.source == Path(bind.target) for bind in python.binds)
    assert not any(str(source).startswith("/usr/") for source in sources)
    assert not any(one != other and one.is_relative_to(other) for one in sources for other in sources)


async def test_the_example_of_the_readme_runs(tmp_path):
    text = (Path(__file__).parent.parent / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    ran = await anyio.run_process([sys.executable, "-c", example], cwd=tmp_path)
    assert ran.stdout == b"42\n"
