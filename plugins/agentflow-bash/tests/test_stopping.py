"""Commands that take too long, print too much or take all: they are stopped, told by codes, and the neighbours work on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from time import perf_counter

import anyio
import pytest

from agentflow_bash.conformance import HOSTILE, SMALL


@pytest.mark.parametrize(
    "command",
    [
        "sleep 600",
        "while :; do :; done",
        "f() { while :; do sleep 0.1; done; echo no; }; g() { f; echo no; }; g; echo no",
        "for i in 1 2; do while [[ 1 ]]; do ((1)); done; done; echo no",
        "x=$(sleep 600; echo no); echo no $x",
        "(sleep 600; echo no); echo no",
        "sleep 600 | cat; echo no",
        "sleep 600 & wait; echo no",
        'eval "eval \\"while :; do true; done; echo no\\"; echo no"; echo no',
        "until false; do case x in y) ;; esac; done; echo no",
        "mkfifo pipe; cat < pipe; echo no",
        "printf 'while :; do sleep 0.1; done; echo no' > lib; source ./lib; echo no",
    ],
)
async def test_a_timeout_keeps_what_was_printed_and_the_shell_and_runs_nothing_more(confined, command):
    await confined.out("kept=1; cd /tmp")
    pid = await confined.out("echo $$")
    result = await confined.run(f"echo before; {command}", timeout_s=1)
    assert result.code == "timeout"
    assert (result.data["stdout"], result.data["timed_out"], result.data["shell_restarted"]) == (
        "before\n",
        True,
        False,
    )
    assert "before" in result.text
    assert await confined.out("echo $kept $PWD; jobs -p") == "1 /tmp\n"
    assert await confined.out("echo $$") == pid


async def test_a_timeout_under_each_launcher(shells):
    await shells.out("kept=1")
    result = await shells.run("echo before; sleep 61 & sleep 62", timeout_s=1)
    assert (result.code, result.data["stdout"], result.data["shell_restarted"]) == ("timeout", "before\n", False)
    assert await shells.out("echo $kept") == "1\n"


DEAF = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; print('deaf', flush=True)"


@pytest.mark.parametrize(
    ("command", "restarted"),
    [
        (f'/usr/bin/python3 -I -S -c "{DEAF}; time.sleep(600)"; echo no', False),
        (f'/usr/bin/python3 -I -S -c "{DEAF}; sum(iter(int, 1))"; echo no', False),
        ("echo deaf; trap '' INT; while :; do :; done", True),
        ("echo deaf; trap '' INT; sleep 600; while :; do sleep 1; done", True),
        ("echo deaf; mkfifo ~/pipe; read x < ~/pipe; echo no", True),
    ],
)
async def test_what_ignores_an_interrupt_dies_all_the_same(confined, command, restarted):
    await confined.out("kept=1; cd /tmp")
    result = await confined.run(command, timeout_s=3)
    assert result.code == "timeout"
    assert (result.data["stdout"], result.data["shell_restarted"]) == ("deaf\n", restarted)
    assert await confined.out("echo $kept $PWD") == "1 /tmp\n"
    assert "iter" not in await confined.out("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


async def test_a_timeout_leaves_what_earlier_commands_and_jobs_have_begun(confined):
    await confined.out("sleep 601 & sleep 602 & true")
    await confined.call("start", command="sleep 603", name="job")
    await confined.run("sleep 604 & setsid sleep 605 & (sleep 606 &); sleep 607", timeout_s=1)
    running = set(re.findall(r"sleep 6(\d\d)", await confined.out("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")))
    assert running >= {"01", "02", "03"}
    assert not running & {"04", "05", "06", "07"}


async def test_a_cancelled_call_stops_its_command(shells):
    await shells.out("kept=1")
    with anyio.move_on_after(0.3) as scope:
        await shells.run("sleep 61 & sleep 62; touch no")
    assert scope.cancelled_caught
    assert await shells.out("echo $kept; ls") == "1\n"


async def test_half_a_gigabyte_of_output_needs_little_memory(confined):
    await confined.out("yes | head -c 10000000")
    before = _rss()
    result = await confined.run("head -c 500000000 /dev/zero | tr '\\0' x; yes | head -c 3000000 >&2; echo end")
    assert result.ok
    assert _rss() - before < 48 * 1024 * 1024
    assert (result.data["stdout_bytes"], result.data["stderr_bytes"]) == (500_000_004, 3_000_000)
    assert len(result.data["stdout"]) < 1_100_000
    assert result.data["stdout"].endswith("xend\n")
    assert result.truncation is not None
    assert len(result.shown) < 40_000
    kept = result.data["outputs"]["stdout"]
    assert f"500000004 bytes, 67108864 of them kept; output with job_id {kept} reads it" in result.text
    part = await confined.call("output", job_id=kept, cursor=60_000_000, max_bytes=100)
    assert (part.data["next_cursor"], part.text) == (60_000_100, "x" * 100)


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("what", "codes"),
    [
        ("fork bomb in the foreground", {"pids_limit", "timeout"}),
        ("fork bomb that leaves its group", {"pids_limit"}),
        ("memory bomb", {"memory_limit"}),
        ("memory bomb in the shell", {"memory_limit"}),
        ("disk bomb", {"disk_limit"}),
        ("one large file", {"disk_limit"}),
        ("output bomb", {"timeout"}),
        ("kill everything", {"process_died"}),
        ("recursion", {"ok", "memory_limit"}),
    ],
)
async def test_an_attack_is_answered_by_its_code_and_the_session_is_of_use_or_lost(opened, what, codes):
    async with opened(limits=SMALL) as shells:
        await shells.out("kept=1; echo there > here")
        result = await shells.run(HOSTILE[what], timeout_s=8)
        assert result.code in codes, result.text
        after = await shells.run("echo $kept; cat here")
        if result.code == "disk_limit" and after.code != "ok":
            assert after.code == "session_lost"
        else:
            assert after.data["stdout"] == "1\nthere\n"


async def test_a_bomb_that_was_left_in_the_background_is_killed_before_the_next_command(opened):
    async with opened(limits=SMALL) as shells:
        await shells.out(HOSTILE["fork bomb"])
        with anyio.fail_after(60):
            while "was killed before this command" not in (await shells.run("echo next")).text:
                pass
        assert await shells.out("unset -f :; cat /proc/sys/kernel/ostype") == "Linux\n"


@pytest.mark.serial
@pytest.mark.parametrize(
    "what", ["fork bomb that leaves its group", "memory bomb", "output bomb", "output bomb in the background"]
)
async def test_neighbours_are_not_slowed_down_threefold(opened, what):
    async with opened(limits=SMALL) as shells:
        sandbox = shells.sandbox
        attacker, neighbour = [(await sandbox.create_session("bash"))["bash"].id for _ in range(2)]

        async def median_s() -> float:
            took = []
            for _ in range(40):
                began = perf_counter()
                assert (await shells.run("echo $((1 + 1)); cat /dev/null", neighbour)).data["stdout"] == "2\n"
                took.append(perf_counter() - began)
            return sorted(took)[len(took) // 2]

        quiet = await median_s()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: shells.run(HOSTILE[what], attacker, timeout_s=5))
            await anyio.sleep(0.3)  # the attack is under way
            attacked = await median_s()
            await sandbox.close_session(attacker)
        assert attacked < max(3 * quiet, 0.05)


async def test_every_process_killed_leaves_files_variables_and_a_new_shell(confined):
    await confined.out("kept=1; f() { echo f; }; cd /tmp; echo there > ~/file")
    await confined.call("start", command="sleep 600", name="job")
    result = await confined.run("kill -9 -1; sleep 600", timeout_s=10)
    assert (result.code, result.data["shell_restarted"]) == ("process_died", True)
    assert await confined.out("echo $kept $PWD; f; cat ~/file") == "1 /tmp\nf\nthere\n"
    (job,) = (await confined.call("jobs")).data["jobs"]
    assert (job["running"], job["exit_code"]) == (False, 137)


async def test_whoever_writes_into_the_channels_harms_only_the_session(confined):
    for command in (
        "printf 'r\\0%s\\0abc\\0\\0' $__agentflow_token > /control/replies",
        "printf 'nonsense\\0' > /control/replies",
        "head -c 300000 /dev/zero | tr '\\0' x > /control/replies",
        "printf 'p\\0001\\0002\\0' > /control/events",
    ):
        result = await confined.run(command, timeout_s=5)
        assert result.code != "internal"
    assert await confined.out("echo fine") == "fine\n"
