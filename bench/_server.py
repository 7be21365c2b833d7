"""Start the mock server in a process of its own, so that its CPU is not counted."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def mock_server(responder: str, *, latency_ms: float = 50) -> Iterator[str]:
    """The server's URL while it runs."""
    command = [sys.executable, "-m", "agentflow_core.testing.openai_server", "--latency-ms", str(latency_ms)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [*command, "--responder", responder], stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
