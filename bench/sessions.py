"""Sessions through the engine: what one takes to create, what 200 hold, and whether slow starts hold up others.

Run: python bench/sessions.py
"""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

from agentflow_core.blobs import BlobStore
from agentflow_core.sandbox import Catalog, LimitsConfig, SandboxEngine, Session
from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.launchers import LauncherConfig, LaunchSpec
from agentflow_core.sandbox.premises import Premises
from agentflow_core.testing.backends import Counter, CounterBackend
from agentflow_core.testing.processes import ProcessBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

CYCLES = 100
HELD = 200
READY = 32
INITIALIZE_S = 0.05
SLOW_S = 2.0
SHELL = ("/bin/sh", "-c", 'while read -r line; do eval "$line"; done')


class SlowBackend(CounterBackend):
    """A counter that takes the setting ``seconds`` to start."""

    async def initialize(self, session: Session) -> Counter:
        await anyio.sleep(session.settings.get("seconds", INITIALIZE_S))
        return Counter()


@asynccontextmanager
async def opened(folder: Path, **backends: Any) -> AsyncIterator[SandboxEngine]:
    """An engine with room for all."""
    catalog = Catalog.of(**backends)
    limits = dict.fromkeys(backends, LimitsConfig(max_sessions=1000, max_concurrency=1000))
    async with SandboxEngine(
        catalog, state_dir=folder, blobs=BlobStore(folder / "blobs"), limits=limits, launcher=LauncherConfig()
    ) as engine:
        await engine.warmup()
        yield engine


@define
class Timed:
    """How long it took to create something and to close it again, each time."""

    created: list[float] = field(factory=list)
    closed: list[float] = field(factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.created)


async def in_turn(ways: dict[str, Callable[[], Awaitable[Callable[[], Awaitable[Any]]]]]) -> dict[str, Timed]:
    """Create and close by each way in turn, again and again, so that a busy moment of the machine meets them alike."""
    timed = {name: Timed() for name in ways}
    for _ in range(CYCLES):
        for name, create in ways.items():
            began = perf_counter()
            close = await create()
            timed[name].created.append(perf_counter() - began)
            ending = perf_counter()
            await close()
            timed[name].closed.append(perf_counter() - ending)
    for name, one in timed.items():
        p95 = statistics.quantiles(one.created, n=20)[-1]
        print(
            f"{name:30} create p50 {one.p50 * 1e3:6.2f} ms  p95 {p95 * 1e3:6.2f} ms"
            f"   close p50 {statistics.median(one.closed) * 1e3:6.2f} ms"
        )
    return timed


