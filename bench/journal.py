"""What the journal costs: a task of a rollout, reopening 100,000 units, and how memory grows with what they hold.

python bench/journal.py [UNITS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import anyio
import anyio.lowlevel
from attrs import frozen

from agentflow_core.executors.local import LocalExecutor
from agentflow_core.runs.directory import Run
from agentflow_core.runs.stages import StopSignal, run_stage

STAGES = {"sample": {"depth": 4}}
CALL_S = 0.05


def opened(directory: Path) -> Run:
    return Run.open(directory, kind="synthesis", config={}, stages=STAGES)


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the peak of the parent
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


async def write(directory: Path, count: int, payload: str, workers: int = 64) -> float:
    async def work(unit, journal):
        await anyio.lowlevel.checkpoint()
        journal.add("node", {"id": unit.id, "text": payload})
        return "ok"

    with opened(directory) as run:
        units = [run.unit("sample", f"seed-{number:06}", {"seed": number}) for number in range(count)]
        began = time.perf_counter()
        await run_stage(run, "sample", units, work, executor=LocalExecutor(), max_workers=workers, stop=StopSignal())
        return time.perf_counter() - began


async def mock_rollout(directory: Path | None, tasks: int, calls: int, workers: int = 64) -> Took:
    """Tasks of so many model calls of 50 ms; what they found is kept in a run, or nowhere."""
    steps = [{"role": "tool", "content": "what a tool has said, " * 20}] * (2 * calls)

    async def solve(_: object) -> None:
        for _call in range(calls):
            await anyio.sleep(CALL_S)

    async def work(unit, journal):
        await solve(unit)
        journal.add("trajectory", {"id": unit.id, "messages": steps})
        journal.add("usage", {"calls": calls})
        return "ok"

    if directory is None:
        began = Took.now()
        await LocalExecutor().run(range(tasks), solve, max_workers=workers, should_stop=bool)
        return began.until_now()
    with opened(directory) as run:
        units = [run.unit("sample", f"task-{number:06}", {"task": number}) for number in range(tasks)]
        began = Took.now()
        await run_stage(run, "sample", units, work, executor=LocalExecutor(), max_workers=workers, stop=StopSignal())
        return began.until_now()


@frozen(kw_only=True)
class Took:
    """Seconds: on the clock, and of this process on a processor."""

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Took:
        return cls(wall_s=time.perf_counter(), cpu_s=time.process_time())

    def until_now(self) -> Took:
        now = Took.now()
        return Took(wall_s=now.wall_s - self.wall_s, cpu_s=now.cpu_s - self.cpu_s)


def overhead(base: Path, calls: int, tasks: int = 640, rounds: int = 7) -> None:
    """Turn about, since a machine is not equally busy all the time; the medians count."""
    kept, bare = [], []
    for turn in range(rounds):
        kept.append(anyio.run(mock_rollout, base / f"rollout-{calls}-{turn}", tasks, calls))
        bare.append(anyio.run(mock_rollout, None, tasks, calls))
    more = median(one.wall_s / other.wall_s - 1 for one, other in zip(kept, bare, strict=True))
    cpu_s = median(one.cpu_s for one in kept) - median(one.cpu_s for one in bare)
    print(
        f"rollout of {tasks} tasks of {calls} x {CALL_S * 1000:.0f} ms, 64 at once: "
        f"{median(one.wall_s for one in kept):.2f} s with the journal, {median(one.wall_s for one in bare):.2f} s without: "
        f"{more:+.1%}; {cpu_s / tasks * 1e6:.0f} µs of processor a task"
    )


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
        for calls in (1, 4):
            overhead(base, calls)
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
