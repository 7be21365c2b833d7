"""What one tool call through the embedded sandbox costs, beside calling the bare function.

Run: python bench/tool_calls.py
"""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import anyio

from agentflow_core.sandbox import Backend, Catalog, Range, Sandbox, Session, register_api_tool, tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WARM = 500
CALLS = 20_000
WORKERS = 32


@register_api_tool(name="bench:add", read_only=True)
async def add(amount: Annotated[int, Range(1, 100)] = 1) -> dict[str, int]:
    """Add to nothing.

    Args:
        amount: how much.
    """
    return {"total": amount}


@register_api_tool(name="bench:add_in_thread", read_only=True)
def add_in_thread(amount: Annotated[int, Range(1, 100)] = 1) -> dict[str, int]:
    """Add to nothing, in a worker thread.

    Args:
        amount: how much.
    """
    return {"total": amount}


class CounterBackend(Backend):
    """One counter a session."""

    async def initialize(self, session: Session) -> dict[str, int]:
        return {"total": 0}

    @tool
    async def add(self, state: dict[str, int], amount: Annotated[int, Range(1, 100)] = 1) -> dict[str, int]:
        """Add to the counter.

        Args:
            amount: how much.
        """
        state["total"] += amount
        return {"total": state["total"]}


async def median_us(call: Callable[[], Awaitable[object]], calls: int = CALLS) -> float:
    for _ in range(WARM):
        await call()
    times = []
    for _ in range(calls):
        started = perf_counter()
        await call()
        times.append(perf_counter() - started)
    return statistics.median(times) * 1e6


async def main() -> None:
    bare = await median_us(lambda: add(3))
    print(f"{'bare async function':32} {bare:8.2f} µs")
    async with Sandbox(catalog=Catalog.of(add, add_in_thread, counter=CounterBackend)) as sandbox:
        for name, calls in (("bench:add", CALLS), ("counter:add", CALLS), ("bench:add_in_thread", 2_000)):
            took = await median_us(lambda name=name: sandbox.execute(name, {"amount": 3}), calls)
            print(f"{name:32} {took:8.2f} µs   {took / bare:6.0f} × bare")
        workers = [sandbox.worker(f"w{number}") for number in range(WORKERS)]
        started = perf_counter()

        async def run(index: int) -> None:
            for _ in range(200):
                await workers[index].execute("counter:add")

        async with anyio.create_task_group() as tasks:
            for index in range(WORKERS):
                tasks.start_soon(run, index)
        each = (perf_counter() - started) / (WORKERS * 200) * 1e6
        print(f"{WORKERS} workers, one session each     {each:8.2f} µs a call")


if __name__ == "__main__":
    anyio.run(main)
