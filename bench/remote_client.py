"""What a call to a sandbox server costs the client, beside bare httpx over the same transport; and 2,000 calls at once.

Run: python bench/remote_client.py
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from itertools import islice
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import orjson

from agentflow_core import Sandbox, register_api_tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SLOTS = 64
CALLS = 4_000
AT_ONCE = 2_000
ROUNDS = 3


@register_api_tool(name="bench:add", read_only=True)
async def add(amount: int = 1) -> dict[str, int]:
    """Add to nothing.

    Args:
        amount: how much.
    """
    return {"total": amount}


@register_api_tool(name="bench:wait", read_only=True)
async def wait(seconds: float) -> None:
    """Wait.

    Args:
        seconds: how long.
    """
    await anyio.sleep(seconds)


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server in a process of its own, so that its CPU is not counted."""
    command = [sys.executable, "-m", "agentflow_core", "serve", "--port", "0", "--load", __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def in_lanes(call: Callable[[], Awaitable[object]], calls: int, lanes: int = SLOTS) -> None:
    """So many calls, each lane with one under way."""
    waiting = iter(range(calls))

    async def lane() -> None:
        for _ in waiting:
            await call()

    async with anyio.create_task_group() as tasks:
        for _ in islice(range(calls), lanes):
            tasks.start_soon(lane)


async def cpu_ms(call: Callable[[], Awaitable[object]]) -> float:
    await in_lanes(call, SLOTS * 4)
    taken = []
    for _ in range(ROUNDS):
        started = process_time()
        await in_lanes(call, CALLS)
        taken.append((process_time() - started) / CALLS * 1000)
    return min(taken)


async def wall_s(call: Callable[[], Awaitable[object]], calls: int, lanes: int) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = perf_counter()
        await in_lanes(call, calls, lanes)
        taken.append(perf_counter() - started)
    return min(taken)


async def bare(url: str) -> float:
    """httpx over aiohttp, nothing else: post the body, read the JSON."""
    import httpx
    from httpx_aiohttp import AiohttpTransport

    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=60, trust_env=False) as client:

        async def call() -> None:
            body = orjson.dumps({"tool": "bench:add", "params": {"amount": 3}})
            answer = await client.post(f"{url}/v1/execute", content=body)
            assert orjson.loads(answer.content)["ok"]

        return await cpu_ms(call)


async def main() -> None:
    with server() as url:
        lean = await bare(url)
        print(f"CPU of the client a call, {SLOTS} under way:")
        print(f"  {'bare httpx over aiohttp':32} {lean:6.3f} ms")
        async with Sandbox(url) as sandbox:
            full = await cpu_ms(lambda: sandbox.execute("bench:add", {"amount": 3}))
            print(f"  {'Sandbox(url)':32} {full:6.3f} ms   {full / lean:5.2f} × bare")
            print(f"{AT_ONCE} calls gathered at once, beside {SLOTS} lanes with one call each:")
            tasks_s = await wall_s(anyio.lowlevel.checkpoint, AT_ONCE, AT_ONCE)
            print(f"  {'starting tasks that do nothing':32} {tasks_s:6.2f} s")
            for name, params in (("bench:add", {"amount": 3}), ("bench:wait", {"seconds": 0.05})):

                async def call(name: str = name, params: dict[str, float] = params) -> None:
                    assert (await sandbox.execute(name, params)).ok

                lanes = await wall_s(call, AT_ONCE, SLOTS)
                gathered = await wall_s(call, AT_ONCE, AT_ONCE)
                print(f"  {name:32} {gathered:6.2f} s    {gathered / lanes:5.2f} × the lanes' {lanes:.2f} s")


if __name__ == "__main__":
    anyio.run(main)
