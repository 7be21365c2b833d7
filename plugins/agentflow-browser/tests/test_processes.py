"""Crashes, recycling, and the end: what becomes of browsers and of the sessions in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from agentflow_browser.config import BrowserConfig
from agentflow_browser.doctor import check_browser
from agentflow_browser.pool import Browsers
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.launchers.processes import MARK
from agentflow_core.sandbox.premises import Premises

PAGE = "<title>Notes</title><script>localStorage.n = (+localStorage.n || 0) + 1; document.cookie ||= 'c=1'; document.write(`visit ${localStorage.n} ${document.cookie}`)</script>"


async def test_a_page_that_crashes_is_opened_again_and_its_session_goes_on(site, watched):
    site.pages["/"] = PAGE
    async with watched() as (sandbox, states):
        assert "visit 1 c=1" in (await sandbox.execute("browser:navigate", {"url": site.url})).text
        cdp = await states[0].context.new_cdp_session(states[0].tab.page)
        with anyio.move_on_after(1):
            await cdp.send("Page.crash")
        again = await sandbox.execute("browser:snapshot")
        if again.code == "browser_crashed":
            again = await sandbox.execute("browser:snapshot")
        assert again.text.startswith("[The page had crashed")
        assert "visit 2 c=1" in again.text
        assert again.data["restored"]
        source = again.data["sources"][0]
        assert again.text[source["start"] : source["end"]].startswith("Notes")
        assert "restored" not in (await sandbox.execute("browser:snapshot")).data


async def test_a_page_that_crashes_among_as_many_as_may_be_is_opened_again(watched):
    async with watched() as (sandbox, states):
        for _ in range(20):
            await sandbox.execute("browser:tabs", {"action": "new"})
        await sandbox.execute("browser:navigate", {"url": "data:text/html,<title>Last</title>"})
        states[0].tab.crashed = True
        again = await sandbox.execute("browser:snapshot")
        assert again.text.startswith("[The page had crashed")
        assert again.data["title"] == "Last"
        assert len(states[0].tabs) == 20


@pytest.mark.parametrize("what", ["chromium", "all with its driver"])
async def test_a_browser_that_is_killed_is_replaced_with_cookies_and_storage(site, watched, what):
    site.pages["/"] = PAGE
    async with watched() as (sandbox, states):
        assert "visit 1 c=1" in (await sandbox.execute("browser:navigate", {"url": site.url})).text
        old = states[0].process
        for pid in _marked(old.home.parent.name):
            with suppress(OSError):  # the first takes others along
                if what != "chromium" or b"chromium" in _proc(pid, "cmdline").partition(b"\0")[0]:
                    os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(20):
            while old.is_alive:  # noqa: ASYNC110 - of the driver's end nobody tells
                await anyio.sleep(0.01)
        again = await sandbox.execute("browser:snapshot")
        assert again.text.startswith("[The browser had crashed"), again.text
        assert "visit 2 c=1" in again.text
        assert states[0].process is not old
    assert not list((old.home.parent.parent).iterdir())


async def test_a_tab_that_opens_after_a_crash_is_still_told(site, watched):
    site.pages |= {"/": "<a target=_blank href=/second>open</a>", "/second": "<title>Second</title>"}
    async with watched() as (sandbox, states):
        await sandbox.execute("browser:navigate", {"url": site.url})
        first = await sandbox.execute("browser:click", {"selector": "a"})
        assert first.data["effect"]["new_tab"] == 2
        await sandbox.execute("browser:navigate", {"url": site.url})
        await states[0].process.browser.close()
        assert (await sandbox.execute("browser:snapshot")).data["restored"]
        again = await sandbox.execute("browser:click", {"selector": "a"})
        assert again.data["effect"]["new_tab"] == 4
        assert again.data["title"] == "Second"


async def test_the_tabs_of_a_session_are_counted_apart_from_its_neighbours(watched):
    async with watched() as (sandbox, states):
        for worker, tabs in (("w0", 0), ("w1", 2)):
            for _ in range(tabs or 1):
                await sandbox.worker(worker).execute("browser:tabs", {"action": "new" if tabs else "list"})
        process = states[0].process
        assert states[1].process is process
        names = [await process.name_of(each.context, each.tab.page) for each in states]
        assert [await process.tabs_of(name) for name in names] == [1, 3]
        await sandbox.worker("w1").execute("browser:tabs", {"action": "close"})
        assert [await process.tabs_of(name) for name in names] == [1, 2]


async def test_a_browser_takes_so_many_sessions_and_then_another_takes_over(watched):
    async with watched(contexts_per_browser=2) as (sandbox, states):
        ids = [(await sandbox.worker(f"w{n}").create_session("browser"))["browser"].id for n in range(3)]
        first, second = states[0].process, states[2].process
        assert states[1].process is first
        assert second is not first
        await sandbox.worker("w0").close_session(ids[0])
        assert first.is_alive
        await sandbox.worker("w1").close_session(ids[1])
        assert not first.is_alive
        assert not first.home.exists()
        assert second.is_alive


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_the_browser_of_root_is_another_user_with_its_sandbox_on(watched):
    async with watched() as (sandbox, states):
        await sandbox.create_session("browser")
        process = states[0].process
        assert process.way.is_confined
        assert process.way.has_sandbox
        status, environ = _proc(process.pid, "status"), _proc(process.pid, "environ")
        assert b"Uid:\t0" not in status
        assert os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        told = {each.partition(b"=")[0].decode() for each in environ.split(b"\0") if each}
        assert told <= {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "PW_LANG_NAME", "DISPLAY", "XAUTHORITY", MARK}


async def test_a_program_that_is_not_there_is_told(tmp_path):
    async with Premises(tmp_path) as premises:
        context = BackendContext(name="browser", folder=tmp_path, observe=lambda _: None, premises=premises)
        with pytest.raises(SandboxError) as caught:
            await Browsers(BrowserConfig(executable="/nowhere/chromium"), context).warm()
    assert caught.value.code == "provider_unavailable"


async def test_no_process_outlives_a_server_that_is_killed(tmp_path):
    code = f"""
import anyio, sys
from pathlib import Path
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_browser.backend import BrowserBackend
async def main():
    async with Sandbox(catalog=Catalog.of(browser=BrowserBackend), config=SandboxConfig(state_dir=Path({str(tmp_path)!r}))) as sandbox:
        await sandbox.execute("browser:navigate", {{"url": "data:text/html,hi"}})
        print("ready", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""
    async with await anyio.open_process([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stderr=None) as server:
        assert server.stdout is not None
        assert b"ready" in await server.stdout.receive()
        marks = [folder.name for folder in (tmp_path / "workspaces").iterdir() if folder.name.startswith("browser-")]
        assert any(_marked(mark) for mark in marks)
        server.kill()
    with anyio.fail_after(20):
        while any(_marked(mark) for mark in marks):  # noqa: ASYNC110 - the kernel tells nobody when it has ended them
            await anyio.sleep(0.02)
    async with Premises(tmp_path):  # the next engine removes its folders
        pass
    assert not list((tmp_path / "workspaces").iterdir())


async def test_the_doctor_tells_the_browser_and_how_it_is_held():
    works, said = await check_browser()
    assert works, said
    assert "sandbox" in said


def _proc(pid, name):
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _marked(mark):
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
