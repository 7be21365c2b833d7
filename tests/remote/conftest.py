"""A server that speaks the wire and fails when it is told to; and real ones."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter, deque
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web
from anyio.abc import SocketAttribute
from attrs import evolve

from agentflow_core.records import ToolResult
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox.remote.door import RemoteDoor
from agentflow_core.sandbox.wire import encode_result
from agentflow_core.sandbox.worker import WorkerView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anyio.abc import SocketStream, TaskStatus

SCHEMA = {"type": "object", "properties": {}, "required": []}


class FakeServer:
    """Counts; each fault of ``faults`` befalls one request for a call or session, the first one first.

    ``drop``: the connection is cut before anything is done; ``lose``: after it; ``full``: it is overloaded;
    ``quota``: 429 for another reason; ``hang``: no answer comes; ``proxy``: a proxy says that it is away.
    """

    def __init__(self) -> None:
        self.url = ""
        self.faults: deque[str] = deque()
        self.runs: Counter[str] = Counter()  # by call id
        self.requests: Counter[str] = Counter()  # by method and path
        self.bodies: list[dict[str, Any]] = []
        self.heartbeats: list[set[str]] = []
        self.token = ""
        self.tools = {"shared:look": ("shared", True), "shared:send": ("shared", False), "own:add": ("session", False)}
        self.sessions: dict[str, str] = {}
        self.instance = 1
        self.running = 0
        self.most_running = 0
        self.hold: anyio.Event | None = None
        self.arrived = anyio.Event()
        self.beaten = anyio.Event()
        self.speaks = True
        self.mute = False  # it takes requests, and answers none
        self._answers: dict[str, ToolResult] = {}
        self._opened: dict[str, ToolResult] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def restart(self) -> None:
        """Begin anew, without the sessions."""
        await self.stop()
        self.instance += 1
        self.sessions.clear()
        self._answers.clear()
        self._opened.clear()
        await self.start()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path
        self.requests[f"{request.method} {path}"] += 1
        if self.mute:
            await anyio.sleep_forever()
        if not self.speaks:
            return web.Response(text="<html>hello</html>", content_type="text/html")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _reply(ToolResult.failure("unauthenticated", "a wrong token"), 401)
        if path == "/healthz":
            self.beaten.set()
            return _reply(ToolResult())
        if path == "/v1/capabilities":
            status = {"backends": {"own": {"state": "idle"}}, "api_tools": {}, "sessions": len(self.sessions)}
            backends = {"own": {"sharing": "session", "forkable": True, "provider": "test"}}
            return _reply(ToolResult(data={"heartbeat_s": 30.0, "backends": backends, "status": status}))
        if path == "/v1/tools":
            return _reply(ToolResult(data={"tools": [self._row(name) for name in self.tools]}))
        if path.endswith("/heartbeat"):
            body = await request.json()
            self.heartbeats.append({path.split("/")[3], *body.get("workers", ())})
            self.beaten.set()
            return _reply(ToolResult(data={"heartbeat_s": 30.0, "worker_lost_s": 120.0}))
        if path == "/v1/sessions" and request.method == "GET":
            mine = [name for name, worker in self.sessions.items() if worker == request.query["worker_id"]]
            return _reply(ToolResult(data={"sessions": [self._info(name) for name in mine]}))
        if request.method == "DELETE":
            return _reply(ToolResult())
        return await self._work(request)

    async def _work(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        self.bodies.append(body)
        fault = self.faults.popleft() if self.faults else ""
        if fault == "drop":
            return self._cut(request)
        if fault == "full":
            return _reply(ToolResult.failure("overloaded", "full", retry_after_s=0.01), 429)
        if fault == "quota":
            return _reply(evolve(ToolResult.failure("quota_exceeded", "no more"), tool=body["tool"]), 429)
        if fault == "proxy":
            return web.Response(status=502, text="Bad Gateway")
        if fault == "hang":
            self.arrived.set()
            await anyio.sleep_forever()
        if request.path == "/v1/sessions" or request.path.endswith("/fork"):
            if body["call_id"] not in self._opened:
                self._opened[body["call_id"]] = self._open_all(request, body)
            result = self._opened[body["call_id"]]
            reply = _reply(result, 201 if result.ok else 404)
        else:
            reply = await self._execute(body)
        return self._cut(request) if fault == "lose" else reply

    async def _execute(self, body: dict[str, Any]) -> web.Response:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.arrived.set()
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.running -= 1
        if body["call_id"] not in self._answers:
            result = self._run(body)
            if result.code == "not_found":
                return _reply(result, 404)
            self._answers[body["call_id"]] = result
        return _reply(self._answers[body["call_id"]])

    def _run(self, body: dict[str, Any]) -> ToolResult:
        session = body.get("session_id")
        tool = body["tool"]
        if tool.startswith("own:"):
            if session is not None and session not in self.sessions:
                return evolve(ToolResult.failure("not_found", "no such session"), tool=tool)
            if session is None:
                session = self._open("own", body["worker_id"])["id"]
        self.runs[body["call_id"]] += 1
        return ToolResult(data=sum(self.runs.values()), tool=tool, session_id=session or "", call_id=body["call_id"])

    def _open_all(self, request: web.Request, body: dict[str, Any]) -> ToolResult:
        if request.path.endswith("/fork"):
            parent = request.path.split("/")[3]
            if parent not in self.sessions:
                return ToolResult.failure("not_found", "no such session")
            return ToolResult(data=self._open("own", self.sessions[parent]))
        return ToolResult(data={name: self._open(name, body["worker_id"]) for name in body["backends"]})

    def _open(self, backend: str, worker: str) -> dict[str, Any]:
        session = f"{backend}-{len(self.sessions) + 1}-{self.instance}"
        self.sessions[session] = worker
        return self._info(session)

    def _info(self, session: str) -> dict[str, Any]:
        return {"id": session, "backend": "own", "worker_id": self.sessions[session], "state": "ready", "data": {}}

    def _row(self, name: str) -> dict[str, Any]:
        sharing, read_only = self.tools[name]
        return {
            "name": name,
            "description": "a tool",
            "parameters": SCHEMA,
            "sharing": sharing,
            "read_only": read_only,
            "forkable": sharing == "session",
        }

    @staticmethod
    def _cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def _reply(result: ToolResult, status: int = 200) -> web.Response:
    return web.Response(body=encode_result(result), status=status, content_type="application/json")


class CuttingProxy:
    """Stands before a server. A request that begins with the next of ``cuts`` reaches it; its answer is cut off."""

    def __init__(self, url: str) -> None:
        self.url = ""
        self.cuts: deque[bytes] = deque()
        self._port = int(url.rpartition(":")[2])

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            self.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
            task_status.started()
            await listener.serve(self._pass_on)

    async def _pass_on(self, client: SocketStream) -> None:
        is_cut = False
        server = await anyio.connect_tcp("127.0.0.1", self._port)
        async with client, server, anyio.create_task_group() as tasks:

            async def ask() -> None:
                nonlocal is_cut
                async for data in client:
                    if self.cuts and data.startswith(self.cuts[0]):
                        self.cuts.popleft()
                        is_cut = True
                    await server.send(data)
                tasks.cancel_scope.cancel()

            async def answer() -> None:
                with contextlib.suppress(anyio.BrokenResourceError):
                    async for data in server:
                        if is_cut:
                            break
                        await client.send(data)
                tasks.cancel_scope.cancel()

            tasks.start_soon(ask)
            tasks.start_soon(answer)


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A fake server that runs."""
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def other() -> AsyncIterator[FakeServer]:
    """Another one."""
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def opened() -> Callable[..., Any]:
    """Open a door to servers, as the view of one worker: ``async with opened(url) as worker``."""

    @asynccontextmanager
    async def make(*urls: str, **options: Any) -> AsyncIterator[WorkerView]:
        options = {"patience_s": 5.0, "observe": ignore_event, **options}
        async with RemoteDoor(urls, **options) as door:
            yield WorkerView(door, "main")

    return make


