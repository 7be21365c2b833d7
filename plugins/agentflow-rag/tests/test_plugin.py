"""The table of contents, its configuration, and the doctor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentflow_core.config import load_config
from agentflow_core.errors import ConfigError
from agentflow_rag.config import RagConfig
from agentflow_rag.doctor import check_engines


def test_importing_the_plugin_imports_nothing_heavy():
    code = "import sys, agentflow_rag.plugin; print([m for m in ('tantivy', 'whoosh', 'pyarrow', 'regex', 'anyio') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_everything_that_the_plugin_names_is_there(plugin_host):
    import agentflow_rag.plugin

    host = plugin_host(agentflow_rag.plugin)
    entry = host.registry.get("backend", "rag")
    assert entry.resolve().__name__ == "RagBackend"
    assert entry.resolve_config() is RagConfig
    assert entry.resolve_offline().__name__ == "RagPolicy"


async def test_the_doctor_names_the_engines():
    works, said = await check_engines()
    assert works
    assert "tantivy 0" in said
    assert "whoosh" in said


def test_paths_of_a_configuration_are_relative_to_its_file(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "corpora: {wiki: {path: docs/*.md, engine: whoosh, chunk: {tokens: 64, overlap: 8}}}\n"
    )
    config = load_config(RagConfig, tmp_path / "c.yaml").config
    assert config.corpora["wiki"].path == str(tmp_path / "docs" / "*.md")
    assert config.corpora["wiki"].chunk.tokens == 64


def test_every_problem_of_a_configuration_is_named_with_its_path():
    with pytest.raises(ConfigError) as caught:
        load_config(RagConfig, {"corpora": {"a": {"path": "x", "engin": "tantivy", "chunk": {"tokens": 1}}, "b": {}}})
    said = str(caught.value)
    for path in ("corpora.a.engin", "corpora.a.chunk.tokens", "corpora.b.path"):
        assert path in said, said
