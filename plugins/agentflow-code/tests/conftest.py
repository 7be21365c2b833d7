"""What the tests of agentflow-code share: sandboxes with the backend, and a Docker engine with an image that fits."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agentflow_code.backend import CodeBackend
from agentflow_code.config import CodeConfig
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.docker_engine import docker_engine, machine_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

IMAGE = "agentflow-code-test:1"
PROGRAMS = ("bash", "sh", "cat", "env", "ls", "sleep", "tail")


@pytest.fixture
def opened(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Callable[..., Any]:
    """Open a sandbox with the backend ``code``: ``async with opened(kind="none", warm=False, …) as sandbox``."""

    @asynccontextmanager
    async def run(
        *, kind: str = "bwrap", launcher: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Sandbox]:
        if kind == "bwrap" and shutil.which("bwrap") is None:
            missing("no bubblewrap: apt-get install bubblewrap")
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        config = SandboxConfig(state_dir=state, launcher=LauncherConfig(kind=kind, **(launcher or {})))
        catalog = Catalog.of(code=lambda: CodeBackend(CodeConfig(**settings)))
        async with Sandbox(catalog=catalog, config=config) as sandbox:
            yield sandbox

    return run


@pytest.fixture(scope="session")
def engine(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    """A Docker engine with `IMAGE`, which is made of programs and libraries of this machine; gives the image."""
    with (
        docker_engine(missing) as client,
        machine_image(client, IMAGE.split(":")[0], programs=PROGRAMS, python=False, libraries_of=_wheels()) as image,
    ):
        yield image


def _wheels() -> Iterator[str]:
    """Python and the modules of its wheels, which are bound into the container."""
    yield sys.executable
    yield from map(str, Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))
    for pattern in ("numpy/**/*.so", "pandas/_libs/*.so", "_duckdb*.so", "duckdb/**/*.so"):
        yield from map(str, Path(sysconfig.get_path("platlib")).glob(pattern))
