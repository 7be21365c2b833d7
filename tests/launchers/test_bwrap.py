"""Sessions under bubblewrap: what runs, what ends, what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import anyio
import pytest
from anyio import ClosedResourceError

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import Bind, LauncherConfig, LaunchSpec, launcher_of

pytestmark = pytest.mark.serial


async def test_a_command_runs_with_pipes_and_its_exit_code(bwrap, ran, shell):
    got = await ran(bwrap, shell("cat; echo err >&2; exit 7"), stdin=b"in")
    assert (got.out, got.err, got.ended.reason, got.ended.returncode) == ("in", "err\n", "exit", 7)


async def test_the_environment_is_the_specs_and_nothing_of_the_servers(bwrap, ran, monkeypatch):
    monkeypatch.setenv("SERVER_SECRET", "x")
    got = await ran(bwrap, LaunchSpec(argv=("/usr/bin/env",), env={"CANARY": "a b\nc"}))
    assert "SERVER_SECRET" not in got.out
    assert "CANARY=a b\nc" in got.out
    assert {line.partition("=")[0] for line in got.out.splitlines() if "=" in line} == {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "TMPDIR", "PWD", "CANARY")
    }


async def test_neither_environment_nor_paths_stand_in_the_hosts_list_of_processes(bwrap, shell, workspace):
    async with await bwrap.start(shell("read", env={"TOKEN": "s3cret"}, workspace=workspace)) as confined:
        told = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout  # noqa: ASYNC221
        assert b"bwrap" in told
        assert confined.ended is None
    assert b"s3cret" not in told


async def test_host_name_home_and_uid_are_the_same_in_each_session(bwrap, ran, shell, workspace):
    script = "hostname; id; echo $HOME; pwd; cat /etc/hostname; ls /etc; getent passwd $(id -u)"
    first = await ran(bwrap, shell(script, workspace=workspace))
    second = await ran(bwrap, shell(script, workspace=workspace))
    assert first.out == second.out
    assert first.out.startswith(
        "agentflow\nuid=1000(agent) gid=1000(agent) groups=1000(agent)\n/workspace\n/workspace\n"
    )


async def test_two_sessions_see_neither_each_others_files_nor_processes(bwrap, ran, shell, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    script = "echo canary > /workspace/f; echo canary > /tmp/f; echo ready; exec sleep 1000"
    async with await bwrap.start(shell(script, workspace=a)) as first:
        assert await first.stdout.receive() == b"ready\n"
        look = "ls /workspace /tmp /dev/shm; for d in /proc/[0-9]*; do tr '\\0' ' ' < $d/cmdline; echo; done"
        async with await bwrap.start(shell(look + "; id -u >&2", workspace=b)) as second:
            assert second.uid != first.uid or os.geteuid() != 0
            out = (await second.stdout.read_all()).decode()
    assert "canary" not in out
    assert "sleep 1000" not in out
    assert (a / "f").read_text() == "canary\n"


async def test_a_workspace_below_a_private_folder_is_reached_and_becomes_the_sessions(bwrap, ran, shell, tmp_path):
    private = tmp_path / "private"
    workspace = private / "workspace"
    (workspace / "sub").mkdir(parents=True)
    (workspace / "sub" / "f").write_text("old")
    outside = tmp_path / "outside"
    outside.touch()
    (workspace / "link").symlink_to(outside)
    private.chmod(0o700)
    got = await ran(bwrap, shell("cat sub/f; echo new > sub/f; stat -c %u sub/f", workspace=workspace))
    assert (got.out, got.err) == ("old1000\n", "")
    assert (workspace / "sub" / "f").read_text() == "new\n"
    assert outside.stat().st_uid == os.geteuid()


async def test_binds_are_seen_and_read_only_unless_asked(bwrap, ran, shell, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    (data / "f").write_text("seen")
    bind = Bind(source=data, target="/data/deep")
    got = await ran(bwrap, shell("cat /data/deep/f; test -w /data/deep || echo ' read-only'", binds=(bind,)))
    assert got.out == "seen read-only\n"


@pytest.mark.parametrize("target", ["/workspace/x", "/control", "relative", "/a/../etc", "/", "/proc/x"])
async def test_nothing_is_mounted_beneath_what_the_session_can_change(bwrap, workspace, tmp_path, target):
    spec = LaunchSpec(argv=("true",), workspace=workspace, binds=(Bind(source=tmp_path, target=target),))
    with pytest.raises(SandboxError) as caught:
        await bwrap.start(spec)
    assert caught.value.code == "invalid_argument"


async def test_a_file_with_a_second_name_is_not_given_away(bwrap, workspace, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    (tmp_path / "mine").write_text("x")
    (workspace / "link").hardlink_to(tmp_path / "mine")
    with pytest.raises(SandboxError, match="second name"):
        await bwrap.start(LaunchSpec(argv=("true",), workspace=workspace))
    assert (tmp_path / "mine").stat().st_uid == 0


async def test_the_control_folder_is_a_channel_beside_the_pipes(bwrap, shell):
    loop = 'while read -r line; do echo "got $line" > $1/replies; done < $1/commands'
    spec = shell("set -- /control; ls -ld $1 >/dev/null; test -w $1 && exit 9; exec 3<>$1/commands;" + loop)
    async with await bwrap.start(spec) as confined:
        await confined.control.commands.send(b"one\n")
        assert await confined.control.replies.receive() == b"got one\n"
        await confined.control.commands.send(b"two\n")
        assert await confined.control.replies.receive() == b"got two\n"
        await confined.kill()
        with pytest.raises(anyio.EndOfStream):
            await confined.control.replies.receive()


async def test_descriptors_are_passed_under_their_numbers(bwrap, said, shell):
    read, write = os.pipe()
    try:
        async with await bwrap.start(
            shell(f"echo through >&{write}; ls /proc/self/fd | wc -l", pass_fds=(write,))
        ) as it:
            got = await said(it)
        assert os.read(read, 100) == b"through\n"
        assert got.out == "5\n"  # three, the one that was passed, and that of ls
    finally:
        os.close(read)
        os.close(write)


async def test_kill_takes_the_whole_tree_with_those_that_left_their_session(bwrap, shell, workspace, nothing_left):
    script = """
    setsid nohup bash -c 'exec -a agentflow-test-child sleep 1000' &
    (setsid setsid bash -c 'trap "" TERM INT HUP; exec -a agentflow-test-child sleep 1000' &)
    until [ $(cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -cx agentflow-test-child) = 2 ]; do :; done
    trap '' TERM INT; echo ready; wait"""
    async with await bwrap.start(shell(script, workspace=workspace)) as confined:
        assert await confined.stdout.receive() == b"ready\n"
        await confined.kill()
        assert confined.ended is not None
        assert confined.ended.reason == "killed"
    assert nothing_left() == []


async def test_what_the_first_process_leaves_behind_dies_with_it(bwrap, ran, shell, nothing_left):
    got = await ran(bwrap, shell("setsid -f bash -c 'exec -a agentflow-test-child sleep 1000' <&- >&- 2>&-; exit 0"))
    assert got.ended.reason == "exit"
    assert nothing_left() == []


async def test_a_timeout_that_kills_leaves_nothing(bwrap, shell, workspace, nothing_left):
    confined = await bwrap.start(shell("sleep 1000 & sleep 1000", workspace=workspace))
    with anyio.move_on_after(0.1):
        await confined.wait()
    await confined.kill()
    await confined.aclose()
    await confined.aclose()
    assert nothing_left() == []


async def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing(bwrap, shell, workspace, nothing_left):
    for moment in range(12):
        with anyio.move_on_after(moment * 0.002):
            async with await bwrap.start(shell("exec sleep 1000", workspace=workspace)):
                pass
        assert nothing_left() == [], moment


async def test_a_cancelled_owner_leaves_nothing(shell, workspace, nothing_left, bwrap):
    with anyio.CancelScope() as scope:
        async with launcher_of(LauncherConfig()) as launcher:
            await launcher.start(shell("exec sleep 1000", workspace=workspace))
            confined = await launcher.start(shell("exec sleep 1000"))
            scope.cancel()
            await anyio.sleep_forever()
    assert confined.ended is not None
    await confined.aclose()
    left = [each for each in nothing_left() if not each.startswith("fd ")]  # the first one's streams were not closed
    assert left == []


async def test_errors_come_out_of_a_launcher_as_themselves(shell, bwrap):
    async def fail():
        async with launcher_of(LauncherConfig()) as launcher:
            await launcher.start(shell("exec sleep 1000"))
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fail()


async def test_a_launcher_that_closes_ends_its_sessions(shell, bwrap):
    async with launcher_of(LauncherConfig()) as launcher:
        confined = await launcher.start(shell("exec sleep 1000"))
    assert (await confined.wait()).reason == "killed"
    await confined.aclose()
    with pytest.raises(ClosedResourceError):
        await confined.stdin.send(b"x")
    with pytest.raises(SandboxError, match="not open"):
        await launcher.start(shell("true"))


async def test_fifty_starts_and_ends_leave_everything_flat(bwrap, ran, shell, workspace, nothing_left):
    await ran(bwrap, shell("echo hi", workspace=workspace))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        assert (await ran(bwrap, shell("echo hi", workspace=workspace))).out == "hi\n"
    assert len(os.listdir("/proc/self/fd")) == before
    assert nothing_left() == []


async def test_signals_reach_processes_and_groups_by_their_numbers_inside(bwrap, shell):
    script = """
    trap 'echo got $!' INT; set -m
    mkfifo /tmp/set
    (trap 'echo child; exit 0' INT; : > /tmp/set; while :; do sleep 0.01; done) & : < /tmp/set
    echo $$ $!
    while :; do wait; done"""
    async with await bwrap.start(shell(script)) as confined:
        own, child = (await confined.stdout.receive()).split()
        assert await confined.signal(int(child), signal.SIGINT, group=True)
        assert await confined.stdout.receive() == b"child\n"
        assert await confined.signal(int(own), signal.SIGINT)
        assert (await confined.stdout.receive()).startswith(b"got ")
        assert not await confined.signal(4242, signal.SIGINT)


async def test_a_program_that_is_not_there_is_said_on_stderr(bwrap, ran):
    got = await ran(bwrap, LaunchSpec(argv=("/no/such/program",)))
    assert (got.ended.returncode, "/no/such/program" in got.err) == (127, True)


async def test_a_sandbox_that_cannot_be_made_has_failed(bwrap, ran):
    got = await ran(bwrap, LaunchSpec(argv=("true",), cwd="/no/such/folder"))
    assert (got.ended.reason, "/no/such/folder" in got.err) == ("failed", True)


async def test_without_bubblewrap_the_error_says_how_to_install_it():
    from agentflow_core.sandbox.launchers.bwrap import BwrapLauncher

    with pytest.raises(SandboxError, match="apt-get install bubblewrap") as caught:
        async with BwrapLauncher(executable="bwrap-that-is-not-installed"):
            pass
    assert caught.value.code == "provider_unavailable"


def test_a_killed_server_leaves_no_process_and_what_is_written_down_is_reaped(tmp_path, nothing_left):
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(tmp_path / "ledger")], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdin is not None
    assert server.stdout.readline() == b"started\n"
    server.kill()
    server.wait()
    server.stdout.close()
    server.stdin.close()

    async def reaped() -> None:
        from agentflow_core.sandbox.launchers import Taken, reap

        for line in (tmp_path / "ledger").read_text().splitlines():
            taken = Taken(**eval(line))
            await reap(taken)
            await reap(taken)

    anyio.run(reaped)
    assert [each for each in nothing_left() if "sleep 1000" in each or "cgroup" in each] == []
    for line in (tmp_path / "ledger").read_text().splitlines():
        assert not os.path.exists(eval(line)["folder"])


_SERVER = """
import sys, anyio
from attrs import asdict
from agentflow_core.sandbox.launchers import LauncherConfig, LaunchSpec, launcher_of

class Ledger:
    def take(self, taken):
        print(asdict(taken), file=open(sys.argv[1], "a"))
    def give_back(self, session):
        pass

async def main():
    async with launcher_of(LauncherConfig(), ledger=Ledger()) as bwrap, launcher_of(LauncherConfig(kind="none"), ledger=Ledger()) as none:
        for launcher in (bwrap, none):
            session = await launcher.start(LaunchSpec(argv=("/bin/bash", "-c", "setsid sleep 1000 & echo ok; wait")))
            await session.stdout.receive()
        print("started", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""
