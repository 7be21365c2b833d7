"""What the tests of agentflow-vm share: a sandbox with the backend on a real Xvnc, and displays of a few bytes."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig, XvncConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentflow_core.records import ToolResult

PROGRAMS = {
    "Xtigervnc": "tigervnc-standalone-server",
    "xkbcomp": "x11-xkb-utils",
    "openbox": "openbox",
    "xterm": "xterm",
    "bwrap": "bubblewrap",
}


class Wire(ByteStream):
    """One end of a connection in memory; keeps what was received for a test to look at."""

    def __init__(self, inward: Any, outward: Any) -> None:
        self._inward, self._outward = inward, outward
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._rest:
            self._rest = await self._inward.receive()
        data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return data

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self.receive(size - len(data))
        return data

    async def send(self, item: bytes) -> None:
        if item:
            await self._outward.send(bytes(item))

    async def send_eof(self) -> None:
        await self._outward.aclose()

    async def aclose(self) -> None:
        await self._outward.aclose()
        await self._inward.aclose()


@pytest.fixture
async def wires() -> AsyncIterator[tuple[Wire, Wire]]:
    """The client's and the server's end of a connection."""
    to_client, from_server = anyio.create_memory_object_stream[bytes](10_000)
    to_server, from_client = anyio.create_memory_object_stream[bytes](10_000)
    ours, theirs = Wire(from_server, to_server), Wire(from_client, to_client)
    async with ours, theirs:
        yield ours, theirs


class Desktop:
    """A session of ``vm``, spoken to in few words."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def call(self, tool: str, **params: Any) -> ToolResult:
        return await self.sandbox.execute(f"vm:{tool}", params)

    async def done(self, tool: str, **params: Any) -> ToolResult:
        result = await self.call(tool, **params)
        assert result.ok, result.text
        return result

    async def out(self, command: str) -> str:
        return (await self.done("exec", command=command)).data["stdout"]

    async def until(self, command: str, expected: str) -> str:
        """What a command prints, looked at until it is what is expected, on a machine that may be busy."""
        with anyio.move_on_after(20):
            while (said := await self.out(command)) != expected:
                await anyio.lowlevel.checkpoint()
        return said


@pytest.fixture(scope="session")
def xvnc(missing: Callable[[str], NoReturn]) -> None:
    """All that a desktop of processes needs is installed."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            missing(f"no {program}: apt-get install {package}")


@pytest.fixture(scope="session")
def gtk(missing: Callable[[str], NoReturn]) -> None:
    """GTK for the Python of the machine."""
    if not Path("/usr/lib/python3/dist-packages/gi").is_dir():
        missing("no GTK for /usr/bin/python3: apt-get install python3-gi gir1.2-gtk-3.0")


@pytest.fixture
def desktop(xvnc: None, tmp_path: Path) -> Callable[..., Any]:
    """Open a sandbox with a session: ``async with desktop(apps=("xterm",), files={…}) as it``."""

    @asynccontextmanager
    async def run(
        *, kind: str = "bwrap", files: dict[str, str] | None = None, xvnc: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Desktop]:
        apps = settings.pop("apps", ())
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        config = SandboxConfig(state_dir=state, launcher=LauncherConfig(kind=kind))
        catalog = Catalog.of(vm=lambda: VmBackend(VmConfig(xvnc=XvncConfig(**(xvnc or {})), **settings)))
        async with Sandbox(catalog=catalog, config=config) as sandbox:
            await sandbox.create_session({"vm": {"apps": list(apps), "files": files or {}}})
            yield Desktop(sandbox)

    return run
