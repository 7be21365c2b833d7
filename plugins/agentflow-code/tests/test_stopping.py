"""What takes too long or too much: it ends, says why, and the session goes on or says what it has lost."""

from __future__ import annotations

import pytest

from agentflow_core.testing.resources import held

MIB = 1024 * 1024


@pytest.fixture(params=[True, False], ids=["forked", "plain"])
async def run(request, opened):
    async with opened(warm=request.param) as sandbox:

        async def execute(code, timeout_s=20.0):
            return await sandbox.execute("code:run", {"code": code, "timeout_s": timeout_s})

        execute.sandbox = sandbox
        yield execute


async def lost_and_fresh(run, result, reason):
    assert (result.code, result.data["reason"]) == ("kernel_died", reason)
    assert "variables are lost" in result.message
    again = await run("1 + 1")
    assert again.ok
    assert again.data["restarted"]
    assert "started afresh" in again.text
    assert not (await run("1 + 1")).data["restarted"]


async def test_what_takes_too_long_is_interrupted_and_keeps_its_variables_and_output(run):
    await run("x = 1")
    result = await run("print('begun')\nwhile True: pass", timeout_s=2)
    assert result.code == "timeout"
    assert result.data["stdout"] == "begun\n"
    assert "_interrupted" not in result.text
    assert (await run("x")).text == "1"


async def test_children_of_a_cell_are_interrupted_with_it(run):
    await run("import subprocess")
    result = await run("subprocess.run(['sleep', '1000'])", timeout_s=2)
    assert result.code == "timeout"
    assert (await run("subprocess.run(['pgrep', '-c', 'sleep'], capture_output=True).stdout")).text == "b'0\\n'"


async def test_a_loop_in_c_is_killed(run):
    await run("1")
    result = await run("sum(iter(int, 1))", timeout_s=2)
    assert result.data["timed_out"]
    await lost_and_fresh(run, result, "stuck")


async def test_a_loop_that_catches_interrupts_is_killed(run):
    await run("import time")
    code = "while True:\n    try:\n        time.sleep(100)\n    except BaseException: pass"
    await lost_and_fresh(run, await run(code, timeout_s=2), "stuck")


async def test_too_much_memory_is_told_from_a_kill(run):
    await lost_and_fresh(run, await run("held = [bytearray(10**8) for _ in range(100)]", 60), "oom")
    await lost_and_fresh(run, await run("import os; os.kill(os.getpid(), 9)"), "signal")


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        ("import os; os._exit(3)", "exit", "status 3"),
        ("import ctypes; ctypes.string_at(0)", "signal", "SIGSEGV"),
    ],
)
async def test_the_end_of_the_interpreter_is_described(run, code, reason, detail):
    result = await run(code)
    assert detail in result.message
    await lost_and_fresh(run, result, reason)


async def test_500_mb_of_output_are_bounded_and_neither_fill_the_server_nor_look_like_a_timeout(run):
    await run("1")
    before = held().rss_bytes
    result = await run("import os\nfor _ in range(500):\n    os.write(1, b'x' * 2**20)\nprint('end')", 60)
    assert result.ok
    assert result.data["output_omitted_bytes"] >= 498 * MIB
    assert result.data["stdout"].endswith("end\n")
    assert held().rss_bytes - before < 48 * MIB


async def test_deep_recursion_is_an_error(run):
    result = await run("def down(): return down()\ndown()")
    assert result.data["error"]["name"] == "RecursionError"
    assert len(result.text) < 20_000


async def test_what_is_no_reply_ends_the_interpreter(run):
    code = (
        "import os\nfor fd in range(3, 50):\n    try:\n        os.write(fd, b'\\xff' * 1000)\n    except OSError: pass"
    )
    assert (await run(code)).code == "kernel_died"
    assert (await run("1 + 1")).ok


async def test_an_interpreter_that_dies_between_calls_is_told_at_the_next_one(run):
    told = [(await run("import os, threading\nthreading.Timer(0.2, os._exit, (0,)).start()")).text]
    while "afresh" not in "".join(told):
        told.append((await run("1 + 1")).text)
    assert told[-1].endswith("2")
    assert "died between the calls" in told[-1] or "kernel_died" in told[-2]


async def test_a_file_that_is_too_large_is_an_error_and_a_workspace_that_is_too_large_ends_the_interpreter(opened):
    from agentflow_core.sandbox.launchers import Limits

    limits = Limits(memory_bytes=512 * MIB, disk_bytes=32 * MIB)
    async with opened(warm=False, limits=limits) as sandbox:
        result = await sandbox.execute("code:run", {"code": "open('big', 'wb').write(b'x' * 10**8)"})
        assert result.data["error"]["name"] == "OSError"
        code = "import time\nfor n in range(4): open(f'f{n}', 'wb').write(b'x' * 2**24)\ntime.sleep(60)"
        died = await sandbox.execute("code:run", {"code": code})
        assert (died.code, died.data["reason"]) == ("kernel_died", "disk")
