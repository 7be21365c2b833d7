"""Sessions that are forked from the zygote are as confined as those that are started, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import pytest

from agentflow_code.python import find_python
from agentflow_code.zygote import open_zygote
from agentflow_core.errors import SandboxError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the zygote needs root")

LOOK = """
import os, pathlib
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
names = ("user", "mnt", "net", "ipc", "uts", "cgroup", "pid")
print({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
    "caps": [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"], "seccomp": status["Seccomp"],
    "namespaces": [os.readlink(f"/proc/self/ns/{name}") == os.readlink(f"/proc/1/ns/{name}") for name in names],
    "cwd": os.getcwd(), "root": sorted(os.listdir("/")),
    "writable": [path for path in ("/", "/usr", "/etc", "/control", "/proc/sys/kernel/core_pattern", "/data") if os.access(path, os.W_OK)],
    "links": sorted({os.readlink(f"/proc/self/fd/{fd}").split("/")[-1].split(":")[0] for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")} - {"fd"}),
    "environ": sorted(os.environ), "first": sorted(v.split("=")[0] for v in open("/proc/self/environ").read().split(chr(0)) if v),
})
"""


async def look(sandbox, code=LOOK):
    return eval((await sandbox.execute("code:run", {"code": code})).text)


async def test_a_forked_session_is_confined_as_a_started_one(opened, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    async with opened(warm=True) as sandbox:
        info = (await sandbox.create_session("code"))["code"]
        assert info.data["start"] == "zygote"
        forked = await look(sandbox)
    async with opened(warm=False) as sandbox:
        assert (await sandbox.create_session("code"))["code"].data["start"] == "plain"
        started = await look(sandbox)
    assert forked["uid"] == started["uid"] == (1000, 1000, 1000)
    assert forked["gid"] == started["gid"] == (1000, 1000, 1000)
    assert set(forked["caps"]) == {"0000000000000000"}
    assert (forked["no_new_privs"], forked["seccomp"]) == ("1", "2")
    assert forked["namespaces"] == [True] * 7
    for name in ("groups", "cwd", "root", "environ", "links"):
        assert forked[name] == started[name], name
    assert forked["writable"] == started["writable"] == []
    assert "SECRET_OF_THE_SERVER" not in forked["first"]


async def test_what_the_filter_refuses_is_refused_to_a_forked_session(opened):
    code = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n[libc.unshare(0x10000000), ctypes.get_errno(), libc.mount(b'', b'/tmp', b'tmpfs', 0, None), ctypes.get_errno()]"
    async with opened() as sandbox:
        assert await look(sandbox, code) == [-1, 1, -1, 1]


async def test_sessions_do_not_draw_the_same_random_numbers(opened, needed):
    needed("numpy")
    code = "import random, numpy\n(random.random(), numpy.random.rand())"
    async with opened() as sandbox:
        drawn = [(await sandbox.worker(f"w{n}").execute("code:run", {"code": code})).text for n in range(3)]
    assert len(set(drawn)) == 3


@pytest.mark.serial
async def test_a_killed_zygote_ends_its_sessions_and_the_next_ones_start_plainly(opened):
    async with opened() as sandbox:
        await sandbox.execute("code:run", {"code": "x = 1"})
        (zygote,) = zygotes()
        os.kill(zygote, signal.SIGKILL)
        result = await sandbox.execute("code:run", {"code": "import time; time.sleep(60)"})
        assert result.code == "kernel_died" or result.data["restarted"]
        again = (await sandbox.worker("other").create_session("code"))["code"]
        assert again.data["start"] == "plain"
        assert (await sandbox.worker("other").execute("code:run", {"code": "1 + 1"})).text == "2"
    assert zygotes() == []


async def test_a_module_that_is_not_installed_is_not_preloaded(opened):
    async with opened(preload=("no_such_module",)) as sandbox:
        assert (await sandbox.create_session("code"))["code"].data["start"] == "zygote"


async def test_a_module_that_starts_a_thread_is_not_forked(tmp_path):
    (tmp_path / "threaded_module.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    python = await find_python(None, "none")
    with pytest.raises(SandboxError, match="threaded_module starts a thread") as caught:
        async with open_zygote(python, ("threaded_module",), {"PYTHONPATH": str(tmp_path)}):
            pass
    assert caught.value.code == "unsupported"


@pytest.mark.serial
async def test_nothing_is_left_of_a_server_that_is_killed(tmp_path):
    script = f"""
    import anyio
    from pathlib import Path
    from agentflow_code.backend import CodeBackend
    from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig

    async def main():
        config = SandboxConfig(state_dir=Path({str(tmp_path)!r}))
        async with Sandbox(catalog=Catalog.of(code=CodeBackend), config=config) as sandbox:
            for n in range(3):
                code = "import subprocess; subprocess.Popen(['sleep', '98765'])"
                await sandbox.worker(f"w{{n}}").execute("code:run", {{"code": code}})
            print("ready", flush=True)
            await anyio.sleep_forever()

    anyio.run(main)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as server:  # noqa: ASYNC220 - it is to be killed
        assert server.stdout.readline() == b"ready\n"
        try:
            await until(lambda: len(running("98765")) == 3)
        finally:
            server.kill()
    await until(lambda: not running("98765") and not zygotes())


async def until(holds):
    """Wait for what nobody tells."""
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.05)


def zygotes() -> list[int]:
    return running("--zygote")


def running(word: str) -> list[int]:
    """The processes, of those that have not ended, with an argument; sessions' own interpreters left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            numbers = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:"))
        except (OSError, StopIteration):
            continue
        is_session = b"--zygote" in arguments and len(numbers.split()) > 2
        if word.encode() in arguments and not is_session:
            found.append(int(entry.name))
    return found
