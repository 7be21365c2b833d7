"""What a call over HTTP costs the server, beside a bare Starlette echo on the same uvicorn in the same run.

Run: python bench/server.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import aiohttp
import anyio
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

CONCURRENCIES = (1, 16, 64)
CALLS = {1: 1_500, 16: 6_000, 64: 6_000}
ROUNDS = 5
WARM = 500
CORE = [sys.executable, "-m", "agentflow_core", "serve", "--port", "0", "--load", __file__]
BODY = b'{"tool":"echo:say","params":{"text":"' + b"x" * 100 + b'"}}'


@frozen(kw_only=True)
class Served:
    """A server under measurement."""

    name: str
    url: str
    pid: int
    cpu_us: list[float] = field(factory=list)
    p99_ms: list[float] = field(factory=list)
    rate: list[float] = field(factory=list)


def bare() -> None:
    """Serve the echo: no tokens, no engine, no envelope."""
    import orjson
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from agentflow_core.sandbox.server.process import http_config, listen, url_of
    from agentflow_core.sandbox.server.starting import loop_options

    async def echo(request: Request) -> Response:
        return Response(orjson.dumps(orjson.loads(await request.body())), media_type="application/json")

    listener = listen("127.0.0.1", 0)
    print(url_of(listener) + "/echo", flush=True)
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"])])
    anyio.run(uvicorn.Server(http_config(app)).serve, [listener], backend_options=loop_options())


@contextmanager
def started(name: str, command: list[str], path: str) -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as state:
        environ = {**os.environ, "AGENTFLOW_STATE": state, "AGENTFLOW_PLUGINS": "core"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
            try:
                assert process.stdout is not None
                yield Served(name=name, url=process.stdout.readline().strip() + path, pid=process.pid)
            finally:
                process.terminate()


def cpu_s(pid: int) -> float:
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


async def measure(session: aiohttp.ClientSession, server: Served, concurrency: int, calls: int) -> None:
    times: list[float] = []
    headers = {"content-type": "application/json"}

    async def run() -> None:
        for _ in range(calls // concurrency):
            began = perf_counter()
            async with session.post(server.url, data=BODY, headers=headers) as answer:
                await answer.read()
                assert answer.status == 200
            times.append(perf_counter() - began)

    before, began = cpu_s(server.pid), perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(concurrency):
            tasks.start_soon(run)
    server.rate.append(len(times) / (perf_counter() - began))
    server.cpu_us.append((cpu_s(server.pid) - before) / len(times) * 1e6)
    server.p99_ms.append(statistics.quantiles(times, n=100)[98] * 1e3)


async def compare(ours: Served, other: Served) -> None:
    for concurrency in CONCURRENCIES:
        connector = aiohttp.TCPConnector(limit=concurrency)
        async with aiohttp.ClientSession(connector=connector) as session:
            for server in (ours, other):
                await measure(session, server, concurrency, WARM)
                for numbers in (server.cpu_us, server.p99_ms, server.rate):
                    numbers.clear()
            for _ in range(ROUNDS):
                for server in (other, ours):
                    await measure(session, server, concurrency, CALLS[concurrency])
        for server in (other, ours):
            cpu, p99, rate = (statistics.median(one) for one in (server.cpu_us, server.p99_ms, server.rate))
            line = f"{concurrency:3} at once  {server.name:16} {cpu:6.0f} µs CPU a call   p99 {p99:6.2f} ms   {rate:6.0f}/s"
            if server is ours:
                factor = cpu / statistics.median(other.cpu_us)
                line += f"   {factor:4.2f} × CPU, {p99 / statistics.median(other.p99_ms):4.2f} × p99"
            print(line)


def main() -> None:
    echo = [sys.executable, __file__, "bare"]
    with started("agentflow serve", CORE, "/v1/execute") as ours, started("bare Starlette", echo, "") as other:
        anyio.run(compare, ours, other)


if __name__ == "__main__":
    bare() if sys.argv[1:] == ["bare"] else main()
else:
    from agentflow_core import register_api_tool

    @register_api_tool(name="echo:say", read_only=True)
    async def say(text: str) -> str:
        """Answer the text.

        Args:
            text: anything.
        """
        return text
