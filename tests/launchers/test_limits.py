"""Limits under bubblewrap: each is reached by a program that wants more, and told apart from the others."""

from __future__ import annotations

import errno
import subprocess
import time
from pathlib import Path

import anyio
import pytest
from attrs import evolve

from agentflow_core.sandbox.launchers import LaunchSpec, Usage
from agentflow_core.sandbox.launchers.bwrap import BwrapLauncher
from agentflow_core.sandbox.launchers.cgroups import Cgroup, Hierarchies, find_hierarchies
from agentflow_core.sandbox.launchers.reaping import reap

pytestmark = pytest.mark.serial

MIB = 1024 * 1024


def held(confined, limit):
    if not confined.enforced[limit].startswith("cgroup"):
        pytest.skip(f"no control group can be written here: {limit} is held by {confined.enforced[limit]}")


async def test_a_program_beyond_the_memory_limit_ends_as_oom(bwrap, said, python, small):
    async with await bwrap.start(python("x = bytearray(200 << 20); print(len(x))", limits=small)) as confined:
        held(confined, "memory")
        got = await said(confined)
        used = await confined.usage()
    assert (got.out, got.ended.reason, got.ended.returncode) == ("", "oom", 137)
    assert used.oom_kills == 1
    assert used.memory_peak_bytes <= small.memory_bytes


async def test_a_shell_outlives_its_child_that_the_memory_limit_killed(bwrap, said, shell, small):
    script = "/usr/bin/python3 -c 'x = bytearray(200 << 20)'; echo $?"
    async with await bwrap.start(shell(script, limits=small)) as confined:
        held(confined, "memory")
        got = await said(confined)
        assert (await confined.usage()).oom_kills == 1
    assert (got.out, got.ended.reason) == ("137\n", "exit")


async def test_tmp_counts_as_memory_and_is_sized(bwrap, ran, shell, small):
    got = await ran(bwrap, shell("head -c 3M /dev/zero > /tmp/f; stat -c %s /tmp/f", limits=small))
    assert got.out == "1048576\n"
    got = await ran(bwrap, shell("head -c 3M /dev/zero > /dev/shm/f; stat -c %s /dev/shm/f", limits=small))
    assert got.out == "1048576\n"


async def test_a_kill_is_not_taken_for_the_memory_limit(bwrap, ran, shell, small):
    got = await ran(bwrap, shell("kill -9 $$", limits=small))
    assert (got.ended.reason, got.ended.returncode) == ("exit", 137)


async def test_a_fork_bomb_stops_at_the_limit_of_processes(bwrap, shell, small, nothing_left):
    async with await bwrap.start(shell("bomb() { bomb | bomb & }; bomb; exec sleep 1000", limits=small)) as confined:
        with anyio.fail_after(20):
            while not (used := await confined.usage()).forks_denied:
                held(confined, "pids")
                await anyio.sleep(0.01)
        assert used.pids <= small.pids
        assert (await confined.usage()).pids <= small.pids
    assert nothing_left() == []


async def test_without_control_groups_rlimits_are_the_floor(bwrap, ran, said, python, small):
    script = """
    import subprocess
    children = []
    try:
        while True:
            children.append(subprocess.Popen(["sleep", "1000"]))
    except BlockingIOError:
        print(len(children))
    try:
        bytearray(200 << 20)
    except MemoryError:
        print("no memory")
    """
    async with BwrapLauncher(hierarchies=Hierarchies()) as launcher:  # noqa: SIM117 - the second needs the first
        async with await launcher.start(python(script, limits=small)) as confined:
            held = {name: confined.enforced[name] for name in ("memory", "pids", "cpu")}
            assert held == {"memory": "rlimit", "pids": "rlimit", "cpu": "none"}
            assert (await said(confined)).out == "30\nno memory\n"


async def test_kill_minus_nine_minus_one_ends_only_its_own_session(bwrap, ran, shell):
    async with await bwrap.start(shell("echo ready; cat")) as other:
        assert await other.stdout.receive() == b"ready\n"
        await ran(bwrap, shell("kill -9 -1; echo still here"))
        await other.stdin.send(b"alive")
        assert await other.stdout.receive() == b"alive"


async def test_half_a_processor_is_half_of_the_time(bwrap, said, python, small):
    script = """
    import time
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < 1: pass
    print(time.process_time() - used)
    """
    async with await bwrap.start(python(script, limits=small)) as confined:
        held(confined, "cpu")
        got = await said(confined)
        assert float(got.out) < 0.75
        assert 0 < (await confined.usage()).cpu_s < 1


async def test_a_workspace_that_outgrows_its_limit_ends_the_session(bwrap, said, shell, small, workspace):
    script = "for i in 1 2 3; do head -c 10M /dev/zero > f$i; done; echo written; exec sleep 1000"
    began = time.perf_counter()
    async with await bwrap.start(shell(script, limits=small, workspace=workspace)) as confined:
        assert confined.enforced["disk"] == "sampled"
        got = await said(confined)
        assert (await confined.usage()).disk_bytes > small.disk_bytes
    assert (got.out, got.ended.reason) == ("written\n", "disk")
    assert time.perf_counter() - began < 10