async def creating(folder: Path) -> None:
    """A session from nothing: the engine alone, a bare process, the backend without the engine, and all of it."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    async with (
        opened(folder / "engine", counter=CounterBackend, shell=ProcessBackend) as engine,
        Premises(folder) as alone,
        Premises(private) as hidden,
    ):
        launcher = await alone.launcher()

        async def through(name: str) -> Callable[[], Awaitable[Any]]:
            (info,) = (await engine.create_session("bench", {name: None})).values()
            return lambda: engine.close_session("bench", info.id)

        async def bare() -> Callable[[], Awaitable[Any]]:
            confined = await launcher.start(LaunchSpec(argv=SHELL))
            await confined.stdin.send(b"echo ready\n")
            await confined.stdout.receive()
            return confined.aclose

        async def without(premises: Premises) -> Callable[[], Awaitable[Any]]:
            backend = ProcessBackend()
            backend.context = BackendContext(name="shell", folder=folder, observe=lambda event: None, premises=premises)
            state = await backend.initialize(Session(id="bench", backend="shell"))
            return lambda: backend.cleanup(state)

        timed = await in_turn(
            {
                "engine, nothing to start": lambda: through("counter"),
                "bwrap, a shell that answers": bare,
                "reference backend, 0700 folder": lambda: without(hidden),
                "reference backend, no engine": lambda: without(alone),
                "reference backend and engine": lambda: through("shell"),
            }
        )
    engine_s, process_s, _, without_s, whole_s = (one.p50 for one in timed.values())
    print(
        f"a session {whole_s * 1e3:.1f} ms (target 15): {process_s / whole_s:.0%} is a process under bwrap,"
        f" {engine_s / whole_s:.1%} the engine; with it / without it {whole_s / without_s:.2f}"
    )


async def holding(folder: Path) -> None:
    """Many sessions at once."""
    async with opened(folder, shell=ProcessBackend) as engine:
        before, fds = own_memory(), len(os.listdir("/proc/self/fd"))
        began = perf_counter()
        async with anyio.create_task_group() as tasks:
            for number in range(HELD):
                tasks.start_soon(engine.create_session, f"worker-{number}", {"shell": None})
        took = perf_counter() - began
        trees = below(os.getpid())
        held = sum(own_memory(pid) for pid in trees)
        grown = own_memory() - before
        print(
            f"{HELD} sessions asked for at once: ready in {took:.2f} s ({took / HELD * 1e3:.1f} ms each);"
            f" {held / 2**20:.0f} MiB of their own (PSS) in {len(trees)} processes, {grown / 2**20:.0f} MiB and"
            f" {(len(os.listdir('/proc/self/fd')) - fds) / HELD:.0f} descriptors a session in the server"
            f"   (target: under 1 GB, {(held + grown) / 2**30:.2f} of it)"
        )
        ending = perf_counter()
    print(f"{HELD} sessions closed in {perf_counter() - ending:.2f} s")


async def starting_together(folder: Path) -> None:
    """Sessions whose backend takes a while, asked for at once."""
    took: list[float] = []
    async with opened(folder, slow=SlowBackend) as engine:
        for turn in range(9):
            began = perf_counter()
            async with anyio.create_task_group() as tasks:
                for number in range(READY):
                    tasks.start_soon(engine.create_session, f"{turn}-{number}", {"slow": None})
            took.append(perf_counter() - began)
    ready = statistics.median(took)
    print(
        f"{READY} sessions that initialize for {INITIALIZE_S * 1e3:.0f} ms: ready in {ready * 1e3:.1f} ms,"
        f" at worst {max(took) * 1e3:.1f} (target: under 100)"
    )


async def beside_a_slow_start(folder: Path) -> None:
    """Calls of one worker while another one's session starts."""

    async def calls(engine: SandboxEngine, tool: str, params: dict[str, Any], seconds: float) -> list[float]:
        took = []
        until = perf_counter() + seconds
        while perf_counter() < until:
            began = perf_counter()
            result = await engine.execute("quick", tool, params)
            took.append(perf_counter() - began)
            assert result.ok
        return took

    started: list[float] = []

    async def start(engine: SandboxEngine, settings: dict[str, Any]) -> None:
        await engine.create_session("slow", {"env": settings})
        started.append(perf_counter())

    for name, backend, tool, params, settings in (
        ("a call", SlowBackend, "env:add", {}, {"seconds": SLOW_S}),
        ("a command", ProcessBackend, "env:run", {"command": "true"}, {"setup": f"sleep {SLOW_S:g}"}),
    ):
        started.clear()
        async with opened(folder, env=backend) as engine:
            await engine.create_session("quick", {"env": None})
            await calls(engine, tool, params, 0.2)
            free = await calls(engine, tool, params, SLOW_S * 0.9)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(start, engine, settings)
                beside = await calls(engine, tool, params, SLOW_S * 0.9)
                assert not started
        ratio = statistics.median(beside) / statistics.median(free)
        print(
            f"{name} beside a start of {SLOW_S:g} s: p50 {statistics.median(beside) * 1e3:.3f} ms, without"
            f" {statistics.median(free) * 1e3:.3f} ms, ratio {ratio:.2f}; the longest {max(beside) * 1e3:.1f} ms,"
            f" without {max(free) * 1e3:.1f} ms"
        )


def own_memory(pid: int | str = "self") -> int:
    """Proportional set size in bytes: shared pages are divided among those who share them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def below(pid: int) -> list[int]:
    children = [
        int(child)
        for task in os.listdir(f"/proc/{pid}/task")
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    ]
    return children + [each for child in children for each in below(child)]


async def main() -> None:
    for what in (creating, holding, starting_together, beside_a_slow_start):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o711)  # as a state directory that the uids of sessions may pass through
            await what(Path(folder))


if __name__ == "__main__":
    anyio.run(main)
