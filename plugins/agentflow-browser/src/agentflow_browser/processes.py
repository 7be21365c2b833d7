"""One browser process: Playwright's driver with a Chromium below it, apart from the server and gone with it."""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import socket
import sys
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio import CancelScope
from attrs import frozen

from agentflow_browser import apart
from agentflow_browser.limits import DownloadLimit
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.folders import can_enter
from agentflow_core.sandbox.launchers.processes import MARK
from agentflow_core.sandbox.launchers.proxy.namespaces import listener_of
from agentflow_core.sandbox.launchers.uids import UidRange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from playwright.async_api import Browser, BrowserContext, CDPSession, Page

    from agentflow_browser.config import BrowserConfig
    from agentflow_core.sandbox.backend import BackendContext

__all__ = ["BrowserProcess", "Way", "find_chromium", "ways"]

_log = logging.getLogger("agentflow_browser")

#: Debian's name first.
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    # names are looked up by the proxy alone
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
#: What Playwright would have and we will not: pages that open windows of their own accord, without end.
_WITHOUT: Final = ("--disable-popup-blocking",)
_START_S: Final = 60.0
_STOP_S: Final = 10.0
_FIRST_PORT: Final = 10_000
_PORTS: Final = 20_000


@frozen(kw_only=True)
class Way:
    """One way to run a browser, and what is told where a better one could not be had."""

    is_confined: bool  #: as another user, in namespaces of its own
    has_sandbox: bool  #: Chromium's own


def ways(config: BrowserConfig) -> list[Way]:
    """The ways that may be tried, best first."""
    confined = [True, False] if os.geteuid() == 0 and sys.platform == "linux" else [False]
    sandboxes = [True, False] if config.chromium_sandbox == "auto" else [bool(config.chromium_sandbox)]
    return [
        Way(is_confined=apart_, has_sandbox=sandbox)
        for apart_ in confined
        for sandbox in sandboxes
        if apart_ or not sandbox or os.geteuid() != 0  # Chromium refuses its sandbox to root
    ]


def find_chromium(config: BrowserConfig) -> str | None:
    """The program, None for Playwright's own.

    Raises:
        SandboxError: ``provider_unavailable``: the one that is configured is not there.
    """
    if config.executable is not None:
        found = shutil.which(config.executable)
        if found is None:
            raise SandboxError(
                f"there is no program {config.executable!r}",
                code="provider_unavailable",
                hint="set executable of the backend browser to a Chromium, or leave it out",
            )
        return found
    return next(filter(None, map(shutil.which, _NAMES)), None)


class BrowserProcess:
    """See the module. Whoever started it closes it."""

    def __init__(
        self,
        number: int,
        way: Way,
        browser: Browser,
        devtools: CDPSession,
        downloads: DownloadLimit,
        folder: Path,
        stack: AsyncExitStack,
    ) -> None:
        self.number = number
        self.way = way
        self.browser = browser
        self.downloads = downloads
        self._devtools = devtools
        self.home = folder / "home"
        self.sessions = 0  #: that it serves now
        self.served = 0  #: that it has begun to serve
        self.began = anyio.current_time()
        self.pid = int((folder / "pid").read_text())  #: of the driver, with which all of it ends
        self._pidfd: int | None = None
        if hasattr(os, "pidfd_open"):
            self._pidfd = os.pidfd_open(self.pid)
            stack.callback(os.close, self._pidfd)
        self._ports = 0
        self._stack = stack

    @property
    def is_alive(self) -> bool:
        """Does the browser still answer? Playwright tells of its end, but not of its driver's."""
        if not self.browser.is_connected():
            return False
        return self._pidfd is None or not select.select([self._pidfd], [], [], 0)[0]

    @classmethod
    async def start(cls, number: int, way: Way, config: BrowserConfig, context: BackendContext) -> BrowserProcess:
        """Start a driver and a browser.

        Raises:
            SandboxError: ``provider_unavailable``: they do not start; the message says why.
        """
        from playwright.async_api import async_playwright  # 150 ms

        executable = find_chromium(config)
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(context.workspace(f"browser-{number}"))
            wrapper, program, home = _prepare(folder, way, executable, stack)
            try:
                with anyio.fail_after(_START_S, shield=True):  # a start that is given up leaves processes behind
                    with _node(wrapper):
                        playwright = await async_playwright().start()
                    stack.push_async_callback(_bounded, playwright.stop)
                    browser = await playwright.chromium.launch(
                        executable_path=program,
                        headless=config.headless,
                        chromium_sandbox=way.has_sandbox,
                        args=list(_ARGS),
                        ignore_default_args=list(_WITHOUT),
                        downloads_path=home,
                        env=dict(_env(home, folder.name)),
                        handle_sighup=False,
                        handle_sigint=False,
                        handle_sigterm=False,
                    )
                    devtools = await browser.new_browser_cdp_session()
                    downloads = DownloadLimit(devtools, folder / "home", config.download_bytes)
                    await downloads.start()
            except TimeoutError:
                raise _unavailable(f"it did not start within {_START_S:g} s", executable) from None
            except Exception as error:
                raise _unavailable(str(error), executable) from error
            stack.push_async_callback(_bounded, browser.close)
            process = cls(number, way, browser, devtools, downloads, folder, stack)
            process._stack = stack.pop_all()
            return process

    async def name_of(self, context: BrowserContext, page: Page) -> str:
        """What Chromium calls a context, which never changes; asked of one of its pages."""
        devtools = await context.new_cdp_session(page)
        try:
            return str((await devtools.send("Target.getTargetInfo"))["targetInfo"]["browserContextId"])
        finally:
            await devtools.detach()

    async def tabs_of(self, name: str) -> int:
        """How many tabs a context has, as Chromium knows them: by one question, whatever its pages are busy with."""
        targets = (await self._devtools.send("Target.getTargets"))["targetInfos"]
        return sum(target["type"] == "page" and target.get("browserContextId") == name for target in targets)

    async def listener(self) -> socket.socket:
        """A socket that listens where the browser finds it, at 127.0.0.1.

        Raises:
            SandboxError: ``unsupported``: the browser is gone.
        """
        if not self.way.is_confined:
            return socket.create_server(("127.0.0.1", 0))
        port = _FIRST_PORT + self._ports % _PORTS
        self._ports += 1
        return await anyio.to_thread.run_sync(partial(listener_of, self.pid, port))

    async def aclose(self) -> None:
        """End the browser and its driver, and remove its folder."""
        stack, self._stack = self._stack, AsyncExitStack()
        with CancelScope(shield=True):
            await stack.aclose()


