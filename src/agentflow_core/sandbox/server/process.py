"""Run one server process from its first listening socket to its last answer: start, serve, drain, clean up."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import uvicorn

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import UsageError
from agentflow_core.sandbox.client import default_state_dir
from agentflow_core.sandbox.config import LimitsConfig
from agentflow_core.sandbox.engine import SandboxEngine
from agentflow_core.sandbox.folders import scratch_folder
from agentflow_core.sandbox.server.access import HostGuard, Tokens
from agentflow_core.sandbox.server.app import App
from agentflow_core.sandbox.server.deadline import ended_within
from agentflow_core.sandbox.server.handlers import Handlers, ServerFacts
from agentflow_core.sandbox.server.mcp import McpRoute
from agentflow_core.sandbox.server.workers import Heartbeats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.server.config import ServeConfig
    from agentflow_core.sandbox.server.gate import Gate

__all__ = ["Ending", "http_config", "listen", "opened_app", "run_server", "url_of"]

_log = logging.getLogger("agentflow_core.server")
_KEEP_ALIVE_S = 75  # longer than clients keep an idle connection, so that none is closed under a request
_SENDING_S = 5  # for answers that are ready when the server stops
_HARD_S = 5.0  # for the cleanup of sessions after a second signal, and beyond what limits allow after the first
_BACKLOG = 2048
_DISCARD_S = 300.0  # between two looks for artifacts whose time is over


class Ending:
    """How the process is asked to end: ``gently`` lets calls finish, ``at_once`` does not."""

    def __init__(self) -> None:
        self.gently = anyio.Event()
        self.at_once = anyio.Event()

    def ask(self) -> None:
        """The first time gently, the second time at once, the third time now."""
        if self.at_once.is_set():
            os._exit(1)
        (self.at_once if self.gently.is_set() else self.gently).set()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `UsageError` where the address is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(_BACKLOG)
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise UsageError(message, hint="choose another address: --host, --port (0 is a free port)") from error
    return made


def url_of(listener: socket.socket) -> str:
    """The URL of a listening socket; of one that listens everywhere, as this machine reaches it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def opened_app(
    catalog: Catalog,
    config: ServeConfig,
    *,
    artifacts: Path,
    tokens: Tokens,
    facts: ServerFacts,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[App]:
    """The application over an engine that is open. At the end calls are cancelled and sessions cleaned up."""
    blobs = BlobStore(artifacts)
    engine = SandboxEngine(
        catalog,
        state_dir=config.state_dir or default_state_dir(),
        blobs=blobs,
        limits=config.limits,
        launcher=config.launcher,
        clock=clock,
        suffix=facts.instance[:6],
    )
    heartbeats = Heartbeats(config.server.worker_lost_s, clock)
    handlers = Handlers(engine, heartbeats, facts)
    guard = HostGuard(config.server.host, config.server.allowed_hosts)
    mcp = McpRoute(handlers, _longest_idle_s(catalog, config))
    # MCP ends last: until then it sends what the engine's end has answered
    async with mcp.running(), engine, anyio.create_task_group() as tasks:
        tasks.start_soon(_sweep, handlers, config.server.worker_lost_s / 4)
        tasks.start_soon(_discard, blobs, config.server.artifact_ttl_s)
        yield App(handlers, mcp, tokens, guard)
        tasks.cancel_scope.cancel()


def _longest_idle_s(catalog: Catalog, config: ServeConfig) -> float:
    """How long an idle session of any backend is kept."""
    limits = [config.limits.get(name) or LimitsConfig() for name in (*catalog.backends, *catalog.api_groups)]
    return max((one.idle_ttl_s for one in limits), default=LimitsConfig().idle_ttl_s)


async def _sweep(handlers: Handlers, every_s: float) -> None:
    while True:
        await anyio.sleep(min(every_s, 5.0))
        handlers.close_lost_workers()


async def _discard(blobs: BlobStore, ttl_s: float) -> None:
    while True:
        await anyio.sleep(min(ttl_s / 10, _DISCARD_S))
        await anyio.to_thread.run_sync(blobs.discard, ttl_s, abandon_on_cancel=True)


def http_config(app: Callable[..., Awaitable[None]]) -> uvicorn.Config:
    """How uvicorn serves an application here."""
    return uvicorn.Config(
        app,
        http=_protocol(),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SENDING_S,
        backlog=_BACKLOG,
    )


def _protocol() -> Any:
    if find_spec("httptools") is None:
        return "h11"
    from agentflow_core.sandbox.server.heads import BoundedHeads  # needs httptools

    return BoundedHeads


class _HttpServer(uvicorn.Server):
    """uvicorn, but for signals, which are ours."""

    def __init__(self, app: App) -> None:
        super().__init__(http_config(app))
        self.listening = anyio.Event()
        self.ended = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def run_on(self, listener: socket.socket) -> None:
        try:
            await self.serve([listener])
        finally:
            self.ended.set()


async def run_server(
    catalog: Catalog,
    config: ServeConfig,
    listener: socket.socket,
    *,
    tokens: Tokens,
    facts: ServerFacts,
    announce: Callable[[], None],
    ending: Ending,
) -> int:
    """Serve until ``ending`` asks, a signal does, or an admin. Returns the exit code.

    Then nothing more is admitted, calls have ``grace_s`` to end, what still runs is cancelled and answered, sessions
    are cleaned up, and the socket is closed last. A cleanup that nothing stops ends with the process, code 1.

    Raises:
        AgentFlowError: a backend of ``warmup`` cannot start.
    """
    with scratch_folder() as folder, ExitStack() as closing:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch_signals, ending)
            tasks.start_soon(_end_hard, ending)
            async with opened_app(catalog, config, artifacts=folder, tokens=tokens, facts=facts) as app:
                http = _HttpServer(app)
                tasks.start_soon(http.run_on, listener)
                await http.listening.wait()
                announce()
                engine = app.handlers.engine
                try:
                    await _serve(app.handlers.gate, partial(engine.warmup, config.warmup), config, ending)
                finally:
                    closing.enter_context(ended_within(engine.closing_s + _HARD_S))
            http.should_exit = True
            await http.ended.wait()
            tasks.cancel_scope.cancel()
    return int(ending.at_once.is_set())


async def _serve(gate: Gate, warmup: Callable[[], Awaitable[None]], config: ServeConfig, ending: Ending) -> None:
    """Warm up, wait until the server is to stop, then until its calls have ended or their time is over."""
    async with anyio.create_task_group() as tasks:

        async def drain_when_asked() -> None:
            await ending.gently.wait()
            gate.drain()

        async def start() -> None:
            if config.warmup:
                await warmup()
            gate.is_ready = True

        tasks.start_soon(drain_when_asked)
        tasks.start_soon(start)
        await gate.draining.wait()
        tasks.cancel_scope.cancel()
    ending.gently.set()  # an admin may have asked: the next signal is the second
    async with anyio.create_task_group() as tasks:

        async def hurry() -> None:
            await ending.at_once.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(hurry)
        with anyio.move_on_after(config.server.grace_s) as grace:
            await gate.wait_empty()
        if grace.cancelled_caught:
            _log.warning("%d calls did not end within %g s and are cancelled", gate.inside, config.server.grace_s)
        tasks.cancel_scope.cancel()


async def _watch_signals(ending: Ending) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            ending.ask()


async def _end_hard(ending: Ending) -> None:
    await ending.at_once.wait()
    await anyio.sleep(_HARD_S)
    os._exit(1)  # a cleanup hangs; what it leaves is found at the next start