TOOLS = Path(__file__).with_name("served_tools.py")


class Served:
    """``agentflow serve`` in a process of its own."""

    def __init__(self, *options: str, token: str = "", engines: int = 1) -> None:
        environ = {key: value for key, value in os.environ.items() if key != "AGENTFLOW_TOKEN"}
        if token:
            environ["AGENTFLOW_TOKEN"] = token
        command = [sys.executable, "-m", "agentflow_core", "serve", "--load", str(TOOLS), *options]
        command += ["--set", f"server.engines={engines}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environ)
        assert self.process.stdout is not None
        self.urls = [self.process.stdout.readline().strip() for _ in range(engines)]
        self.url = self.urls[0]

    def stop(self, *, kill: bool = False) -> None:
        """End it, gently or not."""
        self.process.kill() if kill else self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTFLOW_TOKEN", raising=False)


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    """The URL of a real server with the reference backends."""
    server = Served("--port", "0")
    yield server.url
    server.stop()


@pytest.fixture
async def proxy(served: str) -> AsyncIterator[CuttingProxy]:
    """What stands before the real server and cuts answers off."""
    made = CuttingProxy(served)
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.run)
        yield made
        tasks.cancel_scope.cancel()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start real servers that end with the test."""
    with ExitStack() as stack:

        def start(*options: str, **settings: Any) -> Served:
            server = Served(*options, **settings)
            stack.callback(lambda: server.process.poll() is None and server.stop(kill=True))
            return server

        yield start
