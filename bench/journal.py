"""What the journal costs: a unit in a stage, reopening 100,000 of them, and how memory grows with what they hold.

python bench/journal.py [UNITS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import anyio.lowlevel

from agentflow_core.executors.local import LocalExecutor
from agentflow_core.runs.directory import Run
from agentflow_core.runs.stages import StopSignal, run_stage

STAGES = {"sample": {"depth": 4}}


def opened(directory: Path) -> Run:
    return Run.open(directory, kind="synthesis", config={}, stages=STAGES)


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the peak of the parent
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


async def write(directory: Path, count: int, payload: str, wait_s: float = 0.0, workers: int = 64) -> float:
    async def work(unit, journal):
        await (anyio.sleep(wait_s) if wait_s else anyio.lowlevel.checkpoint())
        journal.add("node", {"id": unit.id, "text": payload})
        return "ok"

    with opened(directory) as run:
        units = [run.unit("sample", f"seed-{number:06}", {"seed": number}) for number in range(count)]
        began = time.perf_counter()
        await run_stage(run, "sample", units, work, executor=LocalExecutor(), max_workers=workers, stop=StopSignal())
        return time.perf_counter() - began


async def bare(count: int, wait_s: float, workers: int = 64) -> float:
    async def work(_):
        await anyio.sleep(wait_s)

    began = time.perf_counter()
    await LocalExecutor().run(range(count), work, max_workers=workers, should_stop=bool)
    return time.perf_counter() - began


def reopen(directory: Path) -> None:
    """In a process of its own, so that the peak memory is that of reopening."""
    before = peak_mb()
    began = time.perf_counter()
    with opened(directory) as run:
        done = len(run.done("sample"))
        opened_s = time.perf_counter() - began
        peak = peak_mb() - before
        damaged = run.drop_damaged("sample")
        checked_s = time.perf_counter() - began - opened_s
        began = time.perf_counter()
        read = sum(1 for _ in run.records("sample"))
        read_s = time.perf_counter() - began
    assert read == done
    assert not damaged
    print(
        f"  {done} units: reopen {opened_s:.2f} s, peak +{peak:.0f} MB; "
        f"check sums {checked_s:.2f} s; read all {read_s:.2f} s, peak +{peak_mb() - before:.0f} MB"
    )


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        waited = anyio.run(write, base / "waiting", 2000, "x" * 1000, 0.02)
        plain = anyio.run(bare, 2000, 0.02)
        print(
            f"2000 units of 20 ms, 64 at once: {waited:.2f} s with the journal, {plain:.2f} s without: x{waited / plain:.2f}"
        )
        for size in (200, 4000):
            directory = base / f"payload-{size}"
            took = anyio.run(write, directory, count, "x" * size)
            print(f"{count} units of {size} bytes: {took:.1f} s, {took / count * 1e6:.0f} µs a unit, fsync included")
            subprocess.run([sys.executable, __file__, "--reopen", str(directory)], check=True)
        for ledger in base.glob("*/journal/ledger"):
            ledger.unlink()
        print("without the ledger")
        subprocess.run([sys.executable, __file__, "--reopen", str(directory)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--reopen"]:
        reopen(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