@contextmanager
def _node(wrapper: Path) -> Iterator[None]:
    """Let Playwright start our wrapper; it reads the variable when it starts its driver, and only there."""
    name = "PLAYWRIGHT_NODEJS_PATH"
    before = os.environ.get(name)
    os.environ[name] = str(wrapper)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _prepare(folder: Path, way: Way, executable: str | None, stack: AsyncExitStack) -> tuple[Path, str | None, str]:
    """Write the wrapper; the path of it, of Chromium inside, and of the browser's folder inside."""
    import playwright

    driver = Path(playwright.__file__).parent / "driver"
    home = folder / "home"
    home.mkdir(mode=0o700)
    told: dict[str, object] = {
        "node": os.environ.get("PLAYWRIGHT_NODEJS_PATH") or str(driver / "node"),
        "home": str(home),
        "pid_file": str(folder / "pid"),
    }
    inside, program = str(home), executable
    if way.is_confined:
        lent = UidRange().lend()
        stack.callback(lent.give_back)
        os.chown(home, lent.uid, lent.uid)
        inside = apart.HOME
        binds = [(str(driver), "/tmp/driver")]
        if executable is not None and not can_enter(Path(executable), lent.uid):
            place = Path(executable).resolve()
            binds.append((str(place.parent), "/tmp/chromium"))
            program = f"/tmp/chromium/{place.name}"
        if executable is None and (browsers := _own_browsers()).is_dir():
            binds.append((str(browsers), "/tmp/browsers"))
        told |= {"uid": lent.uid, "binds": binds}
    env = _env(inside, folder.name)
    if executable is None:
        env["PLAYWRIGHT_BROWSERS_PATH"] = "/tmp/browsers" if way.is_confined else str(_own_browsers())
    told["env"] = env
    settings = folder / "apart.json"
    settings.write_text(json.dumps(told))
    wrapper = folder / "node"
    quoted = " ".join(_quoted(each) for each in (sys.executable, "-I", "-S", apart.__file__, str(settings)))
    wrapper.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    wrapper.chmod(0o700)
    return wrapper, program, inside


def _own_browsers() -> Path:
    found = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    return Path(found) if found else Path.home() / ".cache" / "ms-playwright"


def _env(home: str, mark: str) -> dict[str, str]:
    """The whole environment of driver and browser: nothing of the server's."""
    shown = {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PW_LANG_NAME": "python",
        MARK: mark,
        **shown,
    }


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


async def _bounded(end: Callable[[], Awaitable[object]]) -> None:
    """Ask for an end, and go on if there is no answer: what does not end by itself dies with its wrapper."""
    with anyio.move_on_after(_STOP_S):
        try:
            await end()
        except Exception as error:  # noqa: BLE001 - of a driver that is gone Playwright raises a bare Exception
            _log.debug("a browser was gone before it was closed: %s", error)


def _unavailable(why: str, executable: str | None) -> SandboxError:
    shown = "\n".join(why.strip().splitlines()[:12])
    hint = "apt-get install chromium, or playwright install chromium" if executable is None else ""
    return SandboxError(f"the browser does not start: {shown}", code="provider_unavailable", hint=hint)