async def test_one_file_does_not_grow_beyond_its_limit(bwrap, ran, shell, small, workspace):
    limits = evolve(small, file_bytes=MIB)
    got = await ran(bwrap, shell("head -c 3M /dev/zero > f; stat -c %s f", limits=limits, workspace=workspace))
    assert got.out == f"{MIB}\n"


async def test_what_holds_the_limits_is_reported(bwrap, shell):
    async with await bwrap.start(shell("cat", limits=LaunchSpec(argv=("x",)).limits)) as confined:
        hierarchies = find_hierarchies()
        expected = hierarchies.holder("memory")
        assert confined.enforced["memory"] == ("rlimit" if expected == "none" else expected)
        assert confined.enforced["network"] == "namespace"
        assert ((await confined.usage()).memory_bytes is None) == (expected == "none")


# ---- control groups of version 2, on a tree of plain files


def tree(root: Path, *, enabled: str) -> tuple[Path, Path]:
    """A version 2 tree as a delegated service sees it; mountinfo and cgroup files that lead there."""
    own = root / "fs" / "user.slice" / "app"
    own.mkdir(parents=True)
    (own / "cgroup.procs").write_text("")
    (own / "cgroup.controllers").write_text("cpu io memory pids\n")
    (own / "cgroup.subtree_control").write_text(enabled)
    mounts, cgroup = root / "mountinfo", root / "cgroup"
    mounts.write_text(f"30 23 0:26 / {root / 'fs'} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    cgroup.write_text("0::/user.slice/app\n")
    return mounts, cgroup


def test_a_delegated_version_2_tree_is_found_below_the_own_group(tmp_path, small):
    mounts, cgroup = tree(tmp_path, enabled="cpu memory pids\n")
    found = find_hierarchies(mounts=mounts, own=cgroup)
    assert [each.parent for each in found.found] == [tmp_path / "fs" / "user.slice" / "app"]
    assert [found.holder(name) for name in ("memory", "pids", "cpu")] == ["cgroup-v2"] * 3


def test_controllers_are_passed_on_where_they_are_not_yet(tmp_path):
    mounts, cgroup = tree(tmp_path, enabled="")
    assert find_hierarchies(mounts=mounts, own=cgroup).holder("memory") == "cgroup-v2"
    switch = tmp_path / "fs" / "user.slice" / "app" / "cgroup.subtree_control"
    assert switch.read_text() == "+cpu +memory +pids"


def test_version_2_counts_are_read(tmp_path):
    mounts, cgroup = tree(tmp_path, enabled="cpu memory pids\n")
    group = Cgroup(find_hierarchies(mounts=mounts, own=cgroup), "x")
    (folder,) = group.folders
    folder.mkdir()
    (folder / "cgroup.procs").write_text("")
    assert (group.must_join, group.doors) == (True, ())
    group.join(4242)
    assert (folder / "cgroup.procs").read_text() == "4242"
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (folder / "memory.current").write_text("4096\n")
    (folder / "memory.peak").write_text("8192\n")
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    (folder / "pids.current").write_text("3\n")
    (folder / "pids.events").write_text("max 4\n")
    assert group.usage() == Usage(
        cpu_s=1.5, memory_bytes=4096, memory_peak_bytes=8192, pids=3, oom_kills=2, forks_denied=4
    )


def test_no_tree_means_nothing_is_held(tmp_path):
    assert find_hierarchies(mounts=tmp_path / "no", own=tmp_path / "no") == Hierarchies()
    assert Hierarchies().holder("memory") == "none"


class Book:
    """A ledger in memory."""

    def __init__(self):
        self.rows = {}

    def take(self, taken):
        self.rows[taken.session] = taken

    def give_back(self, session):
        del self.rows[session]


async def test_what_could_not_be_removed_stays_written_down(shell, monkeypatch, caplog, bwrap):
    monkeypatch.setattr("agentflow_core.sandbox.launchers.cgroups._PAUSES_S", (0.0, 0.01))
    monkeypatch.setattr("agentflow_core.sandbox.launchers.cgroups._kill", lambda folder: None)
    book = Book()
    async with BwrapLauncher(ledger=book) as launcher:
        (own,) = book.rows
        confined = await launcher.start(shell("exec sleep 1000"))
        held(confined, "pids")
        (row,) = set(book.rows) - {own}
        groups = [Path(group) for group in book.rows[row].cgroups]
        with subprocess.Popen(["sleep", "1000"]) as stranger:  # noqa: ASYNC220 - as one that does not die
            try:
                for group in groups:
                    (group / "cgroup.procs").write_text(str(stranger.pid))
                await confined.aclose()
                assert set(book.rows) == {own, row}
                assert f"could not be removed: [Errno {errno.EBUSY}]" in caplog.text
            finally:
                stranger.kill()
    assert set(book.rows) == {row}
    await reap(book.rows[row])
    assert not any(group.exists() for group in groups)
