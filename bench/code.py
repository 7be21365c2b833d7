"""Code sessions: how fast they start and answer, one and many, and what they take; beside a Jupyter kernel and a bare fork.

Run: python bench/code.py        (as root with bubblewrap, so that sessions are forked; Jupyter if it is installed)
"""

from __future__ import annotations

import gc
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

import anyio

from agentflow_code.backend import CodeBackend
from agentflow_code.config import CodeConfig
from agentflow_core.sandbox import Catalog, LimitsConfig, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LaunchSpec, launcher_of

IMPORTS = "import numpy, pandas, duckdb"
CYCLES, CELLS, AT_ONCE, HELD = 30, 200, 64, 50


def milliseconds(seconds: list[float]) -> str:
    p95 = statistics.quantiles(seconds, n=20)[-1]
    return f"p50 {statistics.median(seconds) * 1e3:6.1f} ms  p95 {p95 * 1e3:6.1f} ms"


async def sessions(name: str, config: CodeConfig, cycles: int) -> None:
    """From nothing to an interpreter that has imported the libraries, and back."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder), config) as sandbox:
            began = perf_counter()
            await sandbox.warmup()
            warm_s = perf_counter() - began
            ready, with_imports, closed = [], [], []
            for _ in range(cycles):
                began = perf_counter()
                session = (await sandbox.create_session("code"))["code"].id
                ready.append(perf_counter() - began)
                result = await sandbox.execute("code:run", {"code": IMPORTS}, session=session)
                assert result.data["error"] is None, result.text
                with_imports.append(perf_counter() - began)
                began = perf_counter()
                await sandbox.close_session(session)
                closed.append(perf_counter() - began)
            print(f"{name:10} start  {milliseconds(ready)}   ready with imports  {milliseconds(with_imports)}")
            print(f"{name:10} close  {milliseconds(closed)}   warmup {warm_s:.2f} s, once a server")
            session = (await sandbox.create_session("code"))["code"].id
            cells = []
            for number in range(CELLS):
                began = perf_counter()
                await sandbox.execute("code:run", {"code": f"x = {number}"}, session=session)
                cells.append(perf_counter() - began)
            print(f"{name:10} cell   {milliseconds(cells)}")


async def many(config: CodeConfig) -> None:
    """Open many at once; hold some and look at their memory."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder), config) as sandbox:
            await sandbox.warmup()

            async def open_one(number: int) -> None:
                result = await sandbox.worker(f"w{number}").execute("code:run", {"code": IMPORTS})
                assert result.data["error"] is None, result.text

            took = await timed(lambda: at_once(open_one, AT_ONCE))
            print(f"{AT_ONCE} sessions at once, with imports done: {took:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder), config) as sandbox:
            await sandbox.warmup()
            gc.collect()
            before, used = memory(), available()

            async def work_one(number: int) -> None:
                code = f"{IMPORTS}\nframe = pandas.DataFrame({{'n': range(1000)}})\nframe.n.sum()"
                result = await sandbox.worker(f"w{number}").execute("code:run", {"code": code})
                assert result.data["error"] is None, result.text

            await at_once(work_one, HELD)
            print(
                f"{HELD} sessions with a small table each: {(used - available()) / 2**20:.0f} MiB of the machine, "
                f"{(memory() - before) / 2**20:.1f} MiB of it the server's"
            )


async def launcher_alone() -> None:
    """A confinement with nothing but cat in it: what of the start is not ours to shorten."""
    took = []
    async with launcher_of(SandboxConfig().launcher) as launcher:
        for _ in range(CYCLES):
            began = perf_counter()
            async with await launcher.start(LaunchSpec(argv=("/bin/cat",))) as confined:
                await confined.stdin.send(b"\n")
                await confined.stdout.receive()
                took.append(perf_counter() - began)
    print(f"{'bwrap':10} alone  {milliseconds(took)}")


def bare_forks() -> None:
    """A fork of this interpreter, with the libraries imported, that answers and ends: the floor."""
    for name in ("numpy", "pandas", "duckdb"):
        importlib.import_module(name)
    gc.freeze()
    took = []
    for _ in range(CYCLES):
        read, write = os.pipe()
        began = perf_counter()
        pid = os.fork()
        if pid == 0:
            os.write(write, b"x")
            os._exit(0)
        os.read(read, 1)
        took.append(perf_counter() - began)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)
    print(f"{'bare fork':10} ready  {milliseconds(took)}   (no confinement, no shell)")


def jupyter() -> None:
    """A Jupyter kernel from nothing to the imports done, then cells."""
    try:
        manager = importlib.import_module("jupyter_client.manager")
        importlib.import_module("ipykernel")
    except ImportError:
        print("no jupyter_client or ipykernel: pip install jupyter_client ipykernel")
        return
    took, cells = [], []
    for _ in range(5):
        began = perf_counter()
        kernel, client = manager.start_new_kernel(kernel_name="python3")
        client.execute_interactive(IMPORTS, store_history=False)
        took.append(perf_counter() - began)
        for number in range(20):
            began = perf_counter()
            client.execute_interactive(f"x = {number}")
            cells.append(perf_counter() - began)
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    print(
        f"{'jupyter':10} ready with imports  p50 {statistics.median(took) * 1e3:6.1f} ms   cell  {milliseconds(cells)}"
    )


def opened(folder: Path, config: CodeConfig) -> Sandbox:
    limits = {"code": LimitsConfig(max_sessions=AT_ONCE)}
    return Sandbox(
        catalog=Catalog.of(code=lambda: CodeBackend(config)),
        config=SandboxConfig(limits=limits, state_dir=folder),
    )


async def at_once(work, count: int) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(work, number)


async def timed(work) -> float:
    async with AsyncExitStack():
        began = perf_counter()
        await work()
        return perf_counter() - began


def memory() -> int:
    """The proportional set size of this process."""
    return _line("/proc/self/smaps_rollup", "Pss:")


def available() -> int:
    return _line("/proc/meminfo", "MemAvailable:")


def _line(path: str, name: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in Path(path).read_text().splitlines() if line.startswith(name))


async def main() -> None:
    await launcher_alone()
    await sessions("forked", CodeConfig(), CYCLES)
    await sessions("plain", CodeConfig(warm=False), 5)
    await many(CodeConfig())


if __name__ == "__main__":
    if "--bare" in sys.argv:
        bare_forks()
        sys.stdout.flush()
        os._exit(0)  # duckdb complains at an ordinary end
    jupyter()
    subprocess.run([sys.executable, __file__, "--bare"], check=True)
    anyio.run(main)
