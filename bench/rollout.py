"""A rollout of tasks with three tool turns and an answer each, beside a bare loop over the SDK that makes the same calls.

    python bench/rollout.py                      200 tasks, 64 at once, three pairs
    python bench/rollout.py --tasks 2000 --workers 256 --pairs 1

Each side runs in a process of its own, in turn, against one mock server with 50 ms latency. Prints wall time, CPU
per model call and peak memory of both, and the median of the ratios ours / bare.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CALLS_A_TASK = 4


def ours(url: str, tasks: int, workers: int) -> None:
    from agentflow_core import rollout

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "tasks.jsonl")
        data.write_text(
            "".join(json.dumps({"id": f"t{n}", "question": f"task {n}?", "answer": "42"}) + "\n" for n in range(tasks))
        )
        config = {
            "model": {
                "provider": "openai",
                "name": "mock",
                "base_url": url,
                "api_key": "none",
                "max_concurrency": workers,
            },
            "data": {"path": str(data)},
            "rollout": {"tools": ["bench:echo"]},
            "metrics": ["exact_match"],
            "max_workers": workers,
            "plugins": {"load": [str(Path(__file__).with_name("_tools.py"))]},
        }
        results = rollout(config=config, output_dir=Path(folder, "run"))
    assert results["metrics"]["exact_match"]["mean"] == 1.0, results["metrics"]


def bare(url: str, tasks: int, workers: int) -> None:
    import asyncio

    from openai import AsyncOpenAI

    tool = {
        "type": "function",
        "function": {
            "name": "bench_echo",
            "description": "Answer with words made from the text.",
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        },
    }

    async def task(client: AsyncOpenAI, gate: asyncio.Semaphore, number: int) -> None:
        async with gate:
            messages: list = [{"role": "system", "content": "Answer."}, {"role": "user", "content": f"task {number}?"}]
            while True:
                reply = await client.chat.completions.create(model="mock", messages=messages, tools=[tool])
                message = reply.choices[0].message
                if not message.tool_calls:
                    return
                messages.append(message.model_dump(exclude_none=True))
                for call in message.tool_calls:
                    text = json.loads(call.function.arguments)["text"]
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": text * 40})

    async def run() -> None:
        gate = asyncio.Semaphore(workers)
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            await asyncio.gather(*(task(client, gate, number) for number in range(tasks)))

    asyncio.run(run())


def measured(side: str, url: str, tasks: int, workers: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", side, "--url", url, "--tasks", str(tasks), "--workers", str(workers)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def one_side(side: str, url: str, tasks: int, workers: int) -> None:
    (ours if side == "ours" else bare)(url, 4, 4)  # imports and first connections are no part of it
    started = time.perf_counter()
    cpu = time.process_time()
    (ours if side == "ours" else bare)(url, tasks, workers)
    usage = {
        "wall_s": time.perf_counter() - started,
        "cpu_ms_a_call": (time.process_time() - cpu) * 1000 / (tasks * CALLS_A_TASK),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(usage))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--side", choices=["ours", "bare"])
    parser.add_argument("--url")
    given = parser.parse_args()
    if given.side:
        one_side(given.side, given.url, given.tasks, given.workers)
        return
    from _server import mock_server

    ratios = []
    with mock_server("_responders:three_turns") as url:
        for _ in range(given.pairs):
            left, right = (measured(side, url, given.tasks, given.workers) for side in ("ours", "bare"))
            ratios.append(left["wall_s"] / right["wall_s"])
            for name, figures in (("ours", left), ("bare SDK", right)):
                print(f"{name:9}", "  ".join(f"{key} {value:.2f}" for key, value in figures.items()))
    print(f"{given.tasks} tasks at {given.workers}: wall ours / bare = {statistics.median(ratios):.2f} (target 0.6)")


if __name__ == "__main__":
    main()
