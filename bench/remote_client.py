"""What a call to a sandbox server costs the client, beside bare httpx over the same transport; and 2,000 calls at once.

Calls that do nothing show what 2,000 tasks cost the one who starts them: most of what they add is Python's garbage
collector, which walks their objects. Bare httpx behind as many slots pays the same; both are measured in pairs, with
the median of the ratios.

Run: python bench/remote_client.py
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import anyio
import orjson
from attrs import frozen

from agentflow_core import Sandbox, register_api_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Call = Callable[[], Awaitable[object]]

SLOTS = 64
CALLS = 4_000
AT_ONCE = 2_000
ROUNDS = 3
PAIRS = 7


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


async def in_lanes(call: Call, calls: int, lanes: int = SLOTS) -> None:
    """So many calls, each lane with one under way."""
    waiting = iter(range(calls))

    async def lane() -> None:
        for _ in waiting:
            await call()

    async with anyio.create_task_group() as tasks:
        for _ in islice(range(calls), lanes):
            tasks.start_soon(lane)


async def cpu_ms(call: Call) -> float:
    await in_lanes(call, SLOTS * 4)
    taken = []
    for _ in range(ROUNDS):
        started = process_time()
        await in_lanes(call, CALLS)
        taken.append((process_time() - started) / CALLS * 1000)
    return min(taken)


@frozen(kw_only=True)
class Pair:
    """Seconds for the same calls in lanes, and gathered at once; and of the client's CPU."""

    lanes_s: float
    gathered_s: float
    lanes_cpu_s: float
    gathered_cpu_s: float


async def pair(lane: Call, gathered: Call) -> Pair:
    """Both, one after the other; medians of several are taken, since the machine does other things too."""
    started, cpu = perf_counter(), process_time()
    await in_lanes(lane, AT_ONCE)
    between, cpu_between = perf_counter(), process_time()
    await in_lanes(gathered, AT_ONCE, AT_ONCE)
    return Pair(
        lanes_s=between - started,
        gathered_s=perf_counter() - between,
        lanes_cpu_s=cpu_between - cpu,
        gathered_cpu_s=process_time() - cpu_between,
    )


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Call]:
    """httpx over aiohttp, nothing else: post the body, read the JSON."""
    import httpx
    from httpx_aiohttp import AiohttpTransport

    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=60, trust_env=False) as client:

        async def call() -> None:
            body = orjson.dumps({"tool": "bench:add", "params": {"amount": 3}})
            answer = await client.post(f"{url}/v1/execute", content=body)
            assert orjson.loads(answer.content)["ok"]

        yield call


def say(name: str, pairs: list[Pair]) -> None:
    """One line: the median of each, and of their ratios."""
    lanes = median(pair.lanes_s for pair in pairs)
    gathered = median(pair.gathered_s for pair in pairs)
    ratio = median(pair.gathered_s / pair.lanes_s for pair in pairs)
    cpu = median(pair.gathered_cpu_s / pair.lanes_cpu_s for pair in pairs)
    print(f"  {name:28} {gathered:6.2f} s   {ratio:5.2f} × the lanes' {lanes:.2f} s   CPU {cpu:5.2f} ×")


async def at_once(peer: Call, sandbox: Sandbox) -> None:
    """2,000 calls gathered at once, beside as many in lanes."""
    slots = anyio.CapacityLimiter(SLOTS)

    async def behind_slots() -> None:
        async with slots:
            await peer()

    async def add() -> None:
        assert (await sandbox.execute("bench:add", {"amount": 3})).ok

    async def wait() -> None:
        assert (await sandbox.execute("bench:wait", {"seconds": 0.05})).ok

    bares, adds, waits = [], [], []
    for _ in range(PAIRS):
        bares.append(await pair(peer, behind_slots))
        adds.append(await pair(add, add))
        waits.append(await pair(wait, wait))
    print(f"{AT_ONCE} calls gathered at once, beside {SLOTS} lanes with one call each, medians of {PAIRS} pairs:")
    say("bare httpx behind a limiter", bares)
    beside = median(add.gathered_s / bare.lanes_s for add, bare in zip(adds, bares, strict=True))
    say("bench:add", adds)
    print(f"  {'':28} {beside:16.2f} × the lanes of bare httpx")
    say("bench:wait, 50 ms", waits)


async def main() -> None:
    with server() as url:
        async with bare(url) as peer, Sandbox(url) as sandbox:
            lean = await cpu_ms(peer)
            full = await cpu_ms(lambda: sandbox.execute("bench:add", {"amount": 3}))
            print(f"CPU of the client a call, {SLOTS} under way:")
            print(f"  {'bare httpx over aiohttp':32} {lean:6.3f} ms")
            print(f"  {'Sandbox(url)':32} {full:6.3f} ms   {full / lean:5.2f} × bare")
            await at_once(peer, sandbox)


if __name__ == "__main__":
    anyio.run(main)
