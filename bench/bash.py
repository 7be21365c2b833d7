"""What sessions and commands of agentflow-bash cost: embedded, over HTTP, many at once, and with much output.

Run: python bench/bash.py
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import tempfile
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from agentflow_bash.backend import BashBackend
from agentflow_core.sandbox import Backend, Catalog, LimitsConfig, Sandbox, SandboxConfig, Session, tool
from agentflow_core.sandbox.launchers import LauncherConfig, LaunchSpec, launcher_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

CYCLES = 100
CALLS = 2000
SESSIONS = 200
BASH = ("/bin/bash", "--norc", "-c", 'while read -r line; do eval "$line"; done')


class NothingBackend(Backend):
    """Sessions that do nothing, to be taken away from what others cost."""

    async def initialize(self, session: Session) -> None:
        return None

    @tool
    async def nothing(self, state: None) -> dict[str, int]:
        """Do nothing."""
        return {}


async def times_ms(call: Callable[[], Awaitable[object]], count: int) -> list[float]:
    took = []
    for _ in range(count):
        began = perf_counter()
        await call()
        took.append((perf_counter() - began) * 1e3)
    return sorted(took)


def told(name: str, took: list[float], more: str = "") -> None:
    p95 = took[int(len(took) * 0.95)]
    print(f"{name:44} p50 {statistics.median(took):7.3f} ms  p95 {p95:7.3f} ms  best {took[0]:7.3f} ms  {more}")


async def starts(sandbox: Sandbox) -> None:
    """A session, beside a bare bash under the same launcher."""
    await sandbox.warmup(["bash"])

    async def bare() -> None:
        async with await launcher.start(LaunchSpec(argv=BASH, workspace=Path(folder))) as confined:
            await confined.stdin.send(b"echo ready\n")
            await confined.stdout.receive()
            times.append((perf_counter() - began) * 1e3)

    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        async with launcher_of(LauncherConfig()) as launcher:
            for _ in range(CYCLES):
                began = perf_counter()
                await bare()
    told("a bare bash under bubblewrap", sorted(times))
    opened: list[str] = []

    async def create() -> None:
        opened.append((await sandbox.create_session("bash"))["bash"].id)

    took = []
    for _ in range(CYCLES):
        took += await times_ms(create, 1)
        await sandbox.close_session(opened[-1])
    told("a session", sorted(took), "(target p50 15)")


async def commands(sandbox: Sandbox, where: str, target_ms: float) -> None:
    """``bash:run`` of ``true``, beside a tool that does nothing."""
    session = (await sandbox.create_session("bash"))["bash"].id

    async def run() -> None:
        result = await sandbox.execute("bash:run", {"command": "true"}, session=session)
        assert result.ok, result.text

    async def nothing() -> None:
        await sandbox.execute("nothing:nothing")

    await times_ms(run, 100)
    await times_ms(nothing, 100)
    base, took = await times_ms(nothing, CALLS), await times_ms(run, CALLS)
    adds = statistics.median(took) - statistics.median(base)
    told(f"a call that does nothing, {where}", base)
    told(f"bash:run true, {where}", took, f"adds {adds:.3f} ms (target {target_ms})")
    await sandbox.close_session(session)


async def many(sandbox: Sandbox) -> None:
    """Many sessions at once: their memory, and the server's."""
    before = own_memory(), len(os.listdir("/proc/self/fd"))
    began = perf_counter()
    opened = []
    async with anyio.create_task_group() as tasks:
        limiter = anyio.CapacityLimiter(8)

        async def create() -> None:
            async with limiter:
                opened.append((await sandbox.create_session("bash"))["bash"].id)
                await sandbox.execute("bash:run", {"command": "x=1"}, session=opened[-1])

        for _ in range(SESSIONS):
            tasks.start_soon(create)
    took = perf_counter() - began
    trees = below(os.getpid())
    held = sum(own_memory(pid) for pid in trees)
    print(
        f"{SESSIONS} sessions, 8 at a time: {took:.2f} s; {held / 2**20:.0f} MiB of their own (PSS) in {len(trees)} processes"
        f" (target 1024), in the server {(own_memory() - before[0]) / 2**20:.1f} MiB and"
        f" {(len(os.listdir('/proc/self/fd')) - before[1]) / SESSIONS:.1f} descriptors a session"
    )
    began = perf_counter()
    async with anyio.create_task_group() as tasks:
        for session in opened:
            tasks.start_soon(sandbox.close_session, session)
    print(f"{SESSIONS} sessions closed in {perf_counter() - began:.2f} s")


async def floods(sandbox: Sandbox) -> None:
    """Half a gigabyte of output."""
    await sandbox.execute("bash:run", {"command": "head -c 20000000 /dev/zero"})
    before = own_memory()
    began = perf_counter()
    result = await sandbox.execute("bash:run", {"command": "head -c 500000000 /dev/zero"})
    took = perf_counter() - began
    assert result.data["stdout_bytes"] == 500_000_000
    print(f"500 MB of output: {took:.2f} s, {(own_memory() - before) / 2**20:+.1f} MiB in the server")
    fork = [(await times_ms(lambda: sandbox.fork(result.session_id), 1))[0] for _ in range(10)]
    told("a fork of a session with a small workspace", sorted(fork))


def own_memory(pid: int | str = "self") -> int:
    """Proportional set size in bytes: shared pages are divided among those who share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def below(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [each for child in children for each in below(child)]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """``agentflow serve`` in a process of its own; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tools = folder / "nothing_tools.py"
    tools.write_text(
        "from agentflow_core import register_api_tool\n\n"
        '@register_api_tool(name="nothing:nothing")\nasync def nothing() -> dict:\n    """Do nothing."""\n    return {}\n'
    )
    command = ["agentflow", "serve", "--port", str(port), "--load", str(tools)]
    environ = {**os.environ, "AGENTFLOW_STATE": str(folder)}
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                anyio.run(anyio.sleep, 0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def embedded(folder: Path) -> None:
    bounds = LimitsConfig(max_sessions=SESSIONS + 50)
    config = SandboxConfig(state_dir=folder, limits={"bash": bounds})
    async with AsyncExitStack() as stack:
        catalog = Catalog.of(bash=BashBackend, nothing=NothingBackend)
        sandbox = await stack.enter_async_context(Sandbox(catalog=catalog, config=config))
        await starts(sandbox)
        await commands(sandbox, "embedded", 0.5)
        await floods(sandbox)
        await many(sandbox)


async def remote(url: str) -> None:
    async with Sandbox(url) as sandbox:
        await commands(sandbox, "over HTTP", 3)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(embedded, Path(folder))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        anyio.run(remote, url)


if __name__ == "__main__":
    main()
