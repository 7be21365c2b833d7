"""What the tests of agentflow-browser share: a site of ours on loopback, and sandboxes whose pages may reach it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_browser.backend import BrowserBackend
from agentflow_browser.config import BrowserConfig
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Site:
    """Pages by path: HTML, or status, headers and body, or what writes all of it. ``asked``: what was asked for, in order."""

    def __init__(self) -> None:
        self.pages: dict[str, str | tuple[int, dict[str, str], bytes] | Callable[[Any], None]] = {}
        self.asked: list[tuple[str, str, bytes]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                site.asked.append((self.command, self.path, body))
                found = site.pages.get(path)
                if found is None:
                    found = (404, {"Content-Type": "text/html"}, b"<title>Not found</title>no such page")
                elif isinstance(found, str):
                    found = (200, {"Content-Type": "text/html; charset=utf-8"}, found.encode())
                elif callable(found):
                    found(self.wfile)
                    self.close_connection = True
                    return
                status, headers, data = found
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def was_asked(self, path: str) -> bool:
        """Was this path asked for?"""
        return any(asked.partition("?")[0] == path for _, asked, _ in self.asked)


@pytest.fixture
def site() -> Iterator[Site]:
    """A site without pages."""
    with _served() as made:
        yield made


@pytest.fixture
def other_site() -> Iterator[Site]:
    """Another one, which pages may not reach."""
    with _served() as made:
        yield made


@contextmanager
def _served() -> Iterator[Site]:
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def opened(tmp_path: Path, missing: Callable[[str], None], site: Site) -> Callable[..., Any]:
    """Open a sandbox with the backend ``browser``: ``async with opened(allow_evaluate=True, …) as sandbox``."""

    @asynccontextmanager
    async def run(*, resolver: Any = None, open_site: bool = True, **settings: Any) -> AsyncIterator[Sandbox]:
        if shutil.which("chromium") is None:
            missing("no Chromium: apt-get install chromium")
        hosts = (*settings.pop("allow_hosts", ()), *([site.host] if open_site else []))
        config = BrowserConfig(allow_hosts=hosts, **settings)
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        catalog = Catalog.of(browser=lambda: BrowserBackend(config, resolver=resolver))
        async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=state)) as sandbox:
            yield sandbox

    return run


@pytest.fixture
def browse(opened: Callable[..., Any]) -> Callable[..., Any]:
    """Open a sandbox and give a function that calls its tools: ``async with browse() as do: await do("click", ref=…)``."""

    @asynccontextmanager
    async def run(*, session: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Callable[..., Any]]:
        async with opened(**settings) as sandbox:
            await sandbox.create_session({"browser": session or {}})

            async def do(tool: str, **params: Any) -> Any:
                return await sandbox.execute(f"browser:{tool}", params)

            do.sandbox = sandbox
            yield do

    return run


class Watched(BrowserBackend):
    """The backend, and the states of its sessions."""

    def __init__(self, config):
        super().__init__(config)
        self.states = []

    async def initialize(self, session):
        self.states.append(await super().initialize(session))
        return self.states[-1]


@pytest.fixture
def watched(tmp_path, site):
    """Open a sandbox, and see the inside of its sessions."""

    @asynccontextmanager
    async def run(**settings):
        made = Watched(BrowserConfig(allow_hosts=(site.host,), **settings))
        catalog = Catalog.of(browser=lambda: made)
        async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=tmp_path)) as sandbox:
            yield sandbox, made.states

    return run
