"""Browser sessions beside raw Playwright: context, navigation and snapshot in pairs; many at once; memory a context.

Run: python bench/browser.py        (with Chromium; as root, so that it is held apart as in production)
"""

from __future__ import annotations

import statistics
import tempfile
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio

from agentflow_browser.backend import BrowserBackend
from agentflow_browser.config import BrowserConfig
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUNDS, AT_ONCE = 25, 20
PAGE = (
    b"<title>Shop</title><h1>Teas</h1><form><label>Search <input></label><button>Go</button></form><table>"
    + b"".join(b"<tr><td>Tea %d<td><a href=/%d>Buy</a></tr>" % (n, n) for n in range(40))
    + b"</table>"
)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


class Watched(BrowserBackend):
    states: list[Any] = []  # noqa: RUF012 - one backend, one benchmark

    async def initialize(self, session: Any) -> Any:
        state = await super().initialize(session)
        self.states.append(state)
        return state


@asynccontextmanager
async def opened(host: str) -> AsyncIterator[Sandbox]:
    with tempfile.TemporaryDirectory() as folder:
        config = BrowserConfig(allow_hosts=(host,), contexts_per_browser=10_000)
        catalog = Catalog.of(browser=lambda: Watched(config))
        async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=Path(folder))) as sandbox:
            await sandbox.warmup()
            yield sandbox


async def ours(sandbox: Sandbox, url: str) -> float:
    began = perf_counter()
    session = (await sandbox.create_session("browser"))["browser"].id
    result = await sandbox.execute("browser:navigate", {"url": url}, session=session)
    took = perf_counter() - began
    assert "Tea 39" in result.text, result.text
    await sandbox.close_session(session)
    return took


async def raw(browser: Any, url: str) -> float:
    began = perf_counter()
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url)
    assert "Tea 39" in await page.aria_snapshot(mode="ai")
    took = perf_counter() - began
    await context.close()
    return took


def memory(mark: str) -> float:
    """MiB of all processes of a browser, shared pages counted in part."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                lines = (entry / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024


async def main() -> None:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    url = f"http://{host}/"
    from playwright.async_api import async_playwright

    async with opened(host) as sandbox, async_playwright() as playwright:
        import shutil

        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--disable-gpu"])
        await ours(sandbox, url)
        await raw(chromium, url)
        pairs = [(await ours(sandbox, url), await raw(chromium, url)) for _ in range(ROUNDS)]
        await chromium.close()
        mine, bare = (statistics.median(each) * 1e3 for each in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"context + navigate + snapshot: {mine:.0f} ms, raw Playwright {bare:.0f} ms, ratio {ratio:.2f}")

        took: list[float] = []

        async def one(number: int) -> None:
            worker = sandbox.worker(f"w{number}")
            began = perf_counter()
            result = await worker.execute("browser:navigate", {"url": url})
            took.append(perf_counter() - began)
            assert "Tea 39" in result.text, result.text

        mark = f"AGENTFLOW_SESSION_ID={Path(await browser_folder(sandbox)).name}"
        before = memory(mark)
        began = perf_counter()
        async with anyio.create_task_group() as tasks:
            for number in range(AT_ONCE):
                tasks.start_soon(one, number)
        whole = perf_counter() - began
        held = memory(mark) - before
        print(
            f"{AT_ONCE} sessions at once: {whole:.2f} s, {whole / AT_ONCE * 1e3:.0f} ms each of the machine's time; "
            f"slowest {max(took):.2f} s"
        )
        print(f"memory: {before:.0f} MiB for the browser, {held / AT_ONCE:.0f} MiB a context")
    server.shutdown()


async def browser_folder(sandbox: Sandbox) -> str:
    """The folder of the browser that runs, whose name its processes bear."""
    await sandbox.worker("look").execute("browser:tabs")
    return str(Watched.states[-1].process.home.parent)


if __name__ == "__main__":
    anyio.run(main)
