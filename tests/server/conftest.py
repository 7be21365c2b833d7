"""What the tests of the server share: the application in this process, and a server in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from attrs import define, field

from agentflow_core import register_api_tool
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, Catalog, LimitsConfig, Session, tool
from agentflow_core.sandbox.server import ServeConfig, ServerConfig
from agentflow_core.sandbox.server.access import Tokens
from agentflow_core.sandbox.server.handlers import ServerFacts
from agentflow_core.sandbox.server.process import opened_app
from agentflow_core.testing.backends import CounterBackend, GlossaryBackend, PagesBackend

if TYPE_CHECKING:
    import signal

    from agentflow_core.sandbox.server.app import App

TOOLS = Path(__file__).parent / "probe_tools.py"


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class BrokenBackend(Backend):
    """Never starts."""

    async def initialize(self, session: Session) -> None:
        raise RuntimeError("no such display")

    @tool
    async def look(self, state: None) -> str:
        """Look."""
        return ""


@register_api_tool(name="probe:answer")
async def answer(code: str) -> ToolResult:
    """Fail in the tool's own terms.

    Args:
        code: how.
    """
    return ToolResult.failure(code, "as it was asked to")


@register_api_tool(name="probe:raise")
async def defect(text: str = "secret") -> str:
    """Fail as no tool should.

    Args:
        text: what the exception says.
    """
    raise KeyError(text)


@register_api_tool(name="probe:big", read_only=True)
async def big(size: int) -> str:
    """Print much.

    Args:
        size: how many bytes.
    """
    return "0123456789" * (size // 10)


@register_api_tool(name="probe:wait")
async def wait(seconds: float) -> str:
    """Wait.

    Args:
        seconds: how long.
    """
    await anyio.sleep(seconds)
    return "waited"


Opened = Callable[..., Any]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Opened:
    """Open a client of the application in this process: ``async with opened(tokens=…) as client``; ``client.app``."""

    @asynccontextmanager
    async def open_client(
        *tokens: tuple[Any, str],
        limits: dict[str, Any] | None = None,
        debug: bool = False,
        is_ready: bool = True,
        **options: Any,
    ) -> AsyncIterator[httpx.AsyncClient]:
        catalog = Catalog.of(
            answer,
            defect,
            big,
            wait,
            counter=CounterBackend,
            glossary=GlossaryBackend,
            pages=PagesBackend,
            broken=BrokenBackend,
        )
        bounds = LimitsConfig(**(limits or {}))
        config = ServeConfig(
            limits=dict.fromkeys((*catalog.backends, *catalog.api_groups), bounds),
            state_dir=tmp_path / "state",
            server=ServerConfig(**options),
        )
        facts = ServerFacts(max_body_bytes=config.server.max_body_bytes, debug=debug, urls=("http://127.0.0.1:18890",))
        async with opened_app(
            catalog, config, artifacts=tmp_path / "blobs", tokens=Tokens(tokens), facts=facts, clock=clock
        ) as app:
            app.handlers.gate.is_ready = is_ready
            async with Client(app) as client:
                yield client

    return open_client


class Client(httpx.AsyncClient):
    """Speaks to the application without a network."""

    def __init__(self, app: App) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:18890")
        self.app = app

    async def call(self, tool: str, params: Any = None, *, token: str | None = None, **fields: Any) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.post("/v1/execute", json={"tool": tool, "params": params, **fields}, headers=headers)


@define
class ServerProcess:
    """A running ``agentflow serve``."""

    process: subprocess.Popen[str]
    urls: list[str]
    log: Path
    clients: list[httpx.AsyncClient] = field(factory=list)

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        with anyio.fail_after(20):
            return await anyio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start a server process: ``serve("--port", 0)``; it is killed at the end."""
    with contextmanager(_servers)(tmp_path) as start:
        yield start


def _servers(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    running: list[ServerProcess] = []

    def start(*arguments: object, engines: int = 1, port: int = 0, **environ: str) -> ServerProcess:
        command = [sys.executable, "-m", "agentflow_core", "serve", "--load", TOOLS, "--port", port, *arguments]
        log = tmp_path / f"server-{len(running)}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={
                    **os.environ,
                    "AGENTFLOW_STATE": str(tmp_path / "state"),
                    "AGENTFLOW_PLUGINS": "core",
                    "TMPDIR": str(tmp_path),
                    **environ,
                },
            )
        assert process.stdout is not None
        server = ServerProcess(process=process, urls=[], log=log)
        running.append(server)
        server.urls = [process.stdout.readline().strip() for _ in range(engines)]
        assert all(server.urls), log.read_text()
        return server

    try:
        yield start
    finally:
        for server in running:
            server.process.kill()
            server.process.wait()
            if server.process.stdout is not None:
                server.process.stdout.close()
