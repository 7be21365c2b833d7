"""Downloads of sessions that share a browser: each is held to its own size, whether or not it is waited for."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import anyio
import pytest

from agentflow_browser.downloads import Downloads, Fetched

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=data.csv\r\n"


class Late(Downloads):
    """Is told of a download when somebody waits for one."""

    def __init__(self, *args):
        super().__init__(*args)
        self.began = anyio.Event()
        self.download = None

    def add(self, download):
        self.download = download
        self.began.set()

    async def one_more(self, count, seconds):
        with anyio.fail_after(20):
            await self.began.wait()
        super().add(self.download)


class Ended:
    """A download of Playwright that has ended in that file."""

    def __init__(self, file):
        self._file = file

    async def path(self):
        return self._file


@pytest.fixture
def endless(site):
    """The address of a file without end; set when its browser has had enough."""
    given_up = threading.Event()

    def write(file):
        file.write(HEAD + b"\r\n")
        with suppress(OSError):
            while True:
                file.write(b"x" * 10_000)
                given_up.wait(0.01)
        given_up.set()

    site.pages["/endless"] = write
    return given_up


async def test_a_download_is_told_though_it_is_known_later_than_its_navigation_has_ended(site, watched):
    site.pages |= {"/": "<a href=/data>data</a>", "/data": lambda file: file.write(HEAD + b"\r\nx")}
    async with watched() as (sandbox, states):
        await sandbox.create_session("browser")
        states[0].downloads = Late(states[0].folder, 5000)
        await sandbox.execute("browser:tabs", {"action": "new", "url": site.url})
        clicked = await sandbox.execute("browser:click", {"selector": "a"})
        assert clicked.data["effect"]["download"]["path"] == "downloads/data.csv"


async def test_a_link_that_leads_nowhere_is_no_download(site, watched):
    site.pages |= {"/": "<a href=/nothing>nothing</a>", "/nothing": (204, {}, b"")}
    async with watched() as (sandbox, states):
        await sandbox.execute("browser:navigate", {"url": site.url})
        assert (await sandbox.execute("browser:click", {"selector": "a"})).data["effect"]["download"] is None
        assert states[0].tab.unshown == 0


async def test_a_download_is_refused_for_its_own_size_and_not_for_that_of_another(site, watched):
    rest = threading.Event()

    def slow(file):
        file.write(HEAD + b"Content-Length: 2000\r\n\r\n" + b"x" * 1000)
        file.flush()
        rest.wait(60)
        file.write(b"x" * 1000)

    large = HEAD + b"Content-Length: 9000\r\n\r\n" + b"x" * 9000
    site.pages |= {
        "/": "<a href=/slow>slow</a>",
        "/other": "<script>onload = () => setTimeout(() => location = '/large')</script>",
        "/slow": slow,
        "/large": lambda file: file.write(large),
    }
    async with watched(download_bytes=5000) as (sandbox, states):
        mine, other = sandbox.worker("mine"), sandbox.worker("other")
        await mine.execute("browser:navigate", {"url": site.url})
        await other.create_session("browser")
        assert states[0].process is states[1].process
        clicked = []

        async def click():
            clicked.append(await mine.execute("browser:click", {"selector": "a"}))

        async with anyio.create_task_group() as group:
            group.start_soon(click)
            with anyio.fail_after(20):
                while not site.was_asked("/slow"):  # noqa: ASYNC110 - the site is in another thread
                    await anyio.sleep(0.01)
            await other.execute("browser:navigate", {"url": f"{site.url}/other"})
            await other.execute("browser:wait", {"time": 1})
            refused = []
            with anyio.fail_after(20):
                while not refused:
                    refused = (await other.execute("browser:downloads")).data["downloads"]
            rest.set()
        assert [(each["state"], each["bytes"]) for each in refused] == [("refused", 9000)]
        assert clicked[0].data["effect"]["download"]["state"] == "done"
        assert not list(states[0].process.home.glob("????????-????-????-????-*"))


async def test_a_download_that_nobody_waits_for_ends_when_it_is_too_large(site, watched, endless):
    site.pages["/"] = "<script>onload = () => setTimeout(() => location = '/endless')</script>"
    async with watched(download_bytes=50_000) as (sandbox, _):
        await sandbox.execute("browser:navigate", {"url": site.url})
        assert await anyio.to_thread.run_sync(endless.wait, 20)
        told = (await sandbox.execute("browser:downloads")).data["downloads"]
        assert [each["state"] for each in told] == ["refused"]
        assert told[0]["bytes"] > 50_000


async def test_a_download_that_fails_is_not_called_too_large(site, watched):
    def cut(file):
        file.write(HEAD + b"Content-Length: 4000\r\n\r\n" + b"x" * 1000)

    site.pages |= {"/": "<a href=/cut>cut</a>", "/cut": cut}
    async with watched(download_bytes=5000) as (sandbox, _):
        await sandbox.execute("browser:navigate", {"url": site.url})
        told = (await sandbox.execute("browser:click", {"selector": "a"})).data["effect"]["download"]
        assert (told["state"], told["path"]) == ("failed", None)


async def test_only_plain_files_are_copied_out_of_the_browsers_folder(tmp_path):
    downloads = Downloads(tmp_path / "kept", 5000)
    (tmp_path / "link").symlink_to(__file__)
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        fetched = Fetched(name="x", url="")
        await downloads._take(Ended(tmp_path / name), fetched, tmp_path)
        assert fetched.state == "failed"
        assert fetched.reason.startswith("it cannot be copied: ")
