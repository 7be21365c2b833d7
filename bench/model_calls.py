"""Calls per second and CPU per call with 64 in flight: the SDK's create loop, its low-level post, and our full stack.

All three talk to the same mock server in another process, in turn, several rounds; the best round of each counts.
Run: ``python bench/model_calls.py [--calls 2000] [--latency-ms 50]``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import openai

from agentflow_core.config import PluginChoice
from agentflow_core.models import ModelsConfig, open_models
from agentflow_core.models.documents import canonical
from agentflow_core.models.openai_wire import encode_body
from agentflow_core.plugins import PluginHost
from agentflow_core.records import ModelRequest, Sampling, ToolCall, ToolDefinition, assistant, system, user
from agentflow_core.records.messages import Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOOLS = tuple(
    ToolDefinition(
        name=f"rag:{name}",
        description="Search a corpus of documents and read what was found. " * 3,
        parameters={
            "type": "object",
            "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}},
            "required": ["query"],
        },
    )
    for name in ("search", "get", "list")
)


def request(number: int) -> ModelRequest:
    """A solver's request after three turns: nine messages of some 6 KB, three tools."""
    messages = [system("You answer questions with the tools. " * 10), user(f"Question {number}: who was it? " * 5)]
    for turn in range(3):
        call = ToolCall(id=f"call_{turn}", name="rag_search", arguments='{"query": "somebody"}')
        messages.append(assistant(tool_calls=(call,)))
        text = (TextPart("[1] Somebody (doc_id: hp-0001)\nwas born in the town of somewhere. " * 25),)
        messages.append(Message(role="tool", content=text, tool_call_id=call.id))
    return ModelRequest(messages=tuple(messages), tools=TOOLS, sampling=Sampling(temperature=0.0))


async def in_flight(work: Callable[[int], Awaitable[object]], calls: int, width: int) -> None:
    """Do the work for each number, ``width`` at once."""
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with anyio.create_task_group() as group:
        for _ in range(width):
            group.start_soon(worker)


async def timed(work: Callable[[int], Awaitable[object]], calls: int, width: int) -> tuple[float, float]:
    """Wall and CPU seconds of all calls, after a warm-up that opens the connections."""
    await in_flight(lambda number: work(-1 - number), width, width)
    wall, cpu = time.perf_counter(), time.process_time()
    await in_flight(work, calls, width)
    return time.perf_counter() - wall, time.process_time() - cpu


async def create_loop(url: str, calls: int, width: int) -> tuple[float, float]:
    async with openai.AsyncOpenAI(api_key="x", base_url=url, max_retries=0) as client:

        async def work(number: int) -> object:
            body = encode_body(request(number), model="mock", sampling=Sampling(temperature=0.0), rung="text")
            return await client.chat.completions.create(**body)

        return await timed(work, calls, width)


async def low_level(url: str, calls: int, width: int) -> tuple[float, float]:
    http = openai.DefaultAioHttpClient()
    async with openai.AsyncOpenAI(api_key="x", base_url=url, max_retries=0, http_client=http) as client:

        async def work(number: int) -> object:
            body = encode_body(request(number), model="mock", sampling=Sampling(temperature=0.0), rung="text")
            return await client.post("/chat/completions", body=body, cast_to=object)

        return await timed(work, calls, width)


async def full_stack(url: str, calls: int, width: int) -> tuple[float, float]:
    choice = PluginChoice("openai", {"name": "mock", "base_url": url, "max_concurrency": width})
    host = PluginHost.load(environ={**os.environ, "AGENTFLOW_PLUGINS": "core"})
    with tempfile.TemporaryDirectory() as directory:
        cache = Path(directory) / "cache.sqlite"
        async with open_models(ModelsConfig(model=choice), host=host, cache=cache) as models:
            model = models("solver")
            return await timed(lambda number: model.complete(request(number)), calls, width)


WAYS = {
    "SDK chat.completions.create": create_loop,
    "SDK post on aiohttp": low_level,
    "our stack, cache on": full_stack,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--only", choices=[*WAYS], action="append")
    given = parser.parse_args()
    size = len(canonical(encode_body(request(0), model="mock", sampling=Sampling(), rung="text")))
    command = [sys.executable, "-m", "agentflow_core.testing.openai_server", "--latency-ms", str(given.latency_ms)]
    ways = {name: way for name, way in WAYS.items() if not given.only or name in given.only}
    best = dict.fromkeys(ways, (float("inf"), float("inf")))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            for _ in range(given.rounds):
                for name, way in ways.items():
                    wall, cpu = anyio.run(way, url, given.calls, given.width)
                    best[name] = (min(best[name][0], wall), min(best[name][1], cpu))
        finally:
            server.terminate()
    base_wall, base_cpu = next(iter(best.values()))
    print(
        f"openai {openai.__version__}; {given.calls} calls, {given.width} in flight, {given.latency_ms:g} ms, {size} bytes each"
    )
    for name, (wall, cpu) in best.items():
        print(
            f"{name:<30} {given.calls / wall:7.0f} calls/s  {cpu / given.calls * 1000:6.2f} ms CPU a call"
            f"  wall × {wall / base_wall:.2f}  CPU × {cpu / base_cpu:.2f}"
        )


if __name__ == "__main__":
    main()
