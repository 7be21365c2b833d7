"""What the tests of agentflow-bash share: a sandbox with the backend under each launcher, and a Docker engine."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agentflow_bash.backend import BashBackend
from agentflow_bash.config import BashConfig
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.docker_engine import docker_engine, machine_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from agentflow_core.records import ToolResult

PROGRAMS = (
    *(
        "bash",
        "sh",
        "cat",
        "cp",
        "dd",
        "env",
        "grep",
        "head",
        "id",
        "ls",
        "mkdir",
        "ln",
        "mkfifo",
        "mktemp",
        "od",
        "rm",
        "touch",
        "chmod",
        "date",
        "readlink",
        "seq",
        "setsid",
    ),
    *("sleep", "stat", "stty", "tail", "tr", "true", "wc", "yes"),
)


class Shells:
    """A sandbox with the backend ``bash``, spoken to in few words."""

    def __init__(self, sandbox: Sandbox, kind: str) -> None:
        self.sandbox = sandbox
        self.kind = kind

    async def call(self, tool: str, _session: str | None = None, **params: Any) -> ToolResult:
        return await self.sandbox.execute(f"bash:{tool}", params, session=_session)

    async def run(self, command: str, _session: str | None = None, **params: Any) -> ToolResult:
        return await self.call("run", _session, command=command, **params)

    async def out(self, command: str, _session: str | None = None, **params: Any) -> str:
        """What a command prints that succeeds."""
        result = await self.run(command, _session, **params)
        assert result.ok, result.text
        return result.data["stdout"]


@pytest.fixture(scope="session")
def engine(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    """A Docker engine with an image that is made of programs of this machine; gives the image."""
    with docker_engine(missing) as client, machine_image(client, "agentflow-bash-test", programs=PROGRAMS) as image:
        yield image


@pytest.fixture(scope="session")
def bwrap(missing: Callable[[str], NoReturn]) -> None:
    """Bubblewrap is installed."""
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Open a sandbox: ``async with opened(kind="bwrap", limits=…) as shells``."""

    @asynccontextmanager
    async def run(*, kind: str = "bwrap", **settings: Any) -> AsyncIterator[Shells]:
        if kind == "bwrap":
            request.getfixturevalue("bwrap")
        image = request.getfixturevalue("engine") if kind == "docker" else None
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        config = SandboxConfig(state_dir=state, launcher=LauncherConfig(kind=kind, image=image))
        catalog = Catalog.of(bash=lambda: BashBackend(BashConfig(**settings)))
        async with Sandbox(catalog=catalog, config=config) as sandbox:
            yield Shells(sandbox, kind)

    return run


@pytest.fixture(params=["bwrap", "none", pytest.param("docker", marks=pytest.mark.serial)])
async def shells(request: pytest.FixtureRequest, opened: Callable[..., Any]) -> AsyncIterator[Shells]:
    """A sandbox under each launcher."""
    async with opened(kind=request.param) as found:
        yield found


@pytest.fixture
async def confined(opened: Callable[..., Any]) -> AsyncIterator[Shells]:
    """A sandbox under bubblewrap."""
    async with opened() as found:
        yield found
