"""Run ``agentflow`` in a process of its own, as people do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where indexes are kept during the session."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def environ(state: Path) -> dict[str, str]:
    """The environment of processes that tests start."""
    return {**os.environ, "AGENTFLOW_STATE": str(state), "NO_COLOR": "1"}


@pytest.fixture
def agentflow(environ: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in ``tmp_path`` and give back exit code and output."""

    def run(*arguments: object, **variables: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agentflow_core", *map(str, arguments)],
            cwd=tmp_path,
            env=environ | {name: str(value) for name, value in variables.items()},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
