"""Sessions under the launcher ``none``: no isolation, but an end that takes everything with it."""

from __future__ import annotations

import os
import signal

import anyio
import anyio.lowlevel
import pytest
from attrs import evolve

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import Bind, LaunchSpec

pytestmark = pytest.mark.serial


async def test_a_command_runs_in_the_workspace_with_a_clean_environment(bare, ran, shell, workspace, monkeypatch):
    monkeypatch.setenv("SERVER_SECRET", "x")
    got = await ran(
        bare, shell("cat; pwd; echo $HOME $CANARY $SERVER_SECRET", workspace=workspace, env={"CANARY": "c"})
    )
    assert got.out == f"{workspace}\n{workspace} c\n"
    assert got.ended.reason == "exit"


async def test_what_is_not_held_is_reported(bare, shell):
    async with await bare.start(shell("cat")) as confined:
        nothing = ("pids", "cpu", "disk", "network", "seccomp", "processes", "filesystem")
        assert {name for name, holder in confined.enforced.items() if holder == "none"} == set(nothing)


async def test_rlimits_hold_a_floor(bare, ran, shell, small):
    limits = evolve(small, file_bytes=1 << 20)
    got = await ran(bare, shell("ulimit -c -f -n", limits=limits))
    assert [line.split()[-1] for line in got.out.splitlines()] == ["0", "1024", "4096"]


async def test_kill_takes_the_whole_tree_with_those_that_left_their_group(bare, shell, nothing_left):
    script = """
    setsid bash -c 'exec -a agentflow-test-child sleep 1000' &
    (setsid setsid bash -c 'trap "" TERM INT HUP; exec -a agentflow-test-child sleep 1000' &)
    trap '' TERM INT; echo ready; wait"""
    async with await bare.start(shell(script)) as confined:
        assert await confined.stdout.receive() == b"ready\n"
        await confined.kill()
        assert confined.ended is not None
        assert confined.ended.reason == "killed"
    assert nothing_left() == []


async def test_what_the_first_process_leaves_behind_dies_with_it(bare, ran, shell, nothing_left):
    got = await ran(bare, shell("setsid -f bash -c 'exec -a agentflow-test-child sleep 1000' <&- >&- 2>&-; exit 3"))
    assert (got.ended.reason, got.ended.returncode) == ("exit", 3)
    assert nothing_left() == []


async def test_the_control_folder_works_the_same(bare, shell):
    async with await bare.start(LaunchSpec(argv=("cat",))) as first:
        assert first.control.inside == str(first.control.folder)
    script = 'read -r line < "$0/commands"; echo "got $line" > "$0/replies"; cat'
    async with await bare.start(shell('control=$(dirname "$PWD"); cat')) as confined:
        folder = confined.control.inside
        spec = LaunchSpec(argv=("/bin/bash", "-c", script, folder))
        async with await bare.start(spec):
            await confined.control.commands.send(b"one\n")
            assert await confined.control.replies.receive() == b"got one\n"


async def test_signals_reach_only_its_own_tree(bare, shell):
    async with await bare.start(shell("trap 'echo got' INT; echo $$; while :; do sleep 0.01; done")) as confined:
        pid = int(await confined.stdout.receive())
        assert await confined.signal(pid, signal.SIGINT)
        assert await confined.stdout.receive() == b"got\n"
        assert not await confined.signal(os.getpid(), signal.SIGINT)
        assert not await confined.signal(os.getpgid(0), signal.SIGINT, group=True)


async def test_a_bind_elsewhere_is_refused(bare, tmp_path):
    with pytest.raises(SandboxError) as caught:
        await bare.start(LaunchSpec(argv=("true",), binds=(Bind(source=tmp_path, target="/data"),)))
    assert caught.value.code == "unsupported"


async def test_a_start_that_is_cancelled_leaves_nothing(bare, shell, nothing_left):
    for moment in range(4):
        with anyio.move_on_after(moment * 0.002):
            async with await bare.start(shell("exec -a agentflow-test-child sleep 1000")):
                await anyio.lowlevel.checkpoint()
        assert nothing_left() == []
