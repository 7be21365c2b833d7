"""The server's example and the README's client work as printed; runs give the same files here and over it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.timeout(300)
#: What a run derives from its journal; the resolved configuration says where the sandbox was.
DERIVED = {
    "synthesis": ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "tools.jsonl", "summary.json"),
    "rollout": ("results.jsonl", "trajectories.jsonl", "tools.jsonl", "summary.json"),
}


@contextmanager
def _served(environ: dict[str, str], *arguments: object) -> Iterator[str]:
    """The URL of a server in a process of its own; it ends well on SIGTERM."""
    command = [sys.executable, "-m", "agentflow_core", "serve", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.serial
def test_the_server_of_the_example_answers_the_client_of_the_readme(environ, tmp_path):
    shown = re.search(r"\$ agentflow serve (.*)\n", README)
    client = next(
        text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if 'Sandbox("http://127.0.0.1' in text
    )
    assert shown is not None
    with _served(environ, *shown[1].split()) as url:
        assert url in client
        ran = subprocess.run(
            [sys.executable, "-c", client],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert "Danube" in ran.stdout


@pytest.mark.parametrize("kind", ["synthesis", "rollout"])
def test_the_examples_give_the_same_files_here_and_over_a_server(kind, agentflow, environ, hotpotqa, tmp_path):
    example = ROOT / "examples" / "hotpotqa" / f"{kind}.yaml"
    command = {"synthesis": "synthesize", "rollout": "rollout"}[kind]
    data = {"AGENTFLOW_DATA": str(hotpotqa)}

    here = agentflow(command, example, "--run", "here", "--plain", "--record", "answers", **data)
    assert here.returncode == 0, here.stderr
    server = tmp_path / "server.yaml"
    server.write_text(
        'backends: { rag: { corpora: { hotpotqa: { path: "${AGENTFLOW_DATA}/hotpotqa-corpus.jsonl" } } } }\n'
    )
    remote = tmp_path / "remote.yaml"
    with _served(environ | data, "--config", server, "--port", "0") as url:
        kept = re.sub(r"sandbox:\n(  .*\n)+", f"sandbox: {{ url: {url} }}\n", example.read_text())
        remote.write_text(kept)
        there = agentflow(command, remote, "--run", "there", "--plain", **data)
    assert there.returncode == 0, there.stderr

    for name in DERIVED[kind]:
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
    assert os.path.getsize(tmp_path / "here" / DERIVED[kind][0]) > 0
