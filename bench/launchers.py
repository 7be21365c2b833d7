"""From nothing to a bash that runs a command, and back, by launcher; and what 100 sessions take.

Run: python bench/launchers.py [IMAGE]        (IMAGE: measure docker too, with an image that has bash)
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from agentflow_core.sandbox.launchers import LauncherConfig, LaunchSpec, launcher_of

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers import Launcher

CYCLES = 100
SESSIONS = 100
BASH = ("/bin/bash", "--norc", "-c", 'while read -r line; do eval "$line"; done')


async def cycles(launcher: Launcher, name: str, count: int, workspace: Path | None) -> None:
    """Start a shell, have it run a command, close it."""
    ready: list[float] = []
    closed: list[float] = []
    in_shell: list[float] = []
    for _ in range(count):
        began = perf_counter()
        async with await launcher.start(LaunchSpec(argv=BASH, workspace=workspace)) as confined:
            await confined.stdin.send(b"echo ready\n")
            assert await confined.stdout.receive() == b"ready\n"
            ready.append(perf_counter() - began)
            again = perf_counter()
            await confined.stdin.send(b"echo ready\n")
            await confined.stdout.receive()
            in_shell.append(perf_counter() - again)
            ending = perf_counter()
        closed.append(perf_counter() - ending)
    p95 = statistics.quantiles(ready, n=20)[-1]
    print(
        f"{name:24} start to ready p50 {statistics.median(ready) * 1e3:6.1f} ms  p95 {p95 * 1e3:6.1f} ms"
        f"   close p50 {statistics.median(closed) * 1e3:6.1f} ms   command p50 {statistics.median(in_shell) * 1e3:5.2f} ms"
    )


async def many(launcher: Launcher) -> None:
    """Hold many sessions at once."""
    before, fds = own_memory(), len(os.listdir("/proc/self/fd"))
    began = perf_counter()
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(SESSIONS):
            confined = await stack.enter_async_context(await launcher.start(LaunchSpec(argv=BASH)))
            await confined.stdin.send(b"echo ready\n")
            await confined.stdout.receive()
            started.append(confined)
        took = perf_counter() - began
        trees = [tree for confined in started for tree in (parent_of(confined.pid), confined.pid, *below(confined.pid))]
        held = sum(own_memory(pid) for pid in trees)
        print(
            f"{SESSIONS} sessions of bwrap: {took:.2f} s one after the other; {held / 2**20:.0f} MiB of their own (PSS) in"
            f" {len(trees)} processes, {(own_memory() - before) / 2**20:.1f} MiB and"
            f" {(len(os.listdir('/proc/self/fd')) - fds) / SESSIONS:.0f} descriptors a session in the server"
        )
        ending = perf_counter()
    print(f"{SESSIONS} sessions closed in {perf_counter() - ending:.2f} s")


def own_memory(pid: int | str = "self") -> int:
    """Proportional set size in bytes: shared pages are divided among those who share them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def below(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [each for child in children for each in below(child)]


def folders(root: Path) -> tuple[Path, Path]:
    """A workspace that every uid reaches, and one below a private folder."""
    root.chmod(0o755)
    workspace, private = root / "workspace", root / "private" / "workspace"
    workspace.mkdir()
    private.mkdir(parents=True)
    private.parent.chmod(0o700)
    return workspace, private


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace, private = folders(Path(folder))
        async with launcher_of(LauncherConfig(kind="none")) as bare:
            await cycles(bare, "none", CYCLES, None)
        async with launcher_of(LauncherConfig()) as bwrap:
            await cycles(bwrap, "bwrap", CYCLES, None)
            await cycles(bwrap, "bwrap, workspace", CYCLES, workspace)
            await cycles(bwrap, "bwrap, private workspace", CYCLES, private)
            await many(bwrap)
        if len(sys.argv) > 1:
            async with launcher_of(LauncherConfig(kind="docker", image=sys.argv[1])) as docker:
                await cycles(docker, "docker", 10, workspace)


if __name__ == "__main__":
    anyio.run(main)
