"""A small run for tests that kill it: ``worker.py DIR UNITS SECONDS_A_UNIT``; says ``begun`` and ``ended``."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import anyio
import orjson

from agentflow_core.executors.local import LocalExecutor
from agentflow_core.records.events import Notice
from agentflow_core.runs.directory import Run
from agentflow_core.runs.stages import StopSignal, run_stage
from agentflow_core.runs.status import exit_code


async def main(directory: Path, count: int, seconds: float) -> int:
    def observe(event):
        if isinstance(event, Notice):
            print(event.level, event.message, flush=True)

    async def work(unit, journal):
        number = unit.input["seed"]
        await anyio.sleep(seconds * (1 + number % 3))
        for step in range(number % 4 + 1):
            journal.add(
                "node", {"id": f"{unit.id}/{step}", "text": hashlib.sha256(unit.id.encode()).hexdigest() * step}
            )
        print("unit", unit.id, flush=True)
        return "ok"

    async with StopSignal(observe) as stop:
        with Run.open(directory, kind="synthesis", config={}, stages={"sample": {"depth": 4}}, observe=observe) as run:
            units = [run.unit("sample", f"seed-{number:03}", {"seed": number}) for number in range(count)]
            print("begun", len(run.done("sample")), flush=True)
            report = await run_stage(
                run, "sample", units, work, executor=LocalExecutor(), max_workers=4, observe=observe, stop=stop
            )
            nodes = (node for found in run.records("sample") for node in found.of("node"))
            run.write("tree.jsonl", (orjson.dumps(node) + b"\n" for node in nodes))
            status = "interrupted" if report.stopped else "complete"
            run.finish(status, {"kind": "synthesis", "status": status, "counts": dict(report.counts)})
    print("ended", report.ran, flush=True)
    return exit_code(status)


if __name__ == "__main__":
    sys.exit(anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
